package server

import (
	"sync"
	"sync/atomic"
	"time"
)

// This file is a session's way out: bytes in order, in pooled chunks, bounded by who asks Full before writing.

// Chunks: the first of an empty outbox is small, so that a message to ten thousand idle sessions costs little; the
// following ones are large.
const (
	smallChunkBytes = 1 << 10
	largeChunkBytes = 16 << 10
	sharedBytesMin  = 8 << 10 // a tail of this size is kept by reference when it may be
	chunksAtOnceMax = 64      // in one write to the socket
)

// chunk is a piece of the outbox.
type chunk struct {
	bytes  []byte
	pool   *sync.Pool
	shared bool // bytes are somebody's, who never changes them
}

// pools recycle chunks, and what frames are made in, between all sessions of a server.
type pools struct{ small, large, shared, scratch, deflaters sync.Pool }

func newPools() *pools {
	p := new(pools)
	p.shared.New = func() any { return &chunk{pool: &p.shared, shared: true} }
	p.scratch.New = func() any { return new([]byte) }
	p.deflaters.New = func() any { return new(deflater) }
	p.small.New = func() any { return &chunk{bytes: make([]byte, 0, smallChunkBytes), pool: &p.small} }
	p.large.New = func() any { return &chunk{bytes: make([]byte, 0, largeChunkBytes), pool: &p.large} }
	return p
}

func (c *chunk) release() {
	c.bytes = c.bytes[:0]
	if c.shared {
		c.bytes = nil
	}
	c.pool.Put(c)
}

// outbox holds what the socket has not taken yet.
type outbox struct {
	pools *pools
	limit int64

	queued  atomic.Int64 // bytes appended and not taken by the socket
	written atomic.Uint64

	mu       sync.Mutex
	chunks   []*chunk      // guarded by mu
	end      uint64        // bytes appended since the start; guarded by mu
	running  bool          // the writing goroutine exists; guarded by mu
	promised bool          // a caller of Write owes a Wake; guarded by mu
	refill   bool          // the link wants to be asked for more; guarded by mu
	sealed   bool          // Session.Write takes nothing more; guarded by mu
	finished bool          // nothing at all is taken more; guarded by mu
	space    chan struct{} // closed when the outbox is not full any more; guarded by mu
}

// appendLocked appends bytes. small says that the next chunk may be a small one.
func (o *outbox) appendLocked(b []byte) {
	o.end += uint64(len(b))
	o.queued.Add(int64(len(b)))
	for len(b) > 0 {
		var last *chunk
		if n := len(o.chunks); n > 0 && !o.chunks[n-1].shared {
			last = o.chunks[n-1]
		}
		if last == nil || len(last.bytes) == cap(last.bytes) {
			last = o.newChunkLocked(len(b))
		}
		n := min(len(b), cap(last.bytes)-len(last.bytes))
		last.bytes = append(last.bytes, b[:n]...)
		b = b[n:]
	}
}

func (o *outbox) newChunkLocked(need int) *chunk {
	pool := &o.pools.large
	if len(o.chunks) == 0 && need <= smallChunkBytes {
		pool = &o.pools.small
	}
	c := pool.Get().(*chunk)
	o.chunks = append(o.chunks, c)
	return c
}

// appendSharedLocked appends bytes that nobody changes any more, by reference.
func (o *outbox) appendSharedLocked(b []byte) {
	o.end += uint64(len(b))
	o.queued.Add(int64(len(b)))
	c := o.pools.shared.Get().(*chunk)
	c.bytes = b
	o.chunks = append(o.chunks, c)
}

// seal ends what is written from outside: after RECEIPT of DISCONNECT, or an ERROR that closes, comes nothing.
func (o *outbox) seal() {
	o.mu.Lock()
	o.sealed = true
	o.mu.Unlock()
}

// promiseLocked tells a writer whether it has to call Wake.
func (o *outbox) promiseLocked() bool {
	if o.running || o.promised {
		return false
	}
	o.promised = true
	return true
}

// full tells whether the outbox is at its limit.
func (o *outbox) full() bool { return o.queued.Load() >= o.limit }

// takeLocked hands the chunks over to the writing goroutine.
func (o *outbox) takeLocked(into []*chunk) []*chunk {
	n := min(len(o.chunks), chunksAtOnceMax)
	into = append(into[:0], o.chunks[:n]...)
	rest := copy(o.chunks, o.chunks[n:])
	clear(o.chunks[rest:])
	o.chunks = o.chunks[:rest]
	if rest == 0 && cap(o.chunks) > chunksAtOnceMax {
		o.chunks = nil
	}
	return into
}

// taken counts bytes that the socket took, and tells who waits for space.
func (o *outbox) taken(n int) (written uint64) {
	written = o.written.Add(uint64(n))
	if o.queued.Add(int64(-n)) < o.limit {
		o.mu.Lock()
		if o.space != nil {
			close(o.space)
			o.space = nil
		}
		o.mu.Unlock()
	}
	return written
}

// drop forgets everything: the session is over.
func (o *outbox) drop() {
	o.mu.Lock()
	chunks := o.chunks
	o.chunks, o.finished, o.refill = nil, true, false
	if o.space != nil {
		close(o.space)
		o.space = nil
	}
	o.mu.Unlock()
	for _, c := range chunks {
		c.release()
	}
}

// awaitSpace blocks until the outbox is not full, or d has passed; it tells whether there is space.
func (o *outbox) awaitSpace(d time.Duration) bool {
	if !o.full() {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	for o.full() {
		o.mu.Lock()
		if o.finished {
			o.mu.Unlock()
			return true // what is written to it now goes nowhere
		}
		if o.space == nil {
			o.space = make(chan struct{})
		}
		space := o.space
		o.mu.Unlock()
		if !o.full() {
			return true
		}
		select {
		case <-space:
		case <-timer.C:
			return !o.full()
		}
	}
	return true
}
