package cluster

// This file holds the ring: the recent messages, in memory.

import (
	"sync/atomic"

	"stampede/broker"
)

// messageOverhead is what a message in the ring costs beside its headers and body: the struct, its slot, its share of the entry's buffer.
const messageOverhead = 256

// ring keeps the messages of the last Seqs, each in the slot of its Seq, so that one is found without a search and a range is read in order.
// It is bounded in Seqs (the slots) and in bytes; past either the oldest go. One goroutine writes, any number read, none waits.
//
// A reader that finds no message at a Seq asks low() after it: at or above it there is none; below it the message may be on disk.
type ring struct {
	slots    []atomic.Pointer[broker.Message]
	mask     uint64
	bytesMax int64

	lowest atomic.Uint64 // the first Seq of which the ring knows all; only rises. Raised before a slot is cleared.
	bytes  int64         // of the messages held; the writer's own
}

// newRing makes a ring whose first Seq will be from. events is rounded up to a power of two.
func newRing(events int, bytesMax int64, from broker.Seq) *ring {
	size := 1
	for size < events {
		size <<= 1
	}
	r := &ring{slots: make([]atomic.Pointer[broker.Message], size), mask: uint64(size - 1), bytesMax: bytesMax}
	r.lowest.Store(uint64(from))
	return r
}

func messageBytes(m *broker.Message) int64 {
	return int64(len(m.Headers)+len(m.Body)) + messageOverhead
}

// put takes the message of the next Seq. Seqs rise, but need not follow one another.
func (r *ring) put(m *broker.Message) {
	seq := uint64(m.Seq)
	r.bytes += messageBytes(m)
	low := r.lowest.Load()
	if span := seq - low + 1; span > uint64(len(r.slots)) {
		low = r.drop(low, seq+1-uint64(len(r.slots)))
	}
	r.slots[seq&r.mask].Store(m)
	for r.bytes > r.bytesMax && low < seq {
		low = r.drop(low, low+1)
	}
}

// drop forgets the Seqs of low up to, not including, end, and returns end. More than a whole ring at once costs one turn of it.
func (r *ring) drop(low, end uint64) uint64 {
	r.lowest.Store(end)
	for n := 0; low < end && n < len(r.slots); low, n = low+1, n+1 {
		slot := &r.slots[low&r.mask]
		if m := slot.Load(); m != nil {
			r.bytes -= messageBytes(m)
			slot.Store(nil)
		}
	}
	return end
}

// reset forgets all and goes on at a Seq.
func (r *ring) reset(from broker.Seq) {
	r.lowest.Store(uint64(from))
	for i := range r.slots {
		r.slots[i].Store(nil)
	}
	r.bytes = 0
}

// get returns the message of seq, nil when the ring has none.
func (r *ring) get(seq broker.Seq) *broker.Message {
	if m := r.slots[uint64(seq)&r.mask].Load(); m != nil && m.Seq == seq {
		return m
	}
	return nil
}

// low is the first Seq of which the ring knows all.
func (r *ring) low() broker.Seq { return broker.Seq(r.lowest.Load()) }
