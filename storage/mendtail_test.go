package storage_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/types"

	"stampede/storage/storagetest"
)

// deafMeta is raft-wal's metadata that takes nothing more once it is deaf: what a crash before the commit leaves.
type deafMeta struct {
	metadb.BoltMetaDB
	deaf atomic.Bool
}

func (m *deafMeta) CommitState(s types.PersistentState) error {
	if m.deaf.Load() {
		return errors.New("deaf")
	}
	return m.BoltMetaDB.CommitState(s)
}

// fillSegment appends to a log in dir, some segments of it already full, until an append fills another one whose rotation does not come
// to pass, and returns the last index that was acknowledged.
func fillSegment(t *testing.T, dir string, rotations uint64) (last uint64) {
	t.Helper()
	meta := &deafMeta{}
	w, err := wal.Open(dir, wal.WithSegmentSize(64<<10), wal.WithMetaStore(meta), wal.WithLogger(hclog.NewNullLogger()))
	if err != nil {
		t.Fatal(err)
	}
	for last = 0; ; last++ {
		meta.deaf.Store(last >= rotations)
		e := storagetest.LogEntry(last+1, 1)
		e.Data = append(e.Data, make([]byte, 1000)...)
		if err := w.StoreLog(e); err != nil {
			if !errors.Is(err, types.ErrSealed) {
				t.Fatal(err)
			}
			break
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return last
}

// tailFile returns the path of the newest segment.
func tailFile(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(files) == 0 {
		t.Fatalf("segments = %v, %v", files, err)
	}
	return slices.Max(files)
}

func TestOpenLogMendsATailThatACrashLeftSealed(t *testing.T) {
	// afterwards opens the log, checks that it ends at last, appends across another rotation and reads all after another open.
	afterwards := func(t *testing.T, dir string, last uint64) {
		t.Helper()
		l := openLog(t, dir)
		if got, err := l.LastIndex(); err != nil || got != last {
			t.Fatalf("last index = %d, %v, want %d", got, err, last)
		}
		for i := last + 1; i <= last+100; i++ {
			e := storagetest.LogEntry(i, 2)
			e.Data = append(e.Data, make([]byte, 1000)...)
			if err := l.StoreLog(e); err != nil {
				t.Fatalf("append %d: %v", i, err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = openLog(t, dir)
		for i := uint64(1); i <= last+100; i++ {
			term := uint64(1)
			if i > last {
				term = 2
			}
			var got raft.Log
			if err := l.GetLog(i, &got); err != nil || got.Term != term || !bytes.HasPrefix(got.Data, storagetest.LogEntry(i, term).Data) {
				t.Fatalf("entry %d = term %d, %v, want term %d", i, got.Term, err, term)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}

	for _, rotations := range []uint64{0, 100} {
		t.Run("before the rotation", func(t *testing.T) {
			dir := t.TempDir()
			afterwards(t, dir, fillSegment(t, dir, rotations))
		})
		t.Run("in the middle of the append that sealed it", func(t *testing.T) {
			dir := t.TempDir()
			last := fillSegment(t, dir, rotations)
			path := tailFile(t, dir)
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			end := len(bytes.TrimRight(content, "\x00"))
			content[end-1] ^= 0xff // of the checksum of the last commit
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			afterwards(t, dir, last-1)
		})
	}
}
