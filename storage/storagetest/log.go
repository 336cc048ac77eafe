package storagetest

// TestLog: the contract of Raft's log and stable store.

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"

	"stampede/storage"
)

// Log is what the contract is about: storage.Log, or what stands in for it in a simulation.
type Log interface {
	raft.LogStore
	raft.StableStore
	raft.MonotonicLogStore
	Covers(storage.Position) error
	Stats() storage.LogStats
	Close() error
}

var _ Log = (*storage.Log)(nil)

// LogOpener opens the log under test; it is closed with the test, if it was not before.
type LogOpener func(t *testing.T, dir string) Log

// TestLog tests what open opens.
func TestLog(t *testing.T, open LogOpener) {
	for name, test := range map[string]func(*testing.T, LogOpener){
		"is_empty_at_first":                           testLogIsEmptyAtFirst,
		"keeps_entries_and_values":                    testLogKeepsEntriesAndValues,
		"begins_anywhere":                             testLogBeginsAnywhere,
		"cuts_its_tail_and_goes_on_with_another_term": testLogCutsItsTailAndGoesOnWithAnotherTerm,
		"cuts_its_head":                               testLogCutsItsHead,
		"is_emptied_and_begins_anew":                  testLogIsEmptiedAndBeginsAnew,
		"covers_what_was_folded":                      testLogCovers,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

// LogEntry is an entry that says where it belongs.
func LogEntry(index, term uint64) *raft.Log {
	return &raft.Log{Index: index, Term: term, Data: fmt.Appendf(nil, "entry %d of term %d", index, term)}
}

// StoreEntries appends entries from one index to another, together.
func StoreEntries(t *testing.T, l Log, from, to, term uint64) {
	t.Helper()
	var entries []*raft.Log
	for i := from; i <= to; i++ {
		entries = append(entries, LogEntry(i, term))
	}
	if err := l.StoreLogs(entries); err != nil {
		t.Fatalf("StoreLogs(%d to %d): %v", from, to, err)
	}
}

// CheckLog reads the whole log: entries first to last, of a term each.
func CheckLog(t *testing.T, l Log, first, last uint64, term func(index uint64) uint64) {
	t.Helper()
	gotFirst, err1 := l.FirstIndex()
	gotLast, err2 := l.LastIndex()
	if gotFirst != first || gotLast != last || err1 != nil || err2 != nil {
		t.Fatalf("log is %d to %d (%v, %v), want %d to %d", gotFirst, gotLast, err1, err2, first, last)
	}
	var got raft.Log
	for i := max(first, 1); i <= last; i++ {
		want := LogEntry(i, term(i))
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

func testLogIsEmptyAtFirst(t *testing.T, open LogOpener) {
	l := open(t, filepath.Join(t.TempDir(), "not", "there", "yet"))
	CheckLog(t, l, 0, 0, one)
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

func testLogKeepsEntriesAndValues(t *testing.T, open LogOpener) {
	dir := t.TempDir()
	l := open(t, dir)
	StoreEntries(t, l, 1, 3000, 1) // several files
	if err := errors.Join(l.Set([]byte("vote"), []byte("me")), l.SetUint64([]byte("term"), 7)); err != nil {
		t.Fatal(err)
	}
	if got := l.Stats(); got.Entries != 3000 || got.Bytes == 0 || got.AppendSeconds.Count != 1 || got.AppendSeconds.SumSeconds <= 0 {
		t.Errorf("stats = %+v, want 3000 entries of one append", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir)
	CheckLog(t, l, 1, 3000, one)
	if value, err := l.Get([]byte("vote")); string(value) != "me" || err != nil {
		t.Errorf("Get = %q, %v, want me", value, err)
	}
	if value, err := l.GetUint64([]byte("term")); value != 7 || err != nil {
		t.Errorf("GetUint64 = %d, %v, want 7", value, err)
	}
}

func testLogBeginsAnywhere(t *testing.T, open LogOpener) {
	l := open(t, t.TempDir())
	StoreEntries(t, l, 1000, 1010, 1)
	CheckLog(t, l, 1000, 1010, one)
}

func testLogCutsItsTailAndGoesOnWithAnotherTerm(t *testing.T, open LogOpener) {
	dir := t.TempDir()
	l := open(t, dir)
	StoreEntries(t, l, 1, 2000, 1)
	if err := l.DeleteRange(501, 2000); err != nil {
		t.Fatal(err)
	}
	CheckLog(t, l, 1, 500, one)
	StoreEntries(t, l, 501, 600, 2)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	CheckLog(t, open(t, dir), 1, 600, func(i uint64) uint64 { return 1 + i/501 })
}

func testLogCutsItsHead(t *testing.T, open LogOpener) {
	dir := t.TempDir()
	l := open(t, dir)
	StoreEntries(t, l, 1, 3000, 1)
	if err := l.DeleteRange(1, 2500); err != nil {
		t.Fatal(err)
	}
	CheckLog(t, l, 2501, 3000, one)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	CheckLog(t, open(t, dir), 2501, 3000, one)
}

func testLogIsEmptiedAndBeginsAnew(t *testing.T, open LogOpener) {
	l := open(t, t.TempDir())
	StoreEntries(t, l, 1, 100, 1)
	if err := l.DeleteRange(1, 100); err != nil {
		t.Fatal(err)
	}
	CheckLog(t, l, 0, 0, one)
	StoreEntries(t, l, 500, 510, 1)
	CheckLog(t, l, 500, 510, one)
}

func testLogCovers(t *testing.T, open LogOpener) {
	l := open(t, t.TempDir())
	StoreEntries(t, l, 1, 100, 1)
	StoreEntries(t, l, 101, 200, 2)
	for _, index := range []uint64{0, 1} {
		if err := l.Covers(storage.Position{Index: index, Term: index}); err != nil {
			t.Errorf("Covers(%d) of a log that is whole = %v, want nil", index, err)
		}
	}
	if err := l.DeleteRange(1, 50); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name        string
		index, term uint64
		behind      bool
	}{
		{"nothing was folded, and the beginning is gone", 0, 0, true},
		{"in the middle", 150, 2, false},
		{"at the end", 200, 2, false},
		{"just before what is kept", 50, 1, false},
		{"so long before what is kept that some is missing", 20, 1, true},
		{"after the end", 201, 2, true},
		{"of another term", 150, 1, true},
	} {
		err := l.Covers(storage.Position{Index: tt.index, Term: tt.term})
		if got := errors.Is(err, storage.ErrLogBehind); got != tt.behind || (err != nil) != tt.behind {
			t.Errorf("%s: Covers(%d of term %d) = %v, want behind = %v", tt.name, tt.index, tt.term, err, tt.behind)
		}
	}
}
