package storage

// Pending messages: applied, not yet durable. One goroutine appends, any number reads, nobody waits.

import "sync/atomic"

const (
	chunkMessages = 512
	// chunkDataMax is after how many bytes of its messages a chunk takes no more: what is durable stays in memory until its whole chunk is.
	chunkDataMax = 4 << 20
	// pendingOverhead is what a pending message weighs beside its bytes.
	pendingOverhead = 64
)

// chunk is a piece of the list. Messages below n are immutable, next is set once the chunk takes no more.
type chunk struct {
	n        atomic.Uint32
	next     atomic.Pointer[chunk]
	messages [chunkMessages]message
}

// cursor is a place in the list: the next message to look at.
type cursor struct {
	c *chunk
	i uint32
}

// next returns the message at the cursor and goes on; nil where the list ends for now.
func (p *cursor) next() *message {
	for p.i == p.c.n.Load() {
		c := p.c.next.Load()
		if c == nil {
			return nil
		}
		if p.i < p.c.n.Load() {
			break // it took more before it was closed
		}
		p.c, p.i = c, 0
	}
	m := &p.c.messages[p.i]
	p.i++
	return m
}

// seek goes to the first message at or after seq, by whole chunks first.
func (p *cursor) seek(seq uint64) {
	for {
		c := p.c.next.Load()
		if c == nil {
			break
		}
		if n := p.c.n.Load(); p.c.messages[n-1].seq >= seq { // closed, so it has messages
			break
		}
		p.c, p.i = c, 0
	}
	n := p.c.n.Load()
	low, high := p.i, n
	for low < high {
		mid := (low + high) / 2
		if p.c.messages[mid].seq < seq {
			low = mid + 1
		} else {
			high = mid
		}
	}
	p.i = low
}

// appender is the writing end of the list, of one goroutine.
type appender struct {
	tail *chunk
	n    uint32
	data int    // bytes of the tail's messages
	last uint64 // seq of the last message appended, or durable at open
}

func newAppender(last uint64) appender { return appender{tail: new(chunk), last: last} }

func (a *appender) append(stream uint32, seq uint64, at int64, data []byte) {
	if a.n == chunkMessages || a.data >= chunkDataMax {
		c := new(chunk)
		a.tail.next.Store(c)
		a.tail, a.n, a.data = c, 0, 0
	}
	m := &a.tail.messages[a.n]
	m.seq, m.at, m.stream, m.data = seq, at, stream, data
	a.n++
	a.data += len(data)
	a.tail.n.Store(a.n)
	a.last = seq
}
