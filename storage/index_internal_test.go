package storage

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// TestRuns compares the index of an open segment with a plain list, and weighs it.
func TestRuns(t *testing.T) {
	for _, streams := range []uint32{1, 50, 1_000_000} {
		r := rand.New(rand.NewPCG(uint64(streams), 1))
		var runs [][]uint64
		var all []uint64
		place := uint32(0)
		for len(all) < 100_000 {
			var keys []uint64
			for range 1 + r.IntN(400) {
				place += 1 + r.Uint32N(3)
				keys = append(keys, placeKey(r.Uint32N(streams), place))
			}
			all = append(all, keys...)
			before := slices.Clone(runs)
			runs = addRun(runs, keys)
			for i := range before {
				if !slices.IsSorted(before[i]) {
					t.Fatal("a run that readers hold was changed")
				}
			}
		}
		slices.Sort(all)
		if got := oneRun(runs); !slices.Equal(got, all) {
			t.Fatalf("streams=%d: %d keys in one run, want %d", streams, len(got), len(all))
		}
		weight := 0
		for _, run := range runs {
			weight += 8 * cap(run)
		}
		if per := float64(weight) / float64(len(all)); per > 12 {
			t.Errorf("streams=%d: %.1f bytes a message at rest, want at most 12 (24 while merging)", streams, per)
		}
		if len(runs) > 20 {
			t.Errorf("streams=%d: %d runs, want few", streams, len(runs))
		}
		for range 2000 {
			stream, from := r.Uint32N(streams), r.Uint32N(place+2)
			got, ok := nextPlace(runs, stream, from)
			i, _ := slices.BinarySearch(all, placeKey(stream, from))
			wantOK := i < len(all) && uint32(all[i]>>32) == stream
			if ok != wantOK || (ok && got != uint32(all[i])) {
				t.Fatalf("nextPlace(%d, %d) = %d, %v", stream, from, got, ok)
			}
		}
	}
}

// TestTable compares pages on disk with a plain list.
func TestTable(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{1, 2, pageKeys - 1, pageKeys, pageKeys + 1, 3 * pageKeys, 5000} {
		keys := make([]uint64, n)
		for i := range keys {
			keys[i] = uint64(i)*10 + 10 + r.Uint64N(9)
		}
		fence := make([]uint64, 0, tablePages(uint64(n)))
		for i := 0; i < n; i += pageKeys {
			fence = append(fence, keys[i])
		}
		tb := table{file: bytes.NewReader(appendPages(nil, keys)), keys: uint64(n), fence: fence}
		if err := tb.equals(keys); err != nil {
			t.Fatalf("%d keys: %v", n, err)
		}
		var p page
		for range 3000 {
			want := r.Uint64N(uint64(n)*10 + 40)
			i, found := slices.BinarySearch(keys, want)
			key, ok, err := tb.lower(want, &p)
			if err != nil || ok != (i < n) || (ok && key != keys[i]) {
				t.Fatalf("%d keys: lower(%d) = %d, %v, %v", n, want, key, ok, err)
			}
			if !found {
				i--
			}
			key, ok, err = tb.floor(want, &p)
			if err != nil || ok != (i >= 0) || (ok && key != keys[i]) {
				t.Fatalf("%d keys: floor(%d) = %d, %v, %v", n, want, key, ok, err)
			}
		}
		for i := range keys {
			if got, err := tb.at(i, &p); err != nil || got != keys[i] {
				t.Fatalf("%d keys: at(%d) = %d, %v, want %d", n, i, got, err, keys[i])
			}
		}
	}
}

// TestRoll: the rule looks at the messages alone.
func TestRoll(t *testing.T) {
	o := Options{SegmentBytes: 1000, SegmentMillis: 50}
	for _, tt := range []struct {
		name string
		m    message
		want bool
	}{
		{"fits", message{seq: 101, at: 1000, data: make([]byte, 100)}, true},
		{"fits exactly", message{seq: 101, at: 1049, data: make([]byte, 1000-232-messageWeight)}, true},
		{"is too large", message{seq: 101, at: 1049, data: make([]byte, 1001-232-messageWeight)}, false},
		{"is too late", message{seq: 101, at: 1050}, false},
		{"is too far", message{seq: 100 + 1<<32, at: 1000}, false},
		{"is as far as can be", message{seq: 99 + 1<<32, at: 1000}, true},
	} {
		info := segmentInfo{state: segmentOpen}
		info.add(&message{seq: 100, at: 1000, data: make([]byte, 200)})
		if got := info.takes(&tt.m, &o); got != tt.want {
			t.Errorf("a message that %s: takes = %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestFileCache: descriptors are bounded however many segments are read, also by several readers at once.
func TestFileCache(t *testing.T) {
	s, err := Open(t.TempDir(), Options{
		SegmentBytes: 1000, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Fatal: func(err error) { t.Errorf("store failed: %v", err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.files.max = 3
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	const n = 40
	for seq := uint64(1); seq <= n; seq++ {
		s.Append(1, seq, 1, make([]byte, 900))
	}
	s.Commit(Position{Seq: n}, nil)
	if err := s.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	for s.Stats().SegmentsUnsealed > 1 {
		runtime.Gosched()
	}
	errs := make(chan error)
	for reader := range 4 {
		go func() { errs <- readOften(s, uint64(reader), n) }()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if got := len(s.files.files); got > 3 {
		t.Errorf("%d segments are open, want at most 3", got)
	}
	f, err := s.files.acquire(s.view.Load().sealed[0])
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := errors.Join(<-ended, s.Close()); err != nil {
		t.Errorf("end: %v", err)
	}
	if _, err := f.messages.Stat(); err != nil {
		t.Errorf("Close took a file from its reader: %v", err)
	}
	s.files.release(f)
	if _, err := f.messages.Stat(); err == nil {
		t.Error("the last reader did not close the file")
	}
	if _, _, err := s.Get(1); !errors.Is(err, ErrClosed) {
		t.Errorf("Get after Close = %v, want %v", err, ErrClosed)
	}
}

func readOften(s *Store, reader, n uint64) error {
	for i := range n * 5 {
		if _, ok, err := s.Get(1 + (i*7+reader*13)%n); !ok || err != nil {
			return errors.Join(err, errors.New("a message is missing"))
		}
	}
	return nil
}
