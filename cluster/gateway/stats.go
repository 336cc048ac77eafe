package gateway

import (
	"sync/atomic"
	"time"
)

// This file counts; cluster/admin exposes the counts.

// Stats are the gateway's counters; all only grow.
type Stats struct {
	Received     atomic.Uint64 // SEND, SUBSCRIBE, ACK and NACK frames taken
	Delivered    atomic.Uint64 // MESSAGE frames put into outboxes
	Dropped      atomic.Uint64 // messages not given to somebody, as the contract allows
	DeadLettered atomic.Uint64
	Expired      atomic.Uint64
	StaleAcks    atomic.Uint64
	Processing   *Processing
}

// Stats gives the gateway's counters.
func (g *Gateway) Stats() *Stats { return &g.stats }

// processingBounds are the upper bounds of the histogram's buckets.
var processingBounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond,
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
	250 * time.Millisecond, time.Second, 5 * time.Second,
}

// Processing is a histogram of the time from a command's arrival until its event was durable and applied.
type Processing struct {
	buckets [len(processingBounds) + 1]atomic.Uint64
	ticks   atomic.Uint64
}

func newProcessing() *Processing { return new(Processing) }

func (p *Processing) observe(ticks int64) {
	d := time.Duration(ticks) * tick
	i := 0
	for i < len(processingBounds) && d > processingBounds[i] {
		i++
	}
	p.buckets[i].Add(1)
	p.ticks.Add(uint64(max(ticks, 0)))
}

// Snapshot gives the count, the sum and the cumulative count of each bucket by its upper bound, all in seconds.
func (p *Processing) Snapshot() (count uint64, sum float64, buckets map[float64]uint64) {
	buckets = make(map[float64]uint64, len(processingBounds))
	for i := range p.buckets {
		count += p.buckets[i].Load()
		if i < len(processingBounds) {
			buckets[processingBounds[i].Seconds()] = count
		}
	}
	return count, (time.Duration(p.ticks.Load()) * tick).Seconds(), buckets
}
