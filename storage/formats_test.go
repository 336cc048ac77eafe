package storage_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"stampede/storage"
	"stampede/storage/storagetest"
)

var rewrite = flag.Bool("rewrite", false, "write golden files of formats that have none yet")

// The golden store holds the golden steps: two of its segments are sealed, one is open.
const (
	goldenStore    = "testdata/formats/v1/store"
	goldenSteps    = "testdata/formats/v1/steps.json"
	goldenSnapshot = "testdata/formats/v1/snapshot.bin" // of that store
)

func goldenOptions() storage.Options {
	return storage.Options{SegmentBytes: 2 << 10, SegmentMillis: 1 << 40, Logger: quiet()}
}

// TestFormats reads what version 1 wrote, and writes it again.
func TestFormats(t *testing.T) {
	if *rewrite {
		writeGolden(t)
		writeGoldenSnapshot(t)
	}
	var steps []storagetest.Step
	if err := json.Unmarshal(read(t, goldenSteps), &steps); err != nil {
		t.Fatal(err)
	}
	t.Run("reads_a_store_of_version_1", func(t *testing.T) {
		dir := t.TempDir()
		copyDir(t, goldenStore, dir)
		s := openStore(t, dir, goldenOptions())
		storagetest.Check(t, s, steps)
		if err := s.Verify(t.Context(), nil); err != nil {
			t.Errorf("Verify: %v", err)
		}
		if got := s.Stats(); got.SegmentsSealed < 2 || got.SegmentsUnsealed != 1 {
			t.Errorf("stats = %+v, want two sealed segments and an open one", got)
		}
	})
	t.Run("reads_a_snapshot_of_version_1", func(t *testing.T) {
		dir := other(t)
		in, err := receive(t, dir, read(t, goldenSnapshot))
		if err != nil {
			t.Fatal(err)
		}
		if err := in.TakeOver(); err != nil {
			t.Fatal(err)
		}
		s := openStore(t, dir, goldenOptions())
		storagetest.Check(t, s, steps)
		if got, want := s.Origin(), steps[len(steps)-1].Position; got.Index != want.Index || got.Digest != want.Digest {
			t.Errorf("origin = %+v, want %+v", got, want)
		}
		for _, name := range segmentFiles(t, goldenStore) {
			if !bytes.Equal(read(t, filepath.Join(dir, "segments", filepath.Base(name))), read(t, name)) {
				t.Errorf("%s differs from the golden one", filepath.Base(name))
			}
		}
	})
	t.Run("writes_the_same_segments", func(t *testing.T) {
		dir := t.TempDir()
		writeStore(t, dir, steps)
		golden := segmentFiles(t, goldenStore)
		for _, name := range golden {
			got, want := read(t, filepath.Join(dir, "segments", filepath.Base(name))), read(t, name)
			if !bytes.Equal(got, want) {
				t.Errorf("%s differs from the golden one", filepath.Base(name))
			}
		}
		if got := segmentFiles(t, dir); len(got) != len(golden) {
			t.Errorf("%d segment files, want %d", len(got), len(golden))
		}
	})
}

func writeStore(t *testing.T, dir string, steps []storagetest.Step) {
	t.Helper()
	s := openStore(t, dir, goldenOptions())
	stop := run(t, s)
	for _, step := range steps {
		step.Write(s)
	}
	mustSync(t, s)
	awaitSealed(t, s)
	stop()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// writeGolden makes the golden store, unless there is one: those are kept for ever.
func writeGolden(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(goldenStore); err == nil {
		return // a new format has a new folder
	}
	steps := storagetest.Script{Seed: 1, MessagesMax: 12, BytesMax: 120}.Steps(10)
	dir := t.TempDir()
	writeStore(t, dir, steps)
	copyDir(t, dir, goldenStore)
	compact(t, filepath.Join(dir, "state.db"), filepath.Join(goldenStore, "state.db"))
	b, err := json.MarshalIndent(steps, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(goldenSteps, append(b, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
}

// writeGoldenSnapshot likewise.
func writeGoldenSnapshot(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(goldenSnapshot); err == nil {
		return
	}
	dir := t.TempDir()
	copyDir(t, goldenStore, dir)
	b, _ := stream(t, openStore(t, dir, goldenOptions()))
	if err := os.WriteFile(goldenSnapshot, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// compact copies a state.db without its free space.
func compact(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Remove(to); err != nil {
		t.Fatal(err)
	}
	src, err := bbolt.Open(from, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	dst, err := bbolt.Open(to, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := bbolt.Compact(dst, src, 0); err != nil {
		t.Fatal(err)
	}
	for _, db := range []*bbolt.DB{src, dst} {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// setFormat writes another format number into a state.db.
func setFormat(t *testing.T, dir string, format uint32) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, "state.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		meta := tx.Bucket([]byte("meta"))
		if got := meta.Get([]byte("format")); !bytes.Equal(got, []byte{0, 0, 0, 1}) {
			return fmt.Errorf("format is % x", got)
		}
		return meta.Put([]byte("format"), binary.BigEndian.AppendUint32(nil, format))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
