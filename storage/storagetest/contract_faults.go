package storagetest

// The part of the contract that is about faults: whatever operation fails, what is opened afterwards is a prefix.

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"testing"

	"stampede/storage"
)

// faultSteps is short, since the script is run once for each of its operations; it is enough to seal some segments.
const faultSteps = 9

func faultScript() Script { return Script{Seed: 7, MessagesMax: 60, BytesMax: 1500} }

// testFaults fails each operation of a run in turn.
func testFaults(t *testing.T, open Opener) {
	var f Faults
	inDir(t, func(dir string) { runUntilFault(t, open, dir, &f) })
	total, ops := f.Seen(), f.Ops()
	for _, op := range []storage.Op{
		storage.OpBegin, storage.OpPutBlock, storage.OpPutRecord, storage.OpPutPosition, storage.OpCommit, storage.OpCommitted,
		storage.OpCreateSegment, storage.OpWriteSegment, storage.OpSyncSegment, storage.OpRenameSegment, storage.OpSyncDir,
	} {
		if ops[op] == 0 {
			t.Fatalf("the script never meets %s: %v", op, ops)
		}
	}
	stride := 1
	if testing.Short() {
		stride = 7
	}
	for n := 1; n <= total; n += stride {
		failAt(t, open, n, "")
	}
	for op, times := range ops {
		if op != storage.OpPutRecord && op != storage.OpPutBlock && op != storage.OpWriteSegment { // enough of these are above
			failAt(t, open, 1, op)
			failAt(t, open, times, op)
		}
	}
}

// failAt fails one operation, opens again, checks, and goes on writing.
func failAt(t *testing.T, open Opener, n int, op storage.Op) {
	t.Helper()
	inDir(t, func(dir string) {
		var f Faults
		f.FailNth(n, op)
		durable := runUntilFault(t, open, dir, &f)
		session(t, open, dir, small(), func(s Store) {
			at := faultScript().Check(t, s, durable)
			for i := at + 1; i <= at+4; i++ {
				faultScript().Write(s, i)
			}
			Sync(t, s)
			awaitSealed(t, s)
			faultScript().Check(t, s, at+4)
			if err := s.Verify(t.Context(), nil); err != nil {
				t.Errorf("Verify: %v", err)
			}
		})
		if t.Failed() {
			t.Fatalf("after a fault of operation %d (%s)", n, op)
		}
	})
}

// runUntilFault writes the script until it is done or a fault ends it, and returns the last step that is durable for sure.
func runUntilFault(t testing.TB, open Opener, dir string, f *Faults) (durable uint64) {
	t.Helper()
	o := small()
	o.Fault = f.Hook
	o.Fatal = func(error) {}
	if s, err := open(dir, o); errors.Is(err, ErrInjected) {
		return 0
	} else if err != nil {
		t.Fatalf("open: %v", err)
	} else {
		open = func(string, storage.Options) (Store, error) { return s, nil }
	}
	s, stop := Start(t, open, dir, o)
	for n := uint64(1); n <= faultSteps; n++ {
		faultScript().Write(s, n)
		if n%3 != 0 {
			continue
		}
		if s.Sync(t.Context()) != nil {
			break
		}
		durable = n
		for s.Stats().SegmentsUnsealed > 1 && !f.Tripped() {
			runtime.Gosched()
		}
	}
	switch err := stop(); {
	case err == nil && !f.Tripped():
		return faultSteps
	case err != nil && !errors.Is(err, ErrInjected):
		t.Errorf("Run = %v, want the injected fault", err)
	}
	return durable
}

// testFaultsAtOpen leaves files behind that open has to clear away, and fails it at each of its operations.
func testFaultsAtOpen(t *testing.T, open Opener) {
	for _, crash := range []storage.Op{storage.OpSyncSegment, storage.OpRenameSegment, storage.OpSyncDir} {
		inDir(t, func(dir string) {
			var f Faults
			f.FailNth(4, crash)
			durable := runUntilFault(t, open, dir, &f)
			if !f.Tripped() {
				t.Fatalf("the script meets %s less than four times", crash)
			}
			o := small()
			o.Fault = f.Hook
			failed := 0
			for n := 1; ; n++ {
				f.FailNth(n, "")
				s, err := open(dir, o)
				if err == nil {
					f.FailNth(0, "")
					faultScript().Check(t, s, durable)
					if err := s.Close(); err != nil {
						t.Errorf("Close: %v", err)
					}
					break
				}
				if failed++; !errors.Is(err, ErrInjected) {
					t.Fatalf("open = %v, want the injected fault", err)
				}
			}
			if failed < 3 {
				t.Errorf("open met %d operations after a fault of %s, want at least 3", failed, crash)
			}
		})
	}
}

func testFatal(t *testing.T, open Opener) {
	var f Faults
	var calls atomic.Int32
	o := small()
	o.Fault = f.Hook
	o.Fatal = func(err error) {
		calls.Add(1)
		if !errors.Is(err, ErrInjected) {
			t.Errorf("Fatal(%v), want the injected fault", err)
		}
	}
	dir := t.TempDir()
	s, stop := Start(t, open, dir, o)
	s.Append(1, 1, 1, []byte("kept"))
	s.Commit(storage.Position{Seq: 1, Index: 1}, nil)
	Sync(t, s)
	f.FailNth(1, storage.OpCommit)
	s.Append(1, 2, 1, []byte("lost"))
	s.Commit(storage.Position{Seq: 2, Index: 2}, nil)
	if err := s.Sync(t.Context()); err == nil {
		t.Error("Sync after a failed commit = nil")
	}
	if err := stop(); !errors.Is(err, ErrInjected) {
		t.Errorf("Run = %v, want the injected fault", err)
	}
	if err := s.Sync(t.Context()); err == nil {
		t.Error("Sync of a failed store = nil")
	}
	if got := s.Position().Seq; got != 1 {
		t.Errorf("position of a failed store = %d, want 1", got)
	}
	if got := calls.Load(); got != 1 {
		t.Errorf("Fatal was called %d times, want once", got)
	}
	session(t, open, dir, small(), func(s Store) {
		if _, ok, err := s.Get(2); ok || err != nil {
			t.Errorf("Get of what was not committed = %v, %v, want nothing", ok, err)
		}
	})
}

// inDir runs fn with a folder that is gone afterwards, so that hundreds of them do not pile up.
func inDir(t testing.TB, fn func(dir string)) {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "store")
	if err != nil {
		t.Fatal(fmt.Errorf("temporary folder: %w", err))
	}
	fn(dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}
