package cluster

import (
	"testing"
	"time"

	"stampede/broker"
)

// handClocks are clocks that a test turns by hand, in milliseconds.
type handClocks struct{ wall, mono int64 }

func (h *handClocks) read() (wall, monotonic int64) {
	return h.wall * int64(time.Millisecond), h.mono * int64(time.Millisecond)
}

// pass lets time pass on both clocks.
func (h *handClocks) pass(millis int64) { h.wall += millis; h.mono += millis }

func TestClock(t *testing.T) {
	want := func(t *testing.T, got, want broker.Instant) {
		t.Helper()
		if got != want {
			t.Errorf("now = %d, want %d", got, want)
		}
	}

	t.Run("follows the wall clock", func(t *testing.T) {
		h := &handClocks{wall: 1_000_000, mono: 5}
		c := newClock(h.read)
		at, jump := c.now(0)
		want(t, at, 1_000_000)
		if jump != 0 {
			t.Errorf("jump at the first reading = %v, want none", jump)
		}
		h.pass(250)
		at, jump = c.now(0)
		want(t, at, 1_000_250)
		if jump != 0 {
			t.Errorf("jump = %v, want none", jump)
		}
	})

	t.Run("goes at half speed while the wall clock is behind", func(t *testing.T) {
		h := &handClocks{wall: 1_000_000}
		c := newClock(h.read)
		c.now(0)
		h.wall -= 100 // somebody set it back
		at, _ := c.now(0)
		want(t, at, 1_000_000)
		h.pass(60)
		at, _ = c.now(0)
		want(t, at, 1_000_030)
		h.pass(139) // at 1000099 of the wall clock they have not met
		at, _ = c.now(0)
		want(t, at, 1_000_099)
		h.pass(1) // they have
		at, _ = c.now(0)
		want(t, at, 1_000_100)
		h.pass(10)
		at, _ = c.now(0)
		want(t, at, 1_000_110)
	})

	t.Run("is at the wall clock as soon as they have met between two readings", func(t *testing.T) {
		h := &handClocks{wall: 1_000_000}
		c := newClock(h.read)
		c.now(0)
		h.wall -= 100
		h.pass(300)
		at, _ := c.now(0)
		want(t, at, 1_000_200)
	})

	t.Run("loses nothing at half speed to frequent readings", func(t *testing.T) {
		h := &handClocks{wall: 1_000_000}
		c := newClock(h.read)
		for range 100 {
			h.pass(1)
			c.now(2_000_000)
		}
		h.pass(1)
		at, _ := c.now(2_000_000)
		want(t, at, 2_000_050)
	})

	t.Run("is never behind the log", func(t *testing.T) {
		h := &handClocks{wall: 1_000_000}
		c := newClock(h.read)
		at, _ := c.now(1_500_000)
		want(t, at, 1_500_000)
		h.pass(100)
		at, _ = c.now(1_500_000)
		want(t, at, 1_500_050)
	})

	t.Run("follows a step forward and reports it", func(t *testing.T) {
		h := &handClocks{wall: 1_000_000}
		c := newClock(h.read)
		c.now(0)
		h.pass(10)
		h.wall += 2 * time.Hour.Milliseconds()
		at, jump := c.now(0)
		want(t, at, broker.Instant(1_000_010+2*time.Hour.Milliseconds()))
		if jump != 2*time.Hour {
			t.Errorf("jump = %v, want 2h", jump)
		}
	})

	t.Run("reports how long the log stood still before a start", func(t *testing.T) {
		h := &handClocks{wall: 10_000_000}
		if _, jump := newClock(h.read).now(4_000_000); jump != 6_000*time.Second {
			t.Errorf("jump = %v, want 6000s", jump)
		}
	})
}
