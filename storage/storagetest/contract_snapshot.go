package storagetest

// The part of the contract that is about snapshots: whatever operation fails while a store is replaced, the old one is there or the new one.

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"stampede/storage"
)

// What the replaced store holds, and what replaces it: a few steps each, and some sealed segments.
const (
	replacedSteps  = 4
	replacingSteps = faultSteps
)

func replacedScript() Script { return Script{Seed: 3, MessagesMax: 40, BytesMax: 500} }

// testTakeOver replaces a store by a snapshot of another, and fails each operation of that in turn.
func testTakeOver(t *testing.T, open Opener) {
	source := filepath.Join(t.TempDir(), "state")
	session(t, open, source, small(), func(s Store) {
		for n := uint64(1); n <= replacingSteps; n++ {
			faultScript().Write(s, n)
		}
		Sync(t, s)
		awaitSealed(t, s)
		if s.Stats().SegmentsSealed < 2 {
			t.Fatalf("%d sealed segments, want some", s.Stats().SegmentsSealed)
		}
	})
	from, err := storage.Open(source, strict(t, small()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := from.Close(); err != nil {
			t.Error(err)
		}
	}()
	var f Faults
	replaceOnce(t, open, from, &f, false)
	total, ops := f.Seen(), f.Ops()
	for _, op := range []storage.Op{
		storage.OpCreateSegment, storage.OpWriteSegment, storage.OpSyncSegment, storage.OpRenameSegment, storage.OpSyncDir, storage.OpPutAside, storage.OpTakeOver,
	} {
		if ops[op] == 0 {
			t.Fatalf("a takeover never meets %s: %v", op, ops)
		}
	}
	stride := 1
	if testing.Short() {
		stride = 5
	}
	taken := 0
	for n := 1; n <= total; n += stride {
		for _, clears := range []bool{false, true} {
			f.FailNth(n, "")
			if replaceOnce(t, open, from, &f, clears) && !clears {
				taken++
			}
			if t.Failed() {
				t.Fatalf("after a fault of operation %d of %d, clearing away: %t", n, total, clears)
			}
		}
	}
	if stride == 1 && (taken == 0 || taken == total) {
		t.Errorf("%d of %d faults came after the new store was in place, want some and not all", taken, total)
	}
}

// replaceOnce replaces a store until it is done or a fault ends it, leaves everything as a crash there would or clears away as a node that lives
// does, and opens what is there. taken says that it is the new one.
func replaceOnce(t *testing.T, open Opener, from *storage.Store, f *Faults, clears bool) (taken bool) {
	t.Helper()
	inDir(t, func(parent string) {
		dir := filepath.Join(parent, "state")
		session(t, open, dir, small(), func(s Store) {
			for n := uint64(1); n <= replacedSteps; n++ {
				replacedScript().Write(s, n)
			}
			Sync(t, s)
		})
		o := small()
		o.Fault = f.Hook
		if err := replace(t, from, dir, o, clears); err != nil && !errors.Is(err, ErrInjected) {
			t.Errorf("replace = %v, want the injected fault", err)
		}
		o.Fault = nil
		session(t, open, dir, o, func(s Store) {
			switch taken = s.(*storage.Store).Origin().Index != 0; {
			case taken:
				faultScript().Check(t, s, replacingSteps)
				faultScript().Write(s, replacingSteps+1)
			default:
				replacedScript().Check(t, s, replacedSteps)
				replacedScript().Write(s, replacedSteps+1)
			}
			Sync(t, s)
			if err := s.Verify(t.Context(), nil); err != nil {
				t.Errorf("Verify: %v", err)
			}
		})
		if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
			t.Errorf("beside the store: %v, %v, want nothing", entries, err)
		}
	})
	return taken
}

// replace does all that a node does; the clearing away only when it is asked to: a crash could come before that.
func replace(t *testing.T, from *storage.Store, dir string, o storage.Options, clears bool) (err error) {
	t.Helper()
	snapshot, err := from.OpenSnapshot(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := snapshot.Close(); err != nil {
			t.Error(err)
		}
	}()
	in, err := storage.Receive(dir, o)
	if err != nil {
		return err
	}
	if clears {
		defer func() { err = errors.Join(err, in.Close()) }()
	}
	if _, err := io.Copy(in, snapshot); err != nil {
		_, finishing := in.Finish() // ends the reading side
		return errors.Join(err, finishing)
	}
	s, err := in.Finish()
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	return in.TakeOver()
}

// testSettleFaults fails each step of open after a crash between the two renames, and after both.
func testSettleFaults(t *testing.T, open Opener) {
	for _, crashed := range []storage.Op{storage.OpTakeOver, ""} {
		inDir(t, func(parent string) {
			dir := filepath.Join(parent, "state")
			for _, name := range []string{dir, dir + ".receiving"} {
				session(t, open, name, small(), func(s Store) {
					replacedScript().Write(s, 1)
					Sync(t, s)
				})
			}
			if err := os.Rename(dir, dir+".replaced"); err != nil {
				t.Fatal(err)
			}
			if crashed == "" {
				if err := os.Rename(dir+".receiving", dir); err != nil {
					t.Fatal(err)
				}
			}
			var f Faults
			o := strict(t, small())
			o.Fault = f.Hook
			failed := 0
			for n := 1; ; n++ {
				f.FailNth(n, storage.OpSettle)
				s, err := open(dir, o)
				if err == nil {
					f.FailNth(0, "")
					replacedScript().Check(t, s, 1)
					if err := s.Close(); err != nil {
						t.Error(err)
					}
					break
				}
				if failed++; !errors.Is(err, ErrInjected) {
					t.Fatalf("open = %v, want the injected fault", err)
				}
			}
			if failed == 0 {
				t.Errorf("open met no step after a crash at %q", crashed)
			}
			if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
				t.Errorf("beside the store: %v, %v, want nothing", entries, err)
			}
		})
	}
}
