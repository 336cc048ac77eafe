package cluster

import (
	"slices"
	"sync"
	"sync/atomic"
)

// This file holds trails: on which links somebody's unlogged messages went, and whether the other nodes have taken them. A logged message of the
// same session takes another way, and must not be there first.

// MeshTrail is where the messages of one sender went. The zero value is empty and ready for use; it is for one goroutine.
type MeshTrail struct{ marks []meshMark }

// meshMark is the last message on one link.
type meshMark struct {
	link   *MeshLink
	number uint64
}

// passed tells whether the message was taken or never will be.
func (m meshMark) passed() bool { return m.link.taken.load() >= m.number || m.link.ended() }

// note adds a message; on a nil trail it does nothing.
func (t *MeshTrail) note(l *MeshLink, number uint64) {
	if t == nil {
		return
	}
	for i := range t.marks {
		if t.marks[i].link == l {
			t.marks[i].number = max(t.marks[i].number, number)
			return
		}
	}
	t.marks = append(slices.DeleteFunc(t.marks, meshMark.passed), meshMark{l, number})
}

// Add makes what the other trail notes part of this one.
func (t *MeshTrail) Add(other MeshTrail) {
	for _, m := range other.marks {
		t.note(m.link, m.number)
	}
}

// Taken tells whether the other nodes have taken everything, or never will since the link has ended.
func (t *MeshTrail) Taken() bool {
	for _, m := range t.marks {
		if !m.passed() {
			return false
		}
	}
	return true
}

// Await waits until it is Taken; not longer than until gone is closed.
func (t *MeshTrail) Await(gone <-chan struct{}) {
	for _, m := range t.marks {
		for !m.passed() {
			select {
			case <-m.link.taken.next(m.number):
			case <-m.link.done:
			case <-gone:
				return
			}
		}
	}
}

// ended tells whether the link is over: what had not been taken is lost, as it may be.
func (q *frameQueue) ended() bool {
	select {
	case <-q.done:
		return true
	default:
		return false
	}
}

// counter is a number that only grows, and can be waited for.
type counter struct {
	value   atomic.Uint64
	awaited atomic.Bool // somebody waits on changed

	mu      sync.Mutex // guards the fields below
	changed chan struct{}
}

func (c *counter) load() uint64 { return c.value.Load() }

// reach raises the number and wakes who waits.
func (c *counter) reach(value uint64) {
	c.value.Store(max(c.value.Load(), value)) // one goroutine calls this
	if !c.awaited.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.awaited.Store(false)
	close(c.changed)
}

// next gives what is closed at the next change, or is closed already if the number is that high.
func (c *counter) next(value uint64) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.awaited.Load() {
		c.changed = make(chan struct{})
		c.awaited.Store(true)
	}
	if c.value.Load() >= value { // it may have changed before it was known that somebody waits
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	return c.changed
}
