package storage_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stampede/storage"
	"stampede/storage/storagetest"
)

func openLog(t *testing.T, dir string) *storage.Log {
	t.Helper()
	l, err := storage.OpenLog(dir, storage.LogOptions{
		SegmentBytes: 64 << 10, Logger: quiet(), Fatal: func(err error) { t.Errorf("log failed: %v", err) },
	})
	if err != nil {
		t.Fatalf("OpenLog: %v", err)
	}
	t.Cleanup(func() { _ = l.Close() }) // most tests have closed it already
	return l
}

func one(uint64) uint64 { return 1 }

func TestLog(t *testing.T) {
	storagetest.TestLog(t, func(t *testing.T, dir string) storagetest.Log { return openLog(t, dir) })
	t.Run("cuts_a_torn_tail", testLogCutsATornTail)
}

func testLogCutsATornTail(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir)
	storagetest.StoreEntries(t, l, 1, 10, 1)
	storagetest.StoreEntries(t, l, 11, 20, 1)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	tear(t, dir, "entry 20 of term 1")
	l = openLog(t, dir)
	storagetest.CheckLog(t, l, 1, 10, one)
	if err := l.Covers(storage.Position{Index: 15, Term: 1}); !errors.Is(err, storage.ErrLogBehind) {
		t.Errorf("Covers(15) of a log that ends at 10 = %v, want %v", err, storage.ErrLogBehind)
	}
	storagetest.StoreEntries(t, l, 11, 12, 2)
}

// tear overwrites the end of the entry that holds text, as an append that was cut leaves it.
func tear(t *testing.T, dir, text string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if at := strings.Index(string(b), text); at >= 0 {
			clear(b[at+3:])
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("%q is in none of %v", text, names)
}

func TestLogFailsWhole(t *testing.T) {
	var fatal []error
	l, err := storage.OpenLog(t.TempDir(), storage.LogOptions{Logger: quiet(), Fatal: func(err error) { fatal = append(fatal, err) }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	storagetest.StoreEntries(t, l, 1, 5, 1)
	if err := l.StoreLog(storagetest.LogEntry(9, 1)); err == nil {
		t.Error("an append with a gap = nil, want an error")
	}
	if err := l.StoreLog(storagetest.LogEntry(6, 1)); err == nil {
		t.Error("an append after a failed one = nil, want an error")
	}
	if err := l.SetUint64([]byte("term"), 1); err == nil {
		t.Error("a stable value after a failed append = nil, want an error")
	}
	if len(fatal) != 1 {
		t.Errorf("Fatal was called %d times, want once", len(fatal))
	}
	storagetest.CheckLog(t, l, 1, 5, one)
}
