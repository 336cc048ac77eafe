package cluster

// This file holds the leader's clock: where the stamps of the log come from.

import (
	"sync"
	"time"

	"stampede/broker"
)

// clockJump is the step forward that is worth telling an operator: the wall clock was set, or the cluster slept.
const clockJump = time.Hour

// clockSource reads the wall clock and a monotonic clock at one moment, both in nanoseconds.
type clockSource func() (wall, monotonic int64)

// clock makes the stamps of a leader. They never go backwards: where the log, or a stamp already given, is ahead of the wall clock,
// time runs at half speed until the wall clock has caught up; where the wall clock is ahead they follow it at once.
type clock struct {
	source clockSource

	mu   sync.Mutex // guards the fields below: proposers stamp from several goroutines
	last int64      // nanoseconds since the epoch of the last reading
	mono int64      // monotonic reading that belongs to last
}

// systemSource reads the clocks of the operating system; the monotonic one counts from the call.
func systemSource() clockSource {
	start := time.Now()
	return func() (wall, monotonic int64) {
		now := time.Now()
		return now.UnixNano(), int64(now.Sub(start))
	}
}

func newClock(source clockSource) *clock { return &clock{source: source} }

// now gives the present instant, never before floor (the clock of the fold) nor before an instant given earlier.
// jump is how far the wall clock ran ahead of the monotonic one, or of floor, since the reading before.
func (c *clock) now(floor broker.Instant) (at broker.Instant, jump time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, mono := c.source()
	elapsed := max(mono-c.mono, 0)
	c.mono = mono
	ahead := c.last // where the stamps stand, before this reading
	if f := int64(floor) * int64(time.Millisecond); f > ahead {
		ahead, elapsed = f, 0 // the log is ahead of all that this clock gave: half speed starts now
	}
	if wall >= ahead+elapsed/2 {
		if ahead > 0 {
			jump = time.Duration(max(wall-ahead-elapsed, 0))
		}
		c.last = wall
	} else {
		c.last = ahead + elapsed/2
	}
	return broker.Instant(c.last / int64(time.Millisecond)), jump
}
