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
// it submitted after this was folded: the node has seen then all that was decided about it. It is called from a goroutine of its own.
type Doubter interface {
	Doubted()
}

// doubt knows when the node was last sure of its place. Times are monotonic, in nanoseconds since the node's start.
type doubt struct {
	start  time.Time
	ticked atomic.Int64 // when the node was last seen to run
	heard  atomic.Int64 // when a leader was last heard, or this node led
	open   atomic.Bool
	raised func() // called when the doubt begins; nil: the node stays alone, and nobody gives it up
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
	if now-d.ticked.Swap(now) > int64(doubtAfter) {
		d.raise()
	}
	if leads {
		d.heard.Store(now)
	}
}

// hear says that a leader has spoken.
func (d *doubt) hear() {
	now := d.now()
	if now-d.heard.Swap(now) > int64(doubtAfter) {
		d.raise()
	}
}

func (d *doubt) raise() {
	if d.raised != nil && d.open.CompareAndSwap(false, true) {
		go d.raised()
	}
}

// InDoubt tells whether the node may have lost its place without knowing: it stood still or heard no leader for long, and that is not settled yet.
// What must not come late is not given to clients meanwhile.
func (n *Node) InDoubt() bool {
	d := &n.doubt
	return d.open.Load() || d.raised != nil && d.now()-d.ticked.Load() > int64(doubtAfter)
}

// Confirm ends the doubt: see Doubter.
func (n *Node) Confirm() { n.doubt.open.Store(false) }
