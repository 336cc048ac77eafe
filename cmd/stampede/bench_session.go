package main

// bench_session.go: sessions of the generator: how they are read, opened in numbers, and ended together.

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// meter stands between a socket and its frame reader. It reads in large pieces, notes when, and does what is due
// before a read that may block.
type meter struct {
	src    io.Reader
	before func() error // nil: nothing is due
	clock  stopwatch
	buf    []byte
	at, to int   // buf[at:to] is not handed on yet
	readAt int64 // when the bytes at hand left the kernel
}

func (m *meter) Read(p []byte) (int, error) {
	if m.at == m.to {
		if m.before != nil {
			if err := m.before(); err != nil {
				return 0, err
			}
		}
		n, err := m.src.Read(m.buf)
		m.readAt = m.clock.now()
		if m.at, m.to = 0, n; n == 0 {
			return 0, err // an error behind bytes comes again with the next read
		}
	}
	n := copy(p, m.buf[m.at:m.to])
	m.at += n
	return n, nil
}

// meteredClient is a session that is read through a meter.
type meteredClient struct {
	*client
	meter *meter
}

// openMetered opens a session. before is called on the reading goroutine, before a read that may block.
func (f *BenchFlags) openMetered(ctx context.Context, clock stopwatch, before func() error) (*meteredClient, error) {
	m := &meter{clock: clock, buf: make([]byte, benchReadBytes)}
	session, err := f.connect(ctx, 0, nil, func(src io.Reader) io.Reader { m.src = src; return m })
	if err != nil {
		return nil, err
	}
	m.before = before
	return &meteredClient{client: session, meter: m}, nil
}

// measuredTime is the part of a run that counts, in readings of its stopwatch.
type measuredTime struct {
	from, to atomic.Int64
	paceFrom atomic.Int64 // when the senders began
}

func newMeasuredTime() *measuredTime {
	w := &measuredTime{}
	w.from.Store(math.MaxInt64)
	w.to.Store(math.MaxInt64)
	return w
}

// covers says whether something sent at t counts.
func (w *measuredTime) covers(t int64) bool { return t >= w.from.Load() && t < w.to.Load() }

// openAll calls open for 0 to n-1, a bounded number at a time, and stops at the first error.
func openAll(ctx context.Context, n, parallel int, open func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error { return open(ctx, i) })
	}
	return g.Wait()
}

// crew runs the goroutines of sessions and ends them by closing the sessions. The first error that comes
// before that ends the run.
//
// Goroutines: one for each function given to run.
type crew struct {
	cancel  context.CancelCauseFunc
	closing atomic.Bool
	running sync.WaitGroup
	mu      sync.Mutex // guards conns
	conns   []net.Conn
}

// newCrew gives a context that is done, with the error as its cause, as soon as a member fails.
func newCrew(ctx context.Context) (*crew, context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	return &crew{cancel: cancel}, ctx
}

// own makes sure that the connection is closed at the end.
func (c *crew) own(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, conn)
}

func (c *crew) run(member func() error) {
	c.running.Go(func() {
		if err := member(); err != nil && !c.closing.Load() {
			c.cancel(err)
		}
	})
}

// disband closes all sessions and waits for the goroutines.
func (c *crew) disband() {
	c.closing.Store(true)
	c.cancel(nil)
	c.mu.Lock()
	conns := c.conns
	c.conns = nil
	c.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close() // nothing is left to be read or written
	}
	c.running.Wait()
}

// awaitStill waits until done, or until count has not changed for patience, or for drainTimeout in all.
func awaitStill(ctx context.Context, patience time.Duration, done func() bool, count func() uint64) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	last, since, began := count(), time.Now(), time.Now()
	for !done() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		if now := count(); now != last {
			last, since = now, time.Now()
		}
		if time.Since(since) > patience || time.Since(began) > drainTimeout {
			return nil // what is missing is in the result
		}
	}
	return nil
}

// spend lets d pass; an error is that of a session which failed meanwhile.
func spend(ctx context.Context, d time.Duration) error {
	sleep(ctx, d)
	if ctx.Err() != nil {
		return fmt.Errorf("the run ended early: %w", context.Cause(ctx))
	}
	return nil
}
