package storage

// Pending messages: applied, not yet durable. One goroutine appends, any number reads, nobody waits.

import "sync/atomic"

const (
	chunkMessages = 512
	// pendingOverhead is what a pending message weighs beside its bytes.
	pendingOverhead = 64
)

// chunk is a piece of the list. Messages below n are immutable, next is set once the chunk is full.
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
	if p.i == chunkMessages {
		c := p.c.next.Load()
		if c == nil {
			return nil
		}
		p.c, p.i = c, 0
	}
	if p.i == p.c.n.Load() {
		return nil
	}
	m := &p.c.messages[p.i]
	p.i++
	return m
}

// seek goes to the first message at or after seq, by whole chunks first.
func (p *cursor) seek(seq uint64) {
	for {
		n := p.c.n.Load()
		if n < chunkMessages || p.c.messages[n-1].seq >= seq {
			break
		}
		c := p.c.next.Load()
		if c == nil {
			p.i = chunkMessages
			return
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
	last uint64 // seq of the last message appended, or durable at open
}

func newAppender(last uint64) appender { return appender{tail: new(chunk), last: last} }

func (a *appender) append(stream uint32, seq uint64, at int64, data []byte) {
	if a.n == chunkMessages {
		c := new(chunk)
		a.tail.next.Store(c)
		a.tail, a.n = c, 0
	}
	m := &a.tail.messages[a.n]
	m.seq, m.at, m.stream, m.data = seq, at, stream, data
	a.n++
	a.tail.n.Store(a.n)
	a.last = seq
}
