package storage_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"stampede/storage"
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

func entry(index, term uint64) *raft.Log {
	return &raft.Log{Index: index, Term: term, Data: fmt.Appendf(nil, "entry %d of term %d", index, term)}
}

func store(t *testing.T, l *storage.Log, from, to, term uint64) {
	t.Helper()
	var entries []*raft.Log
	for i := from; i <= to; i++ {
		entries = append(entries, entry(i, term))
	}
	if err := l.StoreLogs(entries); err != nil {
		t.Fatalf("StoreLogs(%d to %d): %v", from, to, err)
	}
}

// checkLog reads the whole log: entries first to last, of a term each.
func checkLog(t *testing.T, l *storage.Log, first, last uint64, term func(index uint64) uint64) {
	t.Helper()
	gotFirst, err1 := l.FirstIndex()
	gotLast, err2 := l.LastIndex()
	if gotFirst != first || gotLast != last || err1 != nil || err2 != nil {
		t.Fatalf("log is %d to %d (%v, %v), want %d to %d", gotFirst, gotLast, err1, err2, first, last)
	}
	var got raft.Log
	for i := max(first, 1); i <= last; i++ {
		want := entry(i, term(i))
		if err := l.GetLog(i, &got); err != nil || got.Index != i || got.Term != want.Term || string(got.Data) != string(want.Data) {
			t.Fatalf("GetLog(%d) = %+v, %v, want %+v", i, got, err, want)
		}
	}
	for _, i := range []uint64{first - 1, last + 1} {
		if err := l.GetLog(i, &got); !errors.Is(err, raft.ErrLogNotFound) {
			t.Fatalf("GetLog(%d) = %v, want %v", i, err, raft.ErrLogNotFound)
		}
	}
}

func one(uint64) uint64 { return 1 }

func TestLog(t *testing.T) {
	t.Run("is_empty_at_first", testLogIsEmptyAtFirst)
	t.Run("keeps_entries_and_values", testLogKeepsEntriesAndValues)
	t.Run("begins_anywhere", testLogBeginsAnywhere)
	t.Run("cuts_its_tail_and_goes_on_with_another_term", testLogCutsItsTailAndGoesOnWithAnotherTerm)
	t.Run("cuts_its_head", testLogCutsItsHead)
	t.Run("is_emptied_and_begins_anew", testLogIsEmptiedAndBeginsAnew)
	t.Run("cuts_a_torn_tail", testLogCutsATornTail)
}

func testLogIsEmptyAtFirst(t *testing.T) {
	l := openLog(t, filepath.Join(t.TempDir(), "not", "there", "yet"))
	checkLog(t, l, 0, 0, one)
	if value, err := l.Get([]byte("none")); len(value) != 0 || err != nil {
		t.Errorf("Get = %q, %v, want nothing", value, err)
	}
	if value, err := l.GetUint64([]byte("none")); value != 0 || err != nil {
		t.Errorf("GetUint64 = %d, %v, want 0", value, err)
	}
	if !l.IsMonotonic() {
		t.Error("log says that it takes gaps")
	}
}

func testLogKeepsEntriesAndValues(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir)
	store(t, l, 1, 3000, 1) // several files
	if err := errors.Join(l.Set([]byte("vote"), []byte("me")), l.SetUint64([]byte("term"), 7)); err != nil {
		t.Fatal(err)
	}
	if got := l.Stats(); got.Entries != 3000 || got.Bytes == 0 || got.AppendSeconds.Count != 1 || got.AppendSeconds.SumSeconds <= 0 {
		t.Errorf("stats = %+v, want 3000 entries of one append", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, dir)
	checkLog(t, l, 1, 3000, one)
	if value, err := l.Get([]byte("vote")); string(value) != "me" || err != nil {
		t.Errorf("Get = %q, %v, want me", value, err)
	}
	if value, err := l.GetUint64([]byte("term")); value != 7 || err != nil {
		t.Errorf("GetUint64 = %d, %v, want 7", value, err)
	}
}

func testLogBeginsAnywhere(t *testing.T) {
	l := openLog(t, t.TempDir())
	store(t, l, 1000, 1010, 1)
	checkLog(t, l, 1000, 1010, one)
}

func testLogCutsItsTailAndGoesOnWithAnotherTerm(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir)
	store(t, l, 1, 2000, 1)
	if err := l.DeleteRange(501, 2000); err != nil {
		t.Fatal(err)
	}
	checkLog(t, l, 1, 500, one)
	store(t, l, 501, 600, 2)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	checkLog(t, openLog(t, dir), 1, 600, func(i uint64) uint64 { return 1 + i/501 })
}

func testLogCutsItsHead(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir)
	store(t, l, 1, 3000, 1)
	if err := l.DeleteRange(1, 2500); err != nil {
		t.Fatal(err)
	}
	checkLog(t, l, 2501, 3000, one)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	checkLog(t, openLog(t, dir), 2501, 3000, one)
}

func testLogIsEmptiedAndBeginsAnew(t *testing.T) {
	l := openLog(t, t.TempDir())
	store(t, l, 1, 100, 1)
	if err := l.DeleteRange(1, 100); err != nil {
		t.Fatal(err)
	}
	checkLog(t, l, 0, 0, one)
	store(t, l, 500, 510, 1)
	checkLog(t, l, 500, 510, one)
}

func testLogCutsATornTail(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir)
	store(t, l, 1, 10, 1)
	store(t, l, 11, 20, 1)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	tear(t, dir, "entry 20 of term 1")
	l = openLog(t, dir)
	checkLog(t, l, 1, 10, one)
	if err := l.Covers(storage.Position{Index: 15, Term: 1}); !errors.Is(err, storage.ErrLogBehind) {
		t.Errorf("Covers(15) of a log that ends at 10 = %v, want %v", err, storage.ErrLogBehind)
	}
	store(t, l, 11, 12, 2)
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

func TestLogCovers(t *testing.T) {
	l := openLog(t, t.TempDir())
	store(t, l, 1, 100, 1)
	store(t, l, 101, 200, 2)
	if err := l.DeleteRange(1, 50); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name        string
		index, term uint64
		behind      bool
	}{
		{"nothing was folded", 0, 0, false},
		{"in the middle", 150, 2, false},
		{"at the end", 200, 2, false},
		{"before what is kept", 20, 1, false},
		{"after the end", 201, 2, true},
		{"of another term", 150, 1, true},
	} {
		err := l.Covers(storage.Position{Index: tt.index, Term: tt.term})
		if got := errors.Is(err, storage.ErrLogBehind); got != tt.behind || (err != nil) != tt.behind {
			t.Errorf("%s: Covers(%d of term %d) = %v, want behind = %v", tt.name, tt.index, tt.term, err, tt.behind)
		}
	}
}

func TestLogFailsWhole(t *testing.T) {
	var fatal []error
	l, err := storage.OpenLog(t.TempDir(), storage.LogOptions{Logger: quiet(), Fatal: func(err error) { fatal = append(fatal, err) }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	store(t, l, 1, 5, 1)
	if err := l.StoreLog(entry(9, 1)); err == nil {
		t.Error("an append with a gap = nil, want an error")
	}
	if err := l.StoreLog(entry(6, 1)); err == nil {
		t.Error("an append after a failed one = nil, want an error")
	}
	if err := l.SetUint64([]byte("term"), 1); err == nil {
		t.Error("a stable value after a failed append = nil, want an error")
	}
	if len(fatal) != 1 {
		t.Errorf("Fatal was called %d times, want once", len(fatal))
	}
	checkLog(t, l, 1, 5, one)
}
