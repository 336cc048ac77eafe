package storagetest

// TestStore: the contract of a store, one subtest a promise; TestFiles: of what only a store of files promises.

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"runtime"
	"slices"
	"testing"

	"stampede/storage"
)

// Store is what the contract is about: storage.Store, or what stands in for it in a simulation.
type Store interface {
	Append(stream uint32, seq uint64, at int64, data []byte)
	Commit(pos storage.Position, changes []byte)
	Full() bool
	PendingBytes() int64
	Position() storage.Position
	Records() iter.Seq2[[]byte, []byte]
	Get(seq uint64) ([]byte, bool, error)
	Scan(from uint64, fn func(stream uint32, seq uint64, data []byte) bool) error
	ScanStream(stream uint32, from uint64, fn func(seq uint64, data []byte) bool) error
	SeqAt(at int64) (seq uint64, ok bool, err error)
	Sync(ctx context.Context) error
	Verify(ctx context.Context, progress func(done, total uint64)) error
	Stats() storage.StoreStats
	Run(ctx context.Context) error
	Close() error
}

var _ Store = (*storage.Store)(nil)

// Opener opens the store under test.
type Opener func(dir string, o storage.Options) (Store, error)

// Open opens a storage.Store.
func Open(dir string, o storage.Options) (Store, error) {
	s, err := storage.Open(dir, o)
	if err != nil {
		return nil, err // a nil *storage.Store must not become a Store that is not nil
	}
	return s, nil
}

// small makes segments of a few blocks, so that a short script meets all of a segment's life.
func small() storage.Options {
	return storage.Options{SegmentBytes: 48 << 10, SegmentMillis: 2000, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

// TestStore tests what open opens, whatever it is made of.
func TestStore(t *testing.T, open Opener) {
	run(t, open, map[string]func(*testing.T, Opener){
		"is_empty_at_first":                      testEmpty,
		"shows_messages_before_they_are_durable": testPending,
		"keeps_what_was_committed":               testDurable,
		"loses_what_was_not_committed":           testUncommitted,
		"keeps_the_last_change_of_a_record":      testChanges,
		"counts_pending_bytes":                   testPendingBytes,
		"reads_from_any_place":                   testFrom,
		"stops_when_told":                        testStop,
		"takes_messages_of_any_size":             testSizes,
		"is_read_while_it_is_written":            testConcurrent,
		"ends_a_wait_with_its_context":           testSyncContext,
		"ends_a_wait_when_it_stops":              testSyncStopped,
		"runs_once":                              testRunOnce,
		"panics_at_a_place_that_goes_back":       testBackwards,
	})
}

// TestFiles tests a store whose operations can fail and whose segments become files.
func TestFiles(t *testing.T, open Opener) {
	run(t, open, map[string]func(*testing.T, Opener){
		"seals_segments_and_reads_on":                     testSeals,
		"holds_a_prefix_after_a_fault_of_any_operation":   testFaults,
		"holds_a_prefix_after_a_fault_while_it_repairs":   testFaultsAtOpen,
		"calls_fatal_once_and_promises_nothing_any_more":  testFatal,
		"is_the_old_or_the_new_after_a_fault_of_takeover": testTakeOver,
		"ends_a_takeover_that_a_crash_cut_short":          testSettleFaults,
	})
}

func run(t *testing.T, open Opener, tests map[string]func(*testing.T, Opener)) {
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

// Start opens a store and runs it; the function returned stops it, closes it and returns what Run returned.
func Start(t testing.TB, open Opener, dir string, o storage.Options) (s Store, stop func() error) {
	t.Helper()
	s, err := open(dir, o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	return s, func() error {
		cancel()
		err := <-ended
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		return err
	}
}

// Sync waits until everything is durable.
func Sync(t testing.TB, s Store) {
	t.Helper()
	if err := s.Sync(t.Context()); err != nil {
		t.Fatalf("Sync: %v", err)
	}
}

func strict(t testing.TB, o storage.Options) storage.Options {
	o.Fatal = func(err error) { t.Errorf("store failed: %v", err) }
	return o
}

// session runs fn on a store that must not fail.
func session(t testing.TB, open Opener, dir string, o storage.Options, fn func(s Store)) {
	t.Helper()
	s, stop := Start(t, open, dir, strict(t, o))
	defer func() {
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	fn(s)
}

func testEmpty(t *testing.T, open Opener) {
	session(t, open, t.TempDir(), small(), func(s Store) {
		Script{}.Check(t, s, 0)
		if data, ok, err := s.Get(1); data != nil || ok || err != nil {
			t.Errorf("Get(1) = %v, %v, %v, want nothing", data, ok, err)
		}
		if _, ok, err := s.SeqAt(0); ok || err != nil {
			t.Errorf("SeqAt(0) = %v, %v, want none", ok, err)
		}
		Sync(t, s)
	})
}

func testPending(t *testing.T, open Opener) {
	script := Script{Seed: 1, MessagesMax: 60, BytesMax: 300}
	s, err := open(t.TempDir(), strict(t, small())) // and no Run: nothing becomes durable
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	for n := uint64(1); n <= 40; n++ {
		script.Write(s, n)
	}
	checkMessages(t, s, expect(script.Steps(40)).messages)
	if got := s.Position().Index; got != 0 {
		t.Errorf("position without a flush = %d, want 0", got)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func testDurable(t *testing.T, open Opener) {
	script, dir := Script{Seed: 2, MessagesMax: 20, BytesMax: 400}, t.TempDir()
	for n := uint64(0); n < 120; n += 30 {
		session(t, open, dir, small(), func(s Store) {
			if got := script.Check(t, s, n); got != n {
				t.Fatalf("opened at step %d, want %d", got, n)
			}
			for i := n + 1; i <= n+30; i++ {
				script.Write(s, i)
				if i%7 == 0 {
					Sync(t, s)
					script.Check(t, s, i)
				}
			}
		})
	}
}

func testUncommitted(t *testing.T, open Opener) {
	script, dir := Script{Seed: 3, MessagesMax: 20, BytesMax: 100}, t.TempDir()
	session(t, open, dir, small(), func(s Store) {
		script.Write(s, 1)
		for _, m := range script.Step(2).Messages {
			s.Append(m.Stream, m.Seq, m.At, m.Data)
		}
		Sync(t, s)
	})
	session(t, open, dir, small(), func(s Store) {
		if got := script.Check(t, s, 1); got != 1 {
			t.Errorf("opened at step %d, want 1", got)
		}
		script.Write(s, 2) // the log brings it again
		Sync(t, s)
		script.Check(t, s, 2)
	})
}

func testChanges(t *testing.T, open Opener) {
	dir := t.TempDir()
	first := AppendChange(AppendChange(AppendChange(nil, "a", "1"), "b", "1"), "c", "1")
	first = AppendChange(AppendRemoval(AppendChange(first, "a", "2"), "b"), "empty", "")
	second := AppendRemoval(AppendChange(AppendChange(nil, "b", "3"), "d", "3"), "c")
	want := map[string]string{"a": "2", "b": "3", "d": "3", "empty": ""}
	session(t, open, dir, small(), func(s Store) {
		s.Commit(storage.Position{Seq: 1}, first)
		s.Commit(storage.Position{Seq: 2}, nil)
		s.Commit(storage.Position{Seq: 3}, second)
		s.Commit(storage.Position{Seq: 4}, AppendRemoval(nil, "never there"))
	})
	session(t, open, dir, small(), func(s Store) {
		checkRecords(t, s, want)
		if got := s.Position().Seq; got != 4 {
			t.Errorf("position = %d, want 4", got)
		}
	})
}

func testPendingBytes(t *testing.T, open Opener) {
	o := small()
	o.PendingBytesMax = 1000
	session(t, open, t.TempDir(), o, func(s Store) {
		s.Append(1, 1, 1, make([]byte, 600))
		if got := s.PendingBytes(); got < 600 || got > 800 || s.Full() {
			t.Errorf("after 600 bytes: pending = %d, full = %v", got, s.Full())
		}
		s.Commit(storage.Position{Seq: 1}, AppendChange(nil, "key", string(make([]byte, 300))))
		s.Append(1, 2, 1, make([]byte, 400))
		if got := s.PendingBytes(); got < 400 {
			t.Errorf("after 400 bytes more: pending = %d", got)
		}
		s.Append(1, 3, 1, make([]byte, 1000))
		if !s.Full() {
			t.Errorf("with %d of 1000 bytes: not full", s.PendingBytes())
		}
		s.Commit(storage.Position{Seq: 3}, nil)
		Sync(t, s)
		if got := s.PendingBytes(); got != 0 || s.Full() {
			t.Errorf("after Sync: pending = %d, full = %v", got, s.Full())
		}
	})
}

// awaitSealed waits until no closed segment waits for its file.
func awaitSealed(t testing.TB, s Store) {
	t.Helper()
	for s.Stats().SegmentsUnsealed > 1 {
		if t.Context().Err() != nil {
			t.Fatal("segments were not sealed in time")
		}
		runtime.Gosched()
	}
}

func testSeals(t *testing.T, open Opener) {
	script, dir := Script{Seed: 4, MessagesMax: 60, BytesMax: 1200}, t.TempDir()
	const steps = 60
	session(t, open, dir, small(), func(s Store) {
		for n := uint64(1); n <= steps; n++ {
			script.Write(s, n)
			if n%10 == 0 {
				Sync(t, s)
				checkMessages(t, s, expect(script.Steps(n)).messages) // whatever is sealed by now
			}
		}
		awaitSealed(t, s)
		script.Check(t, s, steps)
		if got := s.Stats(); got.SegmentsSealed < 10 || got.SealedBytes == 0 {
			t.Errorf("stats = %+v, want at least 10 sealed segments", got)
		}
	})
	session(t, open, dir, small(), func(s Store) {
		script.Check(t, s, steps)
		var last, total uint64
		if err := s.Verify(t.Context(), func(done, all uint64) { last, total = done, all }); err != nil || last != total || total == 0 {
			t.Errorf("Verify = %v after %d of %d", err, last, total)
		}
	})
}

func testFrom(t *testing.T, open Opener) {
	script := Script{Seed: 5, MessagesMax: 30, BytesMax: 700}
	const steps = 40
	session(t, open, t.TempDir(), small(), func(s Store) {
		for n := uint64(1); n <= steps; n++ {
			script.Write(s, n)
			if n == steps-2 {
				Sync(t, s) // so that the last two may be pending
			}
		}
		want := expect(script.Steps(steps)).messages
		last := want[len(want)-1].Seq
		for from := uint64(0); from <= last+2; from += 13 {
			after := want[slices.IndexFunc(append(slices.Clone(want), Message{Seq: ^uint64(0)}), func(m Message) bool { return m.Seq >= from }):]
			same(t, "Scan", collect(t, s, from), after)
			stream := uint32(from % streams)
			var first *uint64
			if err := s.ScanStream(stream, from, func(seq uint64, _ []byte) bool { first = &seq; return false }); err != nil {
				t.Fatalf("ScanStream(%d, %d): %v", stream, from, err)
			}
			i := slices.IndexFunc(after, func(m Message) bool { return m.Stream == stream })
			if (i < 0) != (first == nil) || (i >= 0 && *first != after[i].Seq) {
				t.Fatalf("first of stream %d from %d is wrong", stream, from)
			}
		}
	})
}

func testStop(t *testing.T, open Opener) {
	session(t, open, t.TempDir(), small(), func(s Store) {
		for seq := uint64(1); seq <= 100; seq++ {
			s.Append(uint32(seq%2), seq, int64(seq), []byte("body"))
			if seq == 50 {
				s.Commit(storage.Position{Seq: seq}, nil)
				Sync(t, s)
			}
		}
		for _, limit := range []int{1, 2, 49, 50, 51, 99} {
			n := 0
			if err := s.Scan(1, func(uint32, uint64, []byte) bool { n++; return n < limit }); err != nil || n != limit {
				t.Errorf("Scan stopped after %d, %v, want %d", n, err, limit)
			}
		}
	})
}

func testSizes(t *testing.T, open Opener) {
	sizes := []int{0, 1, 16000, 16 << 10, 17 << 10, 40 << 10, 100 << 10, 3 << 20, 5, 0}
	dir := t.TempDir()
	var want []Message
	for i, size := range sizes {
		data := make([]byte, size)
		for j := range data {
			data[j] = byte(i + j)
		}
		want = append(want, Message{Stream: uint32(i % 2), Seq: uint64(i + 1), At: int64(i), Data: data})
	}
	session(t, open, dir, small(), func(s Store) {
		for _, m := range want {
			s.Append(m.Stream, m.Seq, m.At, m.Data)
		}
		s.Commit(storage.Position{Seq: uint64(len(want))}, nil)
		checkMessages(t, s, want)
		Sync(t, s)
		awaitSealed(t, s)
		checkMessages(t, s, want)
	})
	session(t, open, dir, small(), func(s Store) { checkMessages(t, s, want) })
}

// testConcurrent reads from three goroutines while one writes: each reader must see an unbroken row from the first
// message on, at least as far as was appended when it began.
func testConcurrent(t *testing.T, open Opener) {
	script := Script{Seed: 6, MessagesMax: 40, BytesMax: 900}
	const steps = 150
	want := expect(script.Steps(steps)).messages
	session(t, open, t.TempDir(), small(), func(s Store) {
		stop, ended := make(chan struct{}), make(chan struct{})
		for reader := range uint64(3) {
			go readAlong(t, s, want, reader, stop, ended)
		}
		for n := uint64(1); n <= steps; n++ {
			script.Write(s, n)
			if n%20 == 0 {
				Sync(t, s)
			}
		}
		awaitSealed(t, s)
		close(stop)
		for range 3 {
			<-ended
		}
	})
}

func readAlong(t *testing.T, s Store, want []Message, reader uint64, stop, ended chan struct{}) {
	defer func() { ended <- struct{}{} }()
	for from := 0; ; {
		select {
		case <-stop:
			return
		default:
		}
		seen := from
		err := s.Scan(want[from].Seq, func(_ uint32, seq uint64, data []byte) bool {
			if seq != want[seen].Seq || len(data) != len(want[seen].Data) {
				t.Errorf("reader %d: message %d is seq %d with %d bytes, want seq %d", reader, seen, seq, len(data), want[seen].Seq)
				return false
			}
			seen++
			return seen < len(want)
		})
		if err != nil || t.Failed() {
			t.Errorf("reader %d: %v", reader, err)
			return
		}
		if _, ok, err := s.Get(want[from].Seq); err != nil || (seen > from && !ok) {
			t.Errorf("reader %d: Get(%d) = %v, %v", reader, want[from].Seq, ok, err)
			return
		}
		from = (seen + int(reader)*7) % max(seen, 1) / 2 // somewhere in what is there
	}
}

func testSyncContext(t *testing.T, open Opener) {
	s, err := open(t.TempDir(), strict(t, small())) // and no Run
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	s.Commit(storage.Position{Seq: 1}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Sync(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Sync = %v, want %v", err, context.Canceled)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func testSyncStopped(t *testing.T, open Opener) {
	s, stop := Start(t, open, t.TempDir(), strict(t, small()))
	s.Commit(storage.Position{Seq: 1}, nil)
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := s.Sync(t.Context()); err != nil {
		t.Errorf("Sync of what the last flush wrote: %v", err)
	}
	s.Commit(storage.Position{Seq: 2}, nil)
	if err := s.Sync(t.Context()); !errors.Is(err, storage.ErrStopped) {
		t.Errorf("Sync after Run = %v, want %v", err, storage.ErrStopped)
	}
}

func testRunOnce(t *testing.T, open Opener) {
	session(t, open, t.TempDir(), small(), func(s Store) {
		s.Commit(storage.Position{Seq: 1}, nil)
		Sync(t, s) // so it runs
		if err := s.Run(t.Context()); err == nil {
			t.Error("second Run = nil, want an error")
		}
	})
}

func testBackwards(t *testing.T, open Opener) {
	session(t, open, t.TempDir(), small(), func(s Store) {
		s.Append(1, 5, 1, nil)
		for _, seq := range []uint64{5, 4, 0, ^uint64(0)} {
			if !panics(func() { s.Append(1, seq, 1, nil) }) {
				t.Errorf("Append of %d after 5 did not panic", seq)
			}
		}
	})
}

func panics(fn func()) (panicked bool) {
	defer func() { panicked = recover() != nil }()
	fn()
	return false
}
