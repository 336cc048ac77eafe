package storage_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"stampede/storage"
)

func TestLockDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	lock, err := storage.LockDir(dir)
	if err != nil {
		t.Fatalf("LockDir: %v", err)
	}
	if got, want := strings.TrimSpace(string(read(t, filepath.Join(dir, "LOCK")))), strconv.Itoa(os.Getpid()); got != want {
		t.Errorf("LOCK holds %q, want %q", got, want)
	}
	_, err = storage.LockDir(dir)
	var locked *storage.LockedError
	if !errors.As(err, &locked) || locked.PID != os.Getpid() || locked.Dir != dir {
		t.Fatalf("second LockDir = %v, want a LockedError of process %d", err, os.Getpid())
	}
	if !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %q names neither process nor folder", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "LOCK"), []byte("?"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = storage.LockDir(dir); !errors.As(err, &locked) || locked.PID != 0 {
		t.Errorf("LockDir beside an unreadable holder = %v, want a LockedError without a process", err)
	}
	if err := lock.Release(); err != nil {
		t.Fatalf("Release: %v", err)
	}
	again, err := storage.LockDir(dir)
	if err != nil {
		t.Fatalf("LockDir after Release: %v", err)
	}
	if err := again.Release(); err != nil {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	if err := (storage.Options{}).Validate(); err != nil {
		t.Errorf("zero options: %v", err)
	}
	bad := storage.Options{FlushInterval: -1, FlushBytes: -1, SegmentBytes: 2 << 30, SegmentMillis: -1, PendingBytesMax: -1}
	err := bad.Validate()
	for _, fault := range []string{"interval", "flush bytes", "segment bytes", "milliseconds", "pending"} {
		if err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("Validate = %v, want it to speak of %s", err, fault)
		}
	}
	if _, err := storage.Open(t.TempDir(), bad); err == nil {
		t.Error("Open with bad options = nil, want an error")
	}
}
