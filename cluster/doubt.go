package cluster

import (
	"sync/atomic"
	"time"
)

// This file holds the doubt of a node that stood still or heard no leader for long: the cluster may have given it up, and what it folds then may
// have been answered by others long ago.

// doubtAfter is how long a node may stand still, or hear no leader, before it doubts its place. Well below lostAfter, after which it may have lost it.
const doubtAfter = 4 * time.Second

// Doubter is told that the node doubts its place. A Performer that is one holds back what must not come late, and calls Confirm once an own fact that
// it submitted after this was folded: the node has seen then all that was decided about it. It is called from a goroutine of its own, anew for
// each doubt, also while one before is not settled: what was submitted for that one says nothing about what came later.
type Doubter interface {
	Doubted()
}

// doubt knows when the node was last sure of its place. Times are monotonic, in nanoseconds since the node's start.
type doubt struct {
	start  time.Time
	ticked atomic.Int64 // when the node was last seen to run
	heard  atomic.Int64 // when a leader was last heard, or this node led
	open   atomic.Int64 // doubts that began and are not settled
	raised func()       // called when the doubt begins; nil: the node stays alone, and nobody gives it up
}

func (d *doubt) now() int64 { return int64(time.Since(d.start)) }

// begin makes the node sure of its place, until it stands still or hears nothing.
func (d *doubt) begin(raised func()) {
	now := d.now()
	d.ticked.Store(now)
	d.heard.Store(now)
	d.raised = raised
}

// tick says that the node runs, and whether it leads.
func (d *doubt) tick(leads bool) {
	now := d.now()
	if d.old(&d.ticked, now) || leads && d.old(&d.heard, now) {
		d.raise(now)
	}
	d.ticked.Store(now)
	if leads {
		d.heard.Store(now)
	}
}

// hear says that a leader has spoken.
func (d *doubt) hear() {
	now := d.now()
	if d.old(&d.heard, now) {
		d.raise(now)
	}
	d.heard.Store(now)
}

func (d *doubt) old(at *atomic.Int64, now int64) bool { return now-at.Load() > int64(doubtAfter) }

// raise begins a doubt, which covers all until now: it is open before the node may seem sure again.
func (d *doubt) raise(now int64) {
	if d.raised == nil {
		return
	}
	d.open.Add(1)
	d.ticked.Store(now)
	d.heard.Store(now)
	go d.raised()
}

// InDoubt tells whether the node may have lost its place without knowing: it stood still or heard no leader for long, and that is not over or not settled yet.
// What must not come late is not given to clients meanwhile.
func (n *Node) InDoubt() bool {
	d := &n.doubt
	if d.raised == nil {
		return false
	}
	now := d.now()
	return d.old(&d.ticked, now) || d.old(&d.heard, now) || d.open.Load() > 0 // looked at last: raise opens before it makes the others young
}

// Confirm ends one doubt: see Doubter.
func (n *Node) Confirm() { n.doubt.open.Add(-1) }
