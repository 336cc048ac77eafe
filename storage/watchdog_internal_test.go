package storage

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// fakeClock is the watchdog's: a step passes when the test says so.
type fakeClock struct {
	t    *testing.T
	step time.Duration
	next func()
}

func (c *fakeClock) after(d time.Duration, f func()) func() bool {
	c.step, c.next = d, f
	return func() bool { c.next = nil; return true }
}

func (c *fakeClock) pass(steps int) {
	for range steps {
		if c.next == nil {
			c.t.Fatal("no write is watched")
		}
		c.next()
	}
}

// fakeLog is a log whose writes do what the test says.
type fakeLog struct {
	raft.InmemStore
	write func() error
}

func (l *fakeLog) StoreLogs([]*raft.Log) error      { return l.write() }
func (l *fakeLog) DeleteRange(uint64, uint64) error { return l.write() }
func (l *fakeLog) Set([]byte, []byte) error         { return l.write() }
func (l *fakeLog) SetUint64([]byte, uint64) error   { return l.write() }
func (l *fakeLog) IsMonotonic() bool                { return true }
func (l *fakeLog) Close() error                     { return nil }

func watched(t *testing.T, write func(c *fakeClock) error) (l *Log, fatal *[]error, logged *strings.Builder) {
	c := &fakeClock{t: t}
	fatal, logged = new([]error), new(strings.Builder)
	l = newLog(&fakeLog{write: func() error { return write(c) }}, LogOptions{
		StallTimeout: 5 * time.Second,
		Fatal:        func(err error) { *fatal = append(*fatal, err) },
		Logger:       slog.New(slog.NewTextHandler(io.MultiWriter(logged), nil)),
	})
	l.dog.after = c.after
	return l, fatal, logged
}

var writes = map[string]func(l *Log) error{
	"append":   func(l *Log) error { return l.StoreLog(&raft.Log{Index: 1}) },
	"truncate": func(l *Log) error { return l.DeleteRange(1, 2) },
	"set":      func(l *Log) error { return l.Set([]byte("k"), nil) },
	"number":   func(l *Log) error { return l.SetUint64([]byte("k"), 1) },
}

func TestWatchdog(t *testing.T) {
	for name, write := range writes {
		t.Run("calls_fatal_for_a_stalled_"+name, func(t *testing.T) {
			var during int
			l, fatal, _ := watched(t, func(c *fakeClock) error {
				c.pass(watchSteps - 1)
				if got := c.step * watchSteps; got != 5*time.Second {
					t.Errorf("the watchdog waits for %v, want 5s", got)
				}
				c.pass(1)
				return nil
			})
			err := write(l)
			during = len(*fatal)
			if during != 1 || !errors.Is((*fatal)[0], ErrStalled) {
				t.Fatalf("Fatal got %v, want %v once", *fatal, ErrStalled)
			}
			if !errors.Is(err, ErrStalled) {
				t.Errorf("the write came back with %v, want %v", err, ErrStalled)
			}
			if err := write(l); !errors.Is(err, ErrStalled) || len(*fatal) != 1 {
				t.Errorf("the next write = %v, Fatal called %d times", err, len(*fatal))
			}
		})
		t.Run("calls_fatal_for_a_failed_"+name, func(t *testing.T) {
			broken := errors.New("input/output error")
			l, fatal, _ := watched(t, func(*fakeClock) error { return broken })
			if err := write(l); !errors.Is(err, broken) {
				t.Errorf("write = %v, want %v", err, broken)
			}
			if len(*fatal) != 1 || !errors.Is((*fatal)[0], broken) {
				t.Errorf("Fatal got %v, want %v once", *fatal, broken)
			}
		})
	}
	t.Run("is_quiet_about_writes_that_end_in_time", testWatchdogIsQuietAboutWritesThatEndInTime)
	t.Run("stands_still_with_the_process", testWatchdogStandsStillWithTheProcess)
	t.Run("forgets_a_step_that_comes_late", testWatchdogForgetsAStepThatComesLate)
}

func testWatchdogIsQuietAboutWritesThatEndInTime(t *testing.T) {
	l, fatal, _ := watched(t, func(c *fakeClock) error { c.pass(watchSteps - 1); return nil })
	for range 3 { // what one took is not held against the next
		if err := l.StoreLog(&raft.Log{Index: 1}); err != nil {
			t.Fatalf("StoreLog = %v", err)
		}
	}
	if len(*fatal) != 0 {
		t.Errorf("Fatal got %v, want nothing", *fatal)
	}
}

func testWatchdogStandsStillWithTheProcess(t *testing.T) {
	// While the process is stopped no step passes, however long that is; on the wall's clock an hour goes by.
	l, fatal, logged := watched(t, func(c *fakeClock) error { c.pass(2); return nil })
	hour := time.Unix(0, 0)
	l.now = func() time.Time { hour = hour.Add(time.Hour); return hour }
	if err := l.StoreLog(&raft.Log{Index: 1}); err != nil || len(*fatal) != 0 {
		t.Errorf("StoreLog = %v, Fatal got %v, want neither", err, *fatal)
	}
	if !strings.Contains(logged.String(), "slow") {
		t.Errorf("log %q does not speak of a slow append", logged.String())
	}
}

func testWatchdogForgetsAStepThatComesLate(t *testing.T) {
	var late func()
	l, fatal, _ := watched(t, func(c *fakeClock) error { late = c.next; return nil })
	if err := l.StoreLog(&raft.Log{Index: 1}); err != nil {
		t.Fatal(err)
	}
	for range watchSteps * 2 {
		late() // the timer fired while the write came back
	}
	if len(*fatal) != 0 {
		t.Errorf("Fatal got %v, want nothing", *fatal)
	}
}

func TestWatchdogOfARealTimer(t *testing.T) {
	fatal := make(chan error, 1)
	release := make(chan struct{})
	l := newLog(&fakeLog{write: func() error { <-release; return nil }}, LogOptions{
		StallTimeout: time.Millisecond, Fatal: func(err error) { fatal <- err; close(release) }, Logger: slog.Default(),
	})
	if err := l.StoreLog(&raft.Log{Index: 1}); !errors.Is(err, ErrStalled) {
		t.Errorf("StoreLog = %v, want %v", err, ErrStalled)
	}
	if err := <-fatal; !errors.Is(err, ErrStalled) {
		t.Errorf("Fatal got %v, want %v", err, ErrStalled)
	}
}

func TestWatchdogOfState(t *testing.T) {
	fatal := make(chan error, 1)
	release := make(chan struct{})
	s, err := Open(t.TempDir(), Options{
		StallTimeout: 5 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
		Fatal: func(err error) { fatal <- err; close(release) },
		Fault: func(op Op, _ string) error {
			if op == OpCommit {
				<-release // the disk hangs until the node has given up
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Append(1, 1, 1, []byte("message"))
	s.Commit(Position{Seq: 1, Index: 1, Term: 1}, nil)
	if err := s.Run(t.Context()); !errors.Is(err, ErrStalled) {
		t.Errorf("Run = %v, want %v", err, ErrStalled)
	}
	if err := <-fatal; !errors.Is(err, ErrStalled) {
		t.Errorf("Fatal got %v, want %v", err, ErrStalled)
	}
	if got := s.Position(); got.Seq != 0 {
		t.Errorf("position %+v, want none: nobody may rely on what came back too late", got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
