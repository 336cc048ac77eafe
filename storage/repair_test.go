package storage_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stampede/storage"
)

const sealedSteps = 12

// sealedStore makes a folder with some sealed segments and an open one, and returns the names of its segment files.
func sealedStore(t *testing.T, dir string) []string {
	t.Helper()
	s := openStore(t, dir, small())
	stop := run(t, s)
	for n := uint64(1); n <= sealedSteps; n++ {
		crashScript().Write(s, n)
	}
	mustSync(t, s)
	awaitSealed(t, s)
	stop()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return segmentFiles(t, dir)
}

func segmentFiles(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "segments"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, filepath.Join(dir, "segments", e.Name()))
	}
	if len(names) < 6 {
		t.Fatalf("%d segment files, want at least 6", len(names))
	}
	return names
}

func indexFiles(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return filepath.Ext(n) != ".idx" })
}

func messageFiles(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return filepath.Ext(n) != ".msg" })
}

func TestRepair(t *testing.T) {
	t.Run("makes_a_lost_index_anew", testRepairMakesALostIndexAnew)
	t.Run("refuses_a_store_that_lost_messages", testRepairRefusesAStoreThatLostMessages)
	t.Run("clears_temporary_files_and_puts_strangers_aside", testRepairClearsTemporaryFilesAndPutsStrangersAside)
	t.Run("refuses_a_later_format", testRepairRefusesALaterFormat)
	t.Run("says_that_state_db_is_in_use", testRepairSaysThatStateDbIsInUse)
	t.Run("reports_a_state_db_that_is_no_such_thing", testRepairReportsAStateDbThatIsNoSuchThing)
}

func testRepairMakesALostIndexAnew(t *testing.T) {
	dir := t.TempDir()
	index := indexFiles(sealedStore(t, dir))[1]
	want := read(t, index)
	for _, spoil := range []func() error{
		func() error { return os.Remove(index) },
		func() error { return os.Truncate(index, 100) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		s := openStore(t, dir, small())
		crashScript().Check(t, s, sealedSteps)
		if got := read(t, index); !bytes.Equal(got, want) {
			t.Errorf("index made anew differs: %d bytes, want %d", len(got), len(want))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func testRepairRefusesAStoreThatLostMessages(t *testing.T) {
	for _, spoil := range []func(name string) error{
		os.Remove,
		func(name string) error { return os.Truncate(name, 200) },
	} {
		dir := t.TempDir()
		name := messageFiles(sealedStore(t, dir))[0]
		if err := spoil(name); err != nil {
			t.Fatal(err)
		}
		if _, err := storage.Open(dir, small()); !errors.Is(err, storage.ErrCorrupt) {
			t.Errorf("Open = %v, want %v", err, storage.ErrCorrupt)
		}
	}
}

func testRepairClearsTemporaryFilesAndPutsStrangersAside(t *testing.T) {
	dir := t.TempDir()
	sealedStore(t, dir)
	segments := filepath.Join(dir, "segments")
	temp, stranger := filepath.Join(segments, "seg-00000000000000000077.msg.tmp"), filepath.Join(segments, "seg-00000000000000999999.msg")
	for _, name := range []string{temp, stranger} {
		if err := os.WriteFile(name, []byte("left over"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var logged strings.Builder
	o := small()
	o.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	crashScript().Check(t, openStore(t, dir, o), sealedSteps)
	if _, err := os.Stat(temp); !os.IsNotExist(err) {
		t.Errorf("temporary file: %v, want it gone", err)
	}
	if got := read(t, stranger+".orphan"); string(got) != "left over" {
		t.Errorf("stranger holds %q afterwards", got)
	}
	if !strings.Contains(logged.String(), "seg-00000000000000999999.msg") {
		t.Errorf("log %q does not name the stranger", logged.String())
	}
}

func testRepairRefusesALaterFormat(t *testing.T) {
	dir := t.TempDir()
	if err := openStore(t, dir, small()).Close(); err != nil {
		t.Fatal(err)
	}
	setFormat(t, dir, 2)
	if _, err := storage.Open(dir, small()); !errors.Is(err, storage.ErrFormat) {
		t.Errorf("Open = %v, want %v", err, storage.ErrFormat)
	}
}

func testRepairSaysThatStateDbIsInUse(t *testing.T) {
	dir := t.TempDir()
	openStore(t, dir, small())
	if _, err := storage.Open(dir, small()); err == nil || !strings.Contains(err.Error(), "state.db") {
		t.Errorf("second Open = %v, want an error that names state.db", err)
	}
}

func testRepairReportsAStateDbThatIsNoSuchThing(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "state.db"), bytes.Repeat([]byte("no database "), 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := storage.Open(dir, small()); err == nil {
		t.Error("Open = nil, want an error")
	}
}

// TestDamage flips single bytes of sealed files: what is read afterwards is right or an error, never something else.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	names := sealedStore(t, dir)
	for _, name := range []string{messageFiles(names)[1], indexFiles(names)[1]} {
		whole := read(t, name)
		stride := len(whole)/60 + 1
		for at := 0; at < len(whole); at += stride {
			spoiled := bytes.Clone(whole)
			spoiled[at] ^= 0x40
			if err := os.WriteFile(name, spoiled, 0o600); err != nil {
				t.Fatal(err)
			}
			checkDamaged(t, dir, filepath.Base(name), at)
		}
		if err := os.WriteFile(name, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	crashScript().Check(t, openStore(t, dir, small()), sealedSteps)
}

func checkDamaged(t *testing.T, dir, name string, at int) {
	t.Helper()
	s, err := storage.Open(dir, small())
	if err != nil {
		t.Fatalf("Open with byte %d of %s flipped: %v", at, name, err)
	}
	defer func() { _ = s.Close() }()
	if err := s.Verify(t.Context(), nil); !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("Verify with byte %d of %s flipped = %v, want %v", at, name, err, storage.ErrCorrupt)
	}
	want := map[uint64][]byte{}
	for n := uint64(1); n <= sealedSteps; n++ {
		for _, m := range crashScript().Step(n).Messages {
			want[m.Seq] = m.Data
		}
	}
	for stream := range uint32(7) {
		err := s.ScanStream(stream, 0, func(seq uint64, data []byte) bool {
			if !bytes.Equal(data, want[seq]) {
				t.Errorf("ScanStream with byte %d of %s flipped: wrong message at %d", at, name, seq)
			}
			return true
		})
		if err != nil && !errors.Is(err, storage.ErrCorrupt) {
			t.Errorf("ScanStream with byte %d of %s flipped = %v, want %v", at, name, err, storage.ErrCorrupt)
		}
	}
	for seq, data := range want {
		got, ok, err := s.Get(seq)
		if errors.Is(err, storage.ErrCorrupt) {
			continue
		}
		if err != nil || !ok || !bytes.Equal(got, data) {
			t.Errorf("Get(%d) with byte %d of %s flipped = %d bytes, %v, %v", seq, at, name, len(got), ok, err)
		}
	}
}

// TestDeterminism writes one script in different flushes: the sealed files are equal byte by byte.
func TestDeterminism(t *testing.T) {
	files := func(every uint64) (all [][]byte, names []string) {
		dir := t.TempDir()
		s := openStore(t, dir, small())
		stop := run(t, s)
		for n := uint64(1); n <= sealedSteps; n++ {
			crashScript().Write(s, n)
			if n%every == 0 {
				mustSync(t, s)
			}
		}
		mustSync(t, s)
		awaitSealed(t, s)
		stop()
		for _, name := range segmentFiles(t, dir) {
			all = append(all, read(t, name))
			names = append(names, filepath.Base(name))
		}
		return all, names
	}
	want, wantNames := files(1)
	for _, every := range []uint64{3, 100} {
		got, names := files(every)
		if !slices.Equal(names, wantNames) {
			t.Fatalf("flushed every %d steps: files %v, want %v", every, names, wantNames)
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Errorf("flushed every %d steps: %s differs", every, names[i])
			}
		}
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
