package main

// bench_histogram.go: latencies, counted in buckets of at most 1.6 % width, without allocation.

import "math/bits"

const (
	histogramSubBits = 6                                         // 64 buckets for each power of two
	histogramShifts  = 34                                        // up to 2^40 ns, 18 minutes; longer ones count as that
	histogramBuckets = (histogramShifts + 1) << histogramSubBits // the first 64 are exact
)

// histogram counts latencies in nanoseconds. It has one owner at a time.
type histogram struct {
	counts [histogramBuckets]uint64
	total  uint64
	max    int64
}

func (h *histogram) add(nanos int64) {
	nanos = max(nanos, 0)
	h.counts[bucketOf(uint64(nanos))]++
	h.total++
	h.max = max(h.max, nanos)
}

func bucketOf(v uint64) int {
	shift := max(bits.Len64(v)-histogramSubBits-1, 0)
	if shift >= histogramShifts {
		return histogramBuckets - 1
	}
	return shift<<histogramSubBits + int(v>>shift)
}

// bucketTop is the highest value that falls into a bucket.
func bucketTop(bucket int) int64 {
	shift := max(bucket>>histogramSubBits-1, 0)
	return (int64(bucket-shift<<histogramSubBits)+1)<<shift - 1
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// quantile gives a value that the share q of all is not above.
func (h *histogram) quantile(q float64) int64 {
	rank := uint64(q * float64(h.total))
	seen := uint64(0)
	for i, n := range h.counts {
		seen += n
		if n > 0 && seen > rank {
			return min(bucketTop(i), h.max)
		}
	}
	return h.max
}
