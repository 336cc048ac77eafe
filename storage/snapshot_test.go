package storage_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"stampede/storage"
)

// dump is all that a store holds.
func dump(t *testing.T, s *storage.Store) string {
	t.Helper()
	var b bytes.Buffer
	for k, v := range s.Records() {
		b.WriteString("record ")
		b.Write(k)
		b.WriteByte('=')
		b.Write(v)
		b.WriteByte('\n')
	}
	err := s.Scan(0, func(stream uint32, seq uint64, data []byte) bool {
		b.WriteString("message ")
		b.Write(data)
		b.WriteByte('\n')
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// sent is a store with sealed segments and an open one, and the stream of it.
func sent(t *testing.T) (stream []byte, position storage.Position, content string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	sealedStore(t, dir)
	s := openStore(t, dir, small())
	snapshot, err := s.OpenSnapshot(0)
	if err != nil {
		t.Fatal(err)
	}
	if stream, err = io.ReadAll(snapshot); err != nil {
		t.Fatal(err)
	}
	if err := snapshot.Close(); err != nil {
		t.Fatal(err)
	}
	if got := int64(len(stream)); got != snapshot.Size {
		t.Errorf("stream has %d bytes, said %d", got, snapshot.Size)
	}
	if snapshot.Position.Index != s.Position().Index {
		t.Errorf("snapshot is of index %d, store is at %d", snapshot.Position.Index, s.Position().Index)
	}
	return stream, snapshot.Position, dump(t, s)
}

// other is a store with something else in it.
func other(t *testing.T) (dir, content string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "state")
	s := openStore(t, dir, small())
	stop := run(t, s)
	crashScript().Write(s, 1)
	mustSync(t, s)
	content = dump(t, s)
	stop()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, content
}

func receive(t *testing.T, dir string, stream []byte) (storage.Position, error) {
	t.Helper()
	in, err := storage.Receive(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = in.Write(stream) // Finish says what was wrong
	return in.Finish()
}

// wantContent opens the store in dir and compares.
func wantContent(t *testing.T, dir, want string) *storage.Store {
	t.Helper()
	s := openStore(t, dir, small())
	if got := dump(t, s); got != want {
		t.Errorf("store holds %d bytes, want the %d of the other", len(got), len(want))
	}
	if err := s.Verify(t.Context(), nil); err != nil {
		t.Errorf("verify: %v", err)
	}
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the store: %v, %v, want nothing", entries, err)
	}
	return s
}

func TestSnapshot(t *testing.T) {
	stream, position, content := sent(t)

	t.Run("replaces_a_store", func(t *testing.T) {
		dir, _ := other(t)
		got, err := receive(t, dir, stream)
		if err != nil || got.Index != position.Index || got.Digest != position.Digest {
			t.Fatalf("received %+v, %v, want %+v", got, err, position)
		}
		if err := storage.TakeOver(dir); err != nil {
			t.Fatal(err)
		}
		s := wantContent(t, dir, content)
		if s.Origin() != position.Index {
			t.Errorf("origin = %d, want %d", s.Origin(), position.Index)
		}
		stop := run(t, s)
		last := s.Stats().LastSeq
		s.Append(1, last+1, 1<<40, []byte("after"))
		s.Commit(storage.Position{Seq: last + 1, Index: position.Index + 1, Term: position.Term}, nil)
		mustSync(t, s)
		stop()
	})

	t.Run("is_dropped_when_it_is_not_taken_over", func(t *testing.T) {
		dir, before := other(t)
		if _, err := receive(t, dir, stream); err != nil {
			t.Fatal(err)
		}
		if got := wantContent(t, dir, before).Origin(); got != 0 {
			t.Errorf("origin = %d, want 0", got)
		}
	})

	t.Run("may_be_broken_off", func(t *testing.T) {
		dir, before := other(t)
		in, err := storage.Receive(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.Write(stream[:len(stream)/2]); err != nil {
			t.Fatal(err)
		}
		if err := in.Abort(); err != nil {
			t.Fatal(err)
		}
		wantContent(t, dir, before)
	})

	t.Run("may_be_left_half_read", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "state")
		sealedStore(t, dir)
		s := openStore(t, dir, small())
		snapshot, err := s.OpenSnapshot(1 << 10)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(snapshot, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		if err := snapshot.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSnapshotIsCheckedBeforeItIsBelieved(t *testing.T) {
	stream, _, _ := sent(t)
	for name, bad := range map[string][]byte{
		"cut_short": stream[:len(stream)-1], "cut_in_the_middle": stream[:len(stream)/2], "empty": nil, "longer": append(bytes.Clone(stream), 0),
	} {
		t.Run(name, func(t *testing.T) {
			dir, before := other(t)
			if _, err := receive(t, dir, bad); err == nil {
				t.Error("taken")
			}
			wantContent(t, dir, before)
		})
	}
	t.Run("a_changed_byte", func(t *testing.T) {
		dir, before := other(t)
		for at := 0; at < len(stream); at += 1 + len(stream)/60 {
			bad := bytes.Clone(stream)
			bad[at] ^= 0x40
			if _, err := receive(t, dir, bad); err == nil {
				t.Errorf("taken with byte %d of %d changed", at, len(stream))
			}
		}
		wantContent(t, dir, before)
	})
}

// A crash at any step of the takeover leaves the old store or the new one.
func TestTakeOverOutlivesACrash(t *testing.T) {
	stream, _, content := sent(t)
	for _, c := range []struct {
		name  string
		steps func(dir string) error
		taken bool
	}{
		{"before_it", func(string) error { return nil }, false},
		{"after_the_old_one_has_gone", func(dir string) error { return os.Rename(dir, dir+".replaced") }, false},
		{"after_the_new_one_has_come", func(dir string) error {
			return errors.Join(os.Rename(dir, dir+".replaced"), os.Rename(dir+".received", dir))
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, want := other(t)
			if _, err := receive(t, dir, stream); err != nil {
				t.Fatal(err)
			}
			if err := c.steps(dir); err != nil {
				t.Fatal(err)
			}
			if c.taken {
				want = content
			}
			wantContent(t, dir, want)
		})
	}
}
