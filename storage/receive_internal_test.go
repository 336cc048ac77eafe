package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	bolterrors "go.etcd.io/bbolt/errors"
)

// TestReceiveOfADamagedState takes streams that are whole, of a state.db one page of which is not: each is refused or makes a sound store.
func TestReceiveOfADamagedState(t *testing.T) {
	o := Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Fatal: func(err error) { t.Errorf("store failed: %v", err) }}
	head, state := snapshotParts(t, o)
	page := os.Getpagesize()
	refused := 0
	for at := 0; at < len(state); at += page {
		for _, flags := range []byte{0, 0x01, 0x02, 0x10} {
			damaged := bytes.Clone(state)
			damaged[at+8] = flags // branch, leaf, freelist, or none of these
			if bytes.Equal(damaged, state) {
				continue
			}
			stream := binary.BigEndian.AppendUint32(append(bytes.Clone(head), damaged...), checksum(damaged))
			if err := receiveOnce(t, append(stream, snapshotEnd...), o); err != nil {
				if !errors.Is(err, ErrCorrupt) && !errors.Is(err, bolterrors.ErrInvalid) {
					t.Logf("page %d, flags %x: %v", at/page, flags, err)
				}
				refused++
			}
		}
	}
	if refused == 0 {
		t.Error("nothing was refused: the pages are not what this test is about")
	}
}

// snapshotParts gives the head of a snapshot without sealed segments, and its state.db.
func snapshotParts(t *testing.T, o Options) (head, state []byte) {
	t.Helper()
	s, err := Open(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	f := newFlusher(s)
	for seq := uint64(1); seq <= 40; seq++ {
		s.Append(1, seq, 1, make([]byte, 1000))
		change := append(binary.AppendUvarint(nil, 3), "key"...)
		s.Commit(Position{Seq: seq, Index: seq, Term: 1}, append(append(change, 6), "value"...))
		if err := f.flush(); err != nil {
			t.Fatal(err)
		}
	}
	snapshot, err := s.OpenSnapshot(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := io.ReadAll(snapshot)
	if err := errors.Join(err, snapshot.Close()); err != nil {
		t.Fatal(err)
	}
	end := len(stream) - len(snapshotEnd) - crcBytes
	return stream[:end-int(snapshot.bytes)], stream[end-int(snapshot.bytes) : end]
}

// receiveOnce does with a stream what a node does, up to the takeover.
func receiveOnce(t *testing.T, stream []byte, o Options) error {
	t.Helper()
	parent, err := os.MkdirTemp(t.TempDir(), "receive")
	if err != nil {
		t.Fatal(err)
	}
	in, err := Receive(filepath.Join(parent, "state"), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := in.Write(stream); err != nil {
		return err
	}
	s, err := in.Finish()
	if err != nil {
		return err
	}
	for range s.Records() {
	}
	return errors.Join(s.Verify(t.Context(), nil), s.Close())
}
