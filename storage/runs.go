package storage

// Runs: the index of a segment that is not sealed yet. A key is stream<<32 | place, the place being seq - first.
// Each flush adds a sorted run; neighbours are merged so that there are few and each is at least twice the next.
// 8 bytes a message at rest, at most 24 while two runs become one. Runs are immutable, so readers need no lock.

import "slices"

func placeKey(stream, place uint32) uint64 { return uint64(stream)<<32 | uint64(place) }

// addRun returns runs with keys, which it sorts and copies. The runs given are not changed.
func addRun(runs [][]uint64, keys []uint64) [][]uint64 {
	if len(keys) == 0 {
		return runs
	}
	slices.Sort(keys)
	n, size := len(runs), len(keys)
	for n > 0 && len(runs[n-1]) < 2*size {
		n--
		size += len(runs[n])
	}
	if n == len(runs) {
		return append(runs[:n:n], slices.Clone(keys))
	}
	merged := keys
	for i := len(runs) - 1; i >= n; i-- {
		merged = mergeRuns(runs[i], merged)
	}
	return append(runs[:n:n], merged)
}

func mergeRuns(a, b []uint64) []uint64 {
	out := make([]uint64, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0] <= b[0] {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// nextPlace returns the first place of stream at or after from. Runs follow each other in time, so the first hit is the lowest.
func nextPlace(runs [][]uint64, stream, from uint32) (uint32, bool) {
	want := placeKey(stream, from)
	for _, run := range runs {
		i, _ := slices.BinarySearch(run, want)
		if i < len(run) && uint32(run[i]>>32) == stream {
			return uint32(run[i]), true
		}
	}
	return 0, false
}

// oneRun merges all into one.
func oneRun(runs [][]uint64) []uint64 {
	var out []uint64
	for i := len(runs) - 1; i >= 0; i-- {
		if out == nil {
			out = runs[i]
			continue
		}
		out = mergeRuns(runs[i], out)
	}
	return out
}
