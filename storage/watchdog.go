package storage

// The watchdog of raft's log and of state.db: a write that fails or does not come back ends the process.

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// watchSteps is in how many steps the watchdog counts to its timeout.
const watchSteps = 50

// ErrStalled says that a write took longer than the stall timeout.
var ErrStalled = errors.New("write stalled")

type counter = atomic.Uint64

// watchdog counts the time of a write in short steps, each from a timer that is set when the step before is done.
// A process that was stopped for a minute wakes to one step, not to a minute: only time during which it could run counts.
type watchdog struct {
	step  time.Duration
	fatal func(error)
	after func(d time.Duration, f func()) (stop func() bool) // time.AfterFunc; tests have their own

	mu     sync.Mutex
	failed error // guarded by mu: the first failure; every later write gets it
}

func newWatchdog(timeout time.Duration, fatal func(error)) *watchdog {
	return &watchdog{
		step:  max(timeout/watchSteps, 1),
		fatal: fatal,
		after: func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop },
	}
}

// watch runs one write.
func (w *watchdog) watch(what string, write func() error) error {
	if err := w.failure(); err != nil {
		return err
	}
	g := &guard{dog: w, what: what}
	g.arm()
	err := write()
	g.disarm()
	if err != nil {
		return w.fail(fmt.Errorf("%s: %w", what, err))
	}
	return w.failure() // it came back too late: Fatal was called, the caller must not take it for done
}

func (w *watchdog) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// fail keeps the first failure, reports it once and returns it.
func (w *watchdog) fail(err error) error {
	w.mu.Lock()
	first := w.failed == nil
	if first {
		w.failed = err
	}
	err = w.failed
	w.mu.Unlock()
	if first {
		w.fatal(err)
	}
	return err
}

// guard is the watch over one write.
type guard struct {
	dog  *watchdog
	what string

	mu    sync.Mutex
	steps int         // guarded by mu
	done  bool        // guarded by mu
	stop  func() bool // guarded by mu
}

func (g *guard) arm() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stop = g.dog.after(g.dog.step, g.tick)
}

func (g *guard) disarm() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.done = true
	g.stop()
}

// tick is one step of the clock.
func (g *guard) tick() {
	g.mu.Lock()
	if g.done {
		g.mu.Unlock()
		return
	}
	g.steps++
	if g.steps < watchSteps {
		g.stop = g.dog.after(g.dog.step, g.tick)
		g.mu.Unlock()
		return
	}
	g.mu.Unlock()
	_ = g.dog.fail(fmt.Errorf("%s: %w for %v", g.what, ErrStalled, g.dog.step*watchSteps)) // Fatal has it; the writer gets it when it comes back
}
