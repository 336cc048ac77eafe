package storage_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"testing"

	"stampede/storage"
	"stampede/storage/storagetest"
)

// stream reads a whole snapshot of a store.
func stream(t *testing.T, s *storage.Store) ([]byte, storage.Position) {
	t.Helper()
	snapshot, err := s.OpenSnapshot(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	if err := snapshot.Close(); err != nil {
		t.Error(err)
	}
	if got := int64(len(b)); got != snapshot.Size {
		t.Errorf("stream has %d bytes, said %d", got, snapshot.Size)
	}
	return b, snapshot.Position
}

// sent is the stream of a store with sealed segments and an open one, which holds crashScript up to a step.
func sent(t *testing.T) (b []byte, step uint64) {
	t.Helper()
	dir := t.TempDir()
	sealedStore(t, dir)
	s := openStore(t, dir, small())
	b, pos := stream(t, s)
	if pos.Index != sealedSteps {
		t.Fatalf("snapshot is of step %d, want %d", pos.Index, sealedSteps)
	}
	return b, pos.Index
}

// otherScript is what a store holds before it is replaced.
func otherScript() storagetest.Script {
	return storagetest.Script{Seed: 5, MessagesMax: 20, BytesMax: 300}
}

const otherSteps = 3

func other(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "state")
	s := openStore(t, dir, small())
	stop := run(t, s)
	for n := uint64(1); n <= otherSteps; n++ {
		otherScript().Write(s, n)
	}
	mustSync(t, s)
	stop()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// receive gives a stream to the store in dir, up to the check of it.
func receive(t *testing.T, dir string, stream []byte) (*storage.Incoming, error) {
	t.Helper()
	in, err := storage.Receive(dir, small())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	})
	_, _ = in.Write(stream) // Finish says what was wrong
	s, err := in.Finish()
	if err != nil {
		return in, err
	}
	return in, s.Close()
}

// wantAlone checks that nothing is left beside the store.
func wantAlone(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the store: %v, %v, want nothing", entries, err)
	}
}

// wantOther opens the store and finds what it held before.
func wantOther(t *testing.T, dir string) {
	t.Helper()
	s := openStore(t, dir, small())
	otherScript().Check(t, s, otherSteps)
	if s.Origin().Index != 0 {
		t.Errorf("origin = %+v, want none", s.Origin())
	}
	wantAlone(t, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSnapshot(t *testing.T) {
	t.Run("replaces_a_store", testSnapshotReplacesAStore)
	t.Run("can_be_read_before_it_takes_the_place", testSnapshotCanBeReadBefore)
	t.Run("is_dropped_when_it_is_not_taken_over", testSnapshotIsDropped)
	t.Run("is_not_taken_over_after_close", testSnapshotIsNotTakenOverAfterClose)
	t.Run("may_be_broken_off", testSnapshotMayBeBrokenOff)
	t.Run("may_be_left_half_read", testSnapshotMayBeLeftHalfRead)
	t.Run("ends_with_its_context", testSnapshotEndsWithItsContext)
	t.Run("lets_its_store_go_when_its_context_ends", testSnapshotLetsItsStoreGo)
	t.Run("does_not_hold_its_store", testSnapshotDoesNotHoldItsStore)
	t.Run("of_an_empty_store_is_an_error", testSnapshotOfAnEmptyStore)
}

func testSnapshotReplacesAStore(t *testing.T) {
	b, step := sent(t)
	dir := other(t)
	in, err := receive(t, dir, b)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.TakeOver(); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	wantAlone(t, dir)
	s := openStore(t, dir, small())
	script := crashScript()
	script.Check(t, s, step)
	if err := s.Verify(t.Context(), nil); err != nil {
		t.Errorf("Verify: %v", err)
	}
	if got, want := s.Origin(), script.Step(step).Position; got.Index != want.Index || got.Chain != want.Chain || got.Digest != want.Digest {
		t.Errorf("origin = %+v, want %+v", got, want)
	}
	stop := run(t, s)
	for n := step + 1; n <= step+6; n++ { // it goes on like any other, and seals what came open
		script.Write(s, n)
	}
	mustSync(t, s)
	awaitSealed(t, s)
	script.Check(t, s, step+6)
	stop()
}

func testSnapshotCanBeReadBefore(t *testing.T) {
	b, step := sent(t)
	dir := other(t)
	in, err := storage.Receive(dir, small())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write(b); err != nil {
		t.Fatal(err)
	}
	s, err := in.Finish()
	if err != nil {
		t.Fatal(err)
	}
	crashScript().Check(t, s, step)
	if err := errors.Join(s.Close(), in.Close()); err != nil {
		t.Error(err)
	}
	wantOther(t, dir)
}

func testSnapshotIsDropped(t *testing.T) {
	b, _ := sent(t)
	dir := other(t)
	if _, err := receive(t, dir, b); err != nil {
		t.Fatal(err)
	}
	wantOther(t, dir)
}

func testSnapshotMayBeBrokenOff(t *testing.T) {
	b, _ := sent(t)
	dir := other(t)
	in, err := storage.Receive(dir, small())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write(b[:len(b)/2]); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	wantAlone(t, dir)
	if _, err := in.Write(b[len(b)/2:]); err == nil {
		t.Error("Write after Close = nil, want an error")
	}
	if _, err := in.Finish(); err == nil {
		t.Error("Finish after Close = nil, want an error")
	}
	wantOther(t, dir)
}

func testSnapshotMayBeLeftHalfRead(t *testing.T) {
	dir := t.TempDir()
	sealedStore(t, dir)
	s := openStore(t, dir, small())
	snapshot, err := s.OpenSnapshot(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(snapshot, make([]byte, snapshot.Size-1000)); err != nil {
		t.Fatal(err)
	}
	if err := snapshot.Close(); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "snapshot-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func testSnapshotEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	sealedStore(t, dir)
	s := openStore(t, dir, small())
	ctx, cancel := context.WithCancel(t.Context())
	snapshot, err := s.OpenSnapshot(ctx, 1) // a byte a second
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, snapshot)
		ended <- err
	}()
	cancel()
	if err := <-ended; err == nil {
		t.Error("stream came to its end")
	}
	if err := snapshot.Close(); err != nil {
		t.Error(err)
	}
}

// A snapshot that nobody began to read lets its store be closed as soon as its context ends.
func testSnapshotLetsItsStoreGo(t *testing.T) {
	dir := t.TempDir()
	sealedStore(t, dir)
	s := openStore(t, dir, small())
	ctx, cancel := context.WithCancel(t.Context())
	snapshot, err := s.OpenSnapshot(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := snapshot.Read(make([]byte, 10)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("Read afterwards = %v, want an error", err)
	}
	if err := snapshot.Close(); err != nil {
		t.Error(err)
	}
}

// A snapshot that nobody goes on reading keeps neither the flusher, nor the sealer, nor Close waiting; and what is then read is still whole.
func testSnapshotDoesNotHoldItsStore(t *testing.T) {
	dir := t.TempDir()
	sealedStore(t, dir)
	s := openStore(t, dir, small())
	snapshot, err := s.OpenSnapshot(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	begin := make([]byte, 10)
	if _, err := io.ReadFull(snapshot, begin); err != nil {
		t.Fatal(err)
	}
	stop := run(t, s)
	for n := uint64(sealedSteps + 1); n <= sealedSteps+6; n++ {
		crashScript().Write(s, n)
		mustSync(t, s)
	}
	awaitSealed(t, s)
	stop()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	if err := snapshot.Close(); err != nil {
		t.Error(err)
	}
	to := other(t)
	in, err := receive(t, to, append(begin, rest...))
	if err != nil {
		t.Fatal(err)
	}
	if err := in.TakeOver(); err != nil {
		t.Fatal(err)
	}
	if got := crashScript().Check(t, openStore(t, to, small()), sealedSteps); got != sealedSteps {
		t.Errorf("store received is at step %d, want %d", got, sealedSteps)
	}
}

func testSnapshotOfAnEmptyStore(t *testing.T) {
	if _, err := openStore(t, t.TempDir(), small()).OpenSnapshot(t.Context(), 0); err == nil {
		t.Error("OpenSnapshot of an empty store = nil, want an error")
	}
}

func testSnapshotIsNotTakenOverAfterClose(t *testing.T) {
	b, _ := sent(t)
	to := other(t)
	in, err := receive(t, to, b)
	if err := errors.Join(err, in.Close()); err != nil {
		t.Fatal(err)
	}
	if err := in.TakeOver(); err == nil {
		t.Error("TakeOver = nil, want an error")
	}
	wantOther(t, to)
}

// TestSnapshotWhileWriting: each stream taken beside the flusher and the sealer is one step of the script, whole.
func TestSnapshotWhileWriting(t *testing.T) {
	s := openStore(t, t.TempDir(), small())
	stop := run(t, s)
	script := crashScript()
	script.Write(s, 1)
	mustSync(t, s)
	written := make(chan struct{})
	go func() {
		defer close(written)
		for n := uint64(2); n <= 80; n++ {
			script.Write(s, n)
			_ = s.Sync(t.Context()) // a failure fails the test by Fatal
		}
	}()
	var last uint64
	for taken := 0; ; taken++ {
		over := false
		select {
		case <-written:
			over = true
		default:
		}
		b, pos := stream(t, s)
		dir := other(t)
		in, err := receive(t, dir, b)
		if err != nil {
			t.Fatal(err)
		}
		if err := in.TakeOver(); err != nil {
			t.Fatal(err)
		}
		received := openStore(t, dir, small())
		if got := script.Check(t, received, pos.Index); got != pos.Index || got < last {
			t.Errorf("store received is at step %d, announced was %d, the one before was at %d", got, pos.Index, last)
		}
		last = pos.Index
		if over {
			if taken < 3 || last != 80 {
				t.Errorf("%d snapshots beside the writer, the last of step %d", taken, last)
			}
			break
		}
	}
	stop()
}

func TestSnapshotIsCheckedBeforeItIsBelieved(t *testing.T) {
	b, _ := sent(t)
	for name, bad := range map[string][]byte{
		"cut_short":         b[:len(b)-1],
		"cut_in_the_middle": b[:len(b)/2],
		"cut_in_the_head":   b[:20],
		"empty":             nil,
		"longer":            append(bytes.Clone(b), 0),
		"of_a_later_version": func() []byte {
			later := bytes.Clone(b)
			later[11] = 2
			return later
		}(),
		"with_a_position_of_a_gigabyte": announce(b, func(head []byte) { binary.BigEndian.PutUint32(head[12:], 1<<30) }),
		"with_a_state_without_end":      announce(b, func(head []byte) { binary.BigEndian.PutUint64(head[len(head)-16:], 1<<62) }),
		"with_a_negative_state":         announce(b, func(head []byte) { binary.BigEndian.PutUint64(head[len(head)-16:], 1<<63) }),
		"with_segments_without_end":     announce(b, func(head []byte) { binary.BigEndian.PutUint32(head[len(head)-8:], 1<<31) }),
		"with_a_segment_too_few":        withoutLastSegment(b),
	} {
		t.Run(name, func(t *testing.T) {
			dir := other(t)
			in, err := receive(t, dir, bad)
			if err == nil {
				t.Error("taken")
			}
			if err := in.Close(); err != nil {
				t.Error(err)
			}
			wantOther(t, dir)
		})
	}
	t.Run("a_changed_byte", func(t *testing.T) {
		dir := other(t)
		for at := 0; at < len(b); at += 1 + len(b)/60 {
			bad := bytes.Clone(b)
			bad[at] ^= 0x40
			if in, err := receive(t, dir, bad); err == nil {
				t.Errorf("taken with byte %d of %d changed", at, len(b))
			} else if err := in.Close(); err != nil {
				t.Error(err)
			}
		}
		wantOther(t, dir)
	})
}

// headBytes is how long the head of a stream is.
func headBytes(b []byte) int { return 16 + int(binary.BigEndian.Uint32(b[12:])) + 16 }

// announce changes the head of a stream, with a checksum that is right.
func announce(b []byte, change func(head []byte)) []byte {
	changed, n := bytes.Clone(b), headBytes(b)
	change(changed[:n])
	binary.BigEndian.PutUint32(changed[n-4:], crc32.Checksum(changed[:n-4], crc32.MakeTable(crc32.Castagnoli)))
	return changed
}

// withoutLastSegment leaves the last segment out, and says so in the head: all is right then, but for what state.db says.
func withoutLastSegment(b []byte) []byte {
	n := headBytes(b)
	at := n + int(binary.BigEndian.Uint64(b[n-16:])) + 4
	var last int
	for range binary.BigEndian.Uint32(b[n-8:]) {
		last = at
		at += 20 + int(binary.BigEndian.Uint64(b[at+8:])) + 4
	}
	less := append(bytes.Clone(b[:last]), b[len(b)-8:]...)
	return announce(less, func(head []byte) { binary.BigEndian.PutUint32(head[n-8:], binary.BigEndian.Uint32(b[n-8:])-1) })
}
