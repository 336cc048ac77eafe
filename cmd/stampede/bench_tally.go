package main

// bench_tally.go: which messages of a queue were processed, and how often.

import "sync/atomic"

// tally has a bit for each message of each publisher. Consumers share it.
type tally struct {
	seen       [][]atomic.Uint64 // by publisher, then by serial number / 64
	duplicates atomic.Uint64
	strange    atomic.Uint64 // bodies that no publisher of the run has sent
}

func newTally(publishers int, each uint64) *tally {
	t := &tally{seen: make([][]atomic.Uint64, publishers)}
	for i := range t.seen {
		t.seen[i] = make([]atomic.Uint64, (each+63)/64)
	}
	return t
}

// note counts one processed message by the serial number in its body.
func (t *tally) note(body []byte) {
	if len(body) < stampedBytes {
		t.strange.Add(1)
		return
	}
	v, ok := parseHex(body[hexDigits:])
	publisher, serial := v>>48, v&(1<<48-1)
	if !ok || publisher >= uint64(len(t.seen)) || serial/64 >= uint64(len(t.seen[publisher])) {
		t.strange.Add(1)
		return
	}
	bit := uint64(1) << (serial % 64)
	if t.seen[publisher][serial/64].Or(bit)&bit != 0 {
		t.duplicates.Add(1)
	}
}

// missing is the number of a publisher's first sent messages that nobody has processed.
func (t *tally) missing(publisher int, sent uint64) (n uint64) {
	for serial := range sent {
		if t.seen[publisher][serial/64].Load()&(1<<(serial%64)) == 0 {
			n++
		}
	}
	return n
}
