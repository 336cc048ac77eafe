package storage

// The handover: what the fold has committed for the flusher, and who waits until it is durable.

import (
	"context"
	"slices"
	"sync"
)

// batch is what one flush writes.
type batch struct {
	commits uint64 // how many commits since open this is up to
	pos     Position
	changes [][]byte
	upto    uint64 // seq of the last message handed over
	bytes   int64
}

type waiter struct {
	commits uint64
	done    chan struct{}
}

// handover passes batches from the fold's goroutine to the flusher's.
type handover struct {
	wake chan struct{} // one token: there is something to look at

	mu      sync.Mutex
	next    batch     // guarded by mu: handed over, not taken; commits runs on
	durable uint64    // guarded by mu: commits that are durable
	taken   uint64    // guarded by mu: commits that a flush took
	waiters []*waiter // guarded by mu
}

// put hands over everything up to pos. bytes is what it weighs.
func (h *handover) put(pos Position, changes []byte, upto uint64, bytes int64) {
	h.mu.Lock()
	h.next.commits++
	h.next.pos, h.next.upto = pos, upto
	h.next.bytes += bytes
	if len(changes) > 0 {
		h.next.changes = append(h.next.changes, changes)
	}
	h.mu.Unlock()
	h.signal()
}

func (h *handover) signal() {
	select {
	case h.wake <- struct{}{}:
	default: // there is a token already
	}
}

// state says how many bytes wait to be taken, whether there is anything, and whether somebody waits for it.
func (h *handover) state() (bytes int64, some, urgent bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.next.bytes, h.next.commits > h.taken, len(h.waiters) > 0
}

// take empties the handover. ok is false when there was nothing.
func (h *handover) take() (b batch, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.next.commits == h.taken {
		return batch{}, false
	}
	b = h.next
	h.taken = b.commits
	h.next = batch{commits: b.commits}
	return b, true
}

// flushed wakes those who waited for it.
func (h *handover) flushed(commits uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.durable = commits
	h.waiters = slices.DeleteFunc(h.waiters, func(w *waiter) bool {
		if w.commits <= commits {
			close(w.done)
		}
		return w.commits <= commits
	})
}

// await returns when everything handed over until now is durable; stopped and dead end the wait with their errors.
func (h *handover) await(ctx context.Context, stopped, dead <-chan struct{}) error {
	h.mu.Lock()
	if h.durable == h.next.commits {
		h.mu.Unlock()
		return nil
	}
	w := &waiter{commits: h.next.commits, done: make(chan struct{})}
	h.waiters = append(h.waiters, w)
	h.mu.Unlock()
	h.signal()
	select {
	case <-w.done:
		return nil
	default:
	}
	var err error
	select {
	case <-w.done:
		return nil
	case <-dead:
		err = ErrFailed
	case <-stopped:
		err = ErrStopped
	case <-ctx.Done():
		err = ctx.Err()
	}
	return h.forget(w, err)
}

// forget removes a waiter that gave up. It may have been served in the meantime.
func (h *handover) forget(w *waiter, err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.durable >= w.commits {
		return nil
	}
	h.waiters = slices.DeleteFunc(h.waiters, func(other *waiter) bool { return other == w })
	return err
}
