package storage

// Figures for metrics. Everything here is a snapshot that the caller owns.

import (
	"sync/atomic"
	"time"
)

// durationBuckets is how many buckets Durations has; the last one takes all that is longer.
const durationBuckets = 16

// Durations is a histogram of how long something took.
// Bucket i counts those of at most DurationBound(i) seconds that no earlier bucket took; the last one has no bound.
type Durations struct {
	Count      uint64
	SumSeconds float64
	MaxSeconds float64
	Buckets    [durationBuckets]uint64
}

// DurationBound is the upper bound of bucket i in seconds: 50 µs, doubled with each bucket. The last bucket has none.
func DurationBound(i int) float64 { return 50e-6 * float64(uint64(1)<<i) }

// durations is the live form of Durations, safe for concurrent use.
type durations struct {
	count, sumNanos, maxNanos atomic.Uint64
	buckets                   [durationBuckets]atomic.Uint64
}

func (d *durations) observe(took time.Duration) {
	nanos := uint64(max(took, 0))
	i := 0
	for i < durationBuckets-1 && nanos > 50_000<<i {
		i++
	}
	d.buckets[i].Add(1)
	d.count.Add(1)
	d.sumNanos.Add(nanos)
	for old := d.maxNanos.Load(); nanos > old && !d.maxNanos.CompareAndSwap(old, nanos); {
		old = d.maxNanos.Load()
	}
}

func (d *durations) snapshot() Durations {
	s := Durations{
		Count:      d.count.Load(),
		SumSeconds: float64(d.sumNanos.Load()) / 1e9,
		MaxSeconds: float64(d.maxNanos.Load()) / 1e9,
	}
	for i := range s.Buckets {
		s.Buckets[i] = d.buckets[i].Load()
	}
	return s
}

// LogStats are the figures of a Log since it was opened.
type LogStats struct {
	Entries, Bytes uint64    // appended
	AppendSeconds  Durations // each append with its fsync
}

// StoreStats are the figures of a Store since it was opened, and what it holds.
type StoreStats struct {
	PendingBytes     int64     // handed over, not yet durable
	Flushes          uint64    // transactions of state.db
	FlushSeconds     Durations // encoding, writing and syncing one
	SealSeconds      Durations // writing and syncing the file of one closed segment
	Messages         uint64    // written
	MessageBytes     uint64    // of them, without overhead
	Records          uint64    // written or removed, after coalescing
	RecordsGiven     uint64    // before it
	SegmentsSealed   int       // files
	SegmentsUnsealed int       // in state.db: the open one and those that wait for their file
	FirstSeq         uint64    // first and last message that is durable, 0 when there is none
	LastSeq          uint64
	StateBytes       int64 // size of state.db
	SealedBytes      int64 // size of the sealed files
}
