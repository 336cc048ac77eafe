package storage_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"stampede/storage"
	"stampede/storage/storagetest"
)

// small makes segments of a few blocks.
func small() storage.Options {
	return storage.Options{SegmentBytes: 48 << 10, SegmentMillis: 2000, Logger: quiet()}
}

func crashScript() storagetest.Script {
	return storagetest.Script{Seed: 11, MessagesMax: 60, BytesMax: 900}
}

// copier takes a copy of a store's folder before every operation of it. Operations wait while it copies, and a commit
// of bbolt is one operation for it: what is inside of that is TestCrash/inside_of_a_commit's.
type copier struct {
	t    testing.TB
	from string
	into func() string

	mu      sync.Mutex // held while copying and while bbolt commits
	durable atomic.Uint64
	copies  []crashCopy // guarded by mu
}

type crashCopy struct {
	dir   string
	least uint64
	after storage.Op
}

func (c *copier) hook(op storage.Op, _ string) error {
	if op == storage.OpCommitted {
		c.mu.Unlock()
	}
	c.mu.Lock()
	least := c.durable.Load()
	dir := c.into()
	copyDir(c.t, c.from, dir)
	c.copies = append(c.copies, crashCopy{dir, least, op})
	if op != storage.OpCommit {
		c.mu.Unlock()
	}
	return nil
}

// copyDir copies a folder that nobody writes to but for temporary files. Pages of zeros stay holes.
func copyDir(t testing.TB, from, to string) {
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := filepath.Join(to, strings.TrimPrefix(path, from))
		if d.IsDir() {
			return os.MkdirAll(name, 0o700)
		}
		b, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil // renamed meanwhile: a crash could have come before that as well
		}
		if err != nil {
			return err
		}
		return writeSparse(name, b)
	})
	if err != nil {
		t.Errorf("copy store: %v", err)
	}
}

func writeSparse(name string, b []byte) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	const pageBytes = 4096
	zeros := make([]byte, pageBytes)
	for at := 0; at < len(b); at += pageBytes {
		page := b[at:min(at+pageBytes, len(b))]
		if bytes.Equal(page, zeros[:len(page)]) {
			continue
		}
		if _, err := f.WriteAt(page, int64(at)); err != nil {
			return err
		}
	}
	if err := f.Truncate(int64(len(b))); err != nil {
		return err
	}
	return f.Close()
}

// TestCrash proves S1 and S2 of storagetest for crashes at any moment.
func TestCrash(t *testing.T) {
	t.Run("between_any_two_operations", crashBetween)
	t.Run("inside_of_a_commit", crashInside)
	t.Run("of_the_process", crashProcess)
}

func crashBetween(t *testing.T) {
	dir, copies := t.TempDir(), t.TempDir()
	c := &copier{t: t, from: dir}
	c.into = func() string { return filepath.Join(copies, strconv.Itoa(len(c.copies))) }
	script, o := crashScript(), small()
	s := openStore(t, dir, small()) // without copies
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	o.Fault = c.hook
	s = openStore(t, dir, o)
	stop := run(t, s)
	const steps = 5
	for n := uint64(1); n <= steps; n++ {
		script.Write(s, n)
		if n%2 == 0 {
			mustSync(t, s)
			c.durable.Store(n)
			awaitSealed(t, s)
		}
	}
	stop()
	seen := map[storage.Op]int{}
	for i, copied := range c.copies {
		if testing.Short() && i%10 != 0 {
			continue
		}
		seen[copied.after]++
		checkCopy(t, copied.dir, copied.least, fmt.Sprintf("copy %d, before %s", i, copied.after))
	}
	if !testing.Short() && (seen[storage.OpRenameSegment] < 4 || seen[storage.OpSyncDir] < 3 || seen[storage.OpCommitted] < 4) {
		t.Errorf("copies were taken before %v: too few of some kind", seen)
	}
}

// checkCopy opens a copy, checks it, and lets it go on.
func checkCopy(t *testing.T, dir string, least uint64, what string) {
	t.Helper()
	script := crashScript()
	s := openStore(t, dir, small())
	stop := run(t, s)
	at := script.Check(t, s, least)
	script.Write(s, at+1)
	mustSync(t, s)
	awaitSealed(t, s)
	script.Check(t, s, at+1)
	stop()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if t.Failed() {
		t.Fatal(what)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
}

// crashInside makes what a power cut inside of a commit leaves: bbolt writes its pages in no order, syncs, and then
// writes one of the two meta pages, which may be torn.
func crashInside(t *testing.T) {
	const pageBytes, metaPages = 4096, 2
	dir := t.TempDir()
	var before []byte
	type pair struct{ before, after []byte }
	var pairs []pair
	o := small()
	o.SegmentBytes = 1 << 20 // all in state.db
	o.Fault = func(op storage.Op, _ string) error {
		if op != storage.OpCommit && op != storage.OpCommitted {
			return nil
		}
		b, err := os.ReadFile(filepath.Join(dir, "state.db"))
		if err != nil {
			t.Error(err)
		}
		if op == storage.OpCommit {
			before = b
		} else {
			pairs = append(pairs, pair{before, b})
		}
		return nil
	}
	script := crashScript()
	s := openStore(t, dir, o)
	stop := run(t, s)
	for n := uint64(1); n <= 6; n++ {
		script.Write(s, n)
		mustSync(t, s)
	}
	stop()
	r := rand.New(rand.NewPCG(1, 2))
	for i, p := range pairs {
		for try := range 6 {
			state := bytes.Clone(p.after)
			for page := metaPages; page < len(p.before)/pageBytes; page++ {
				if r.IntN(2) == 0 {
					copy(state[page*pageBytes:(page+1)*pageBytes], p.before[page*pageBytes:])
				}
			}
			what := "pages written in part"
			copy(state[:metaPages*pageBytes], p.before)
			if try%3 == 2 { // the data is there, a meta page is torn
				what = "meta page torn"
				copy(state[metaPages*pageBytes:], p.after[metaPages*pageBytes:])
				torn := r.IntN(60)
				for m := range metaPages {
					copy(state[m*pageBytes+16:m*pageBytes+16+torn], p.after[m*pageBytes+16:])
				}
			}
			crashed := t.TempDir()
			if err := writeSparse(filepath.Join(crashed, "state.db"), state); err != nil {
				t.Fatal(err)
			}
			checkCopy(t, crashed, uint64(i), fmt.Sprintf("commit %d, %s", i+1, what))
		}
	}
}

// childEnv names the folder that a child of this test binary writes to until it is killed.
const childEnv = "STORAGE_TEST_CHILD"

// childMain is the child: it writes steps for ever, and says which are durable.
func childMain(dir string) {
	o := small()
	o.FlushInterval = 1 // as often as it can
	s, err := storage.Open(dir, o)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	go runChild(s)
	for n := s.Position().Index + 1; ; n++ {
		crashScript().Write(s, n)
		if n%3 == 0 || s.Full() {
			_ = s.Sync(context.Background()) // the parent kills us
			fmt.Println(s.Position().Index)
		}
	}
}

func runChild(s *storage.Store) { _ = s.Run(context.Background()) }

func crashProcess(t *testing.T) {
	dir := t.TempDir()
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	var least uint64
	for round := range rounds {
		durable := killChild(t, dir, 3+round*2)
		if durable <= least {
			t.Errorf("round %d: child came to step %d, after %d", round, durable, least)
		}
		s := openStore(t, dir, small())
		least = crashScript().Check(t, s, durable)
		if err := s.Verify(t.Context(), nil); err != nil {
			t.Errorf("Verify: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

// killChild runs a child until it has said so many lines, kills it and returns the last durable step it spoke of.
func killChild(t *testing.T, dir string, lines int) (durable uint64) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+dir)
	child.Stderr = io.Discard
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(out)
	for i := 0; scanner.Scan(); i++ {
		step, err := strconv.ParseUint(scanner.Text(), 10, 64)
		if err != nil {
			t.Errorf("child says %q", scanner.Text())
			break
		}
		durable = step
		if i == lines {
			if err := child.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	_ = child.Wait() // killed
	return durable
}

// TestSealOrder: temp, sync, rename, sync folder, and only then does state.db speak of the files. What a power cut loses
// cannot be seen in a test, so the order is.
func TestSealOrder(t *testing.T) {
	var mu sync.Mutex
	var order []storage.Op
	o := small()
	o.Fault = func(op storage.Op, _ string) error {
		mu.Lock()
		defer mu.Unlock()
		if n := len(order); n == 0 || order[n-1] != op {
			order = append(order, op)
		}
		return nil
	}
	s := openStore(t, t.TempDir(), o)
	stop := run(t, s)
	s.Append(1, 1, 1, make([]byte, 40<<10))
	s.Append(1, 2, 1, make([]byte, 40<<10))
	s.Commit(storage.Position{Seq: 2}, nil)
	mustSync(t, s)
	awaitSealed(t, s)
	stop()
	want := []storage.Op{
		storage.OpSyncDir, // open
		storage.OpBegin, storage.OpPutBlock, storage.OpPutPosition, storage.OpCommit, storage.OpCommitted,
		storage.OpCreateSegment, storage.OpWriteSegment, storage.OpSyncSegment, storage.OpRenameSegment,
		storage.OpCreateSegment, storage.OpWriteSegment, storage.OpSyncSegment, storage.OpRenameSegment,
		storage.OpSyncDir,
		storage.OpBegin, storage.OpCommit, storage.OpCommitted,
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(order, want) {
		t.Errorf("operations came as\n%v, want\n%v", order, want)
	}
}
