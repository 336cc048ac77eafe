package main

// bench_receive.go: the subscribing connections of a topic.

import (
	"fmt"
	"sync/atomic"

	"stampede/stomp"
)

// receiver counts the messages of one subscription.
//
// Goroutines: run.
type receiver struct {
	number   int
	session  *meteredClient
	window   *measuredTime
	count    uint64 // owned by run
	received atomic.Uint64
	latency  *histogram  // nil: not measured; owned by run
	order    *orderCheck // nil: not checked; owned by run
}

// run reads until the session ends.
func (r *receiver) run() error {
	for {
		if err := r.next(); err != nil {
			return fmt.Errorf("subscriber %d: %w", r.number, err)
		}
	}
}

// next counts one frame. It is all that a delivery costs the generator.
func (r *receiver) next() error {
	f, err := r.session.read()
	if err != nil || f.Command != stomp.CommandMessage {
		return err
	}
	r.count++
	if r.order != nil {
		r.order.note(f.Body)
	}
	if r.latency == nil {
		return nil
	}
	if stamp, ok := parseHex(f.Body); ok && r.window.covers(int64(stamp)) {
		r.latency.add(r.session.meter.readAt - int64(stamp))
	}
	return nil
}

// publish makes the count visible; it is called before each read that may block.
func (r *receiver) publish() error {
	r.received.Store(r.count)
	return nil
}

// orderCheck follows the serial numbers of each publisher on one subscription.
type orderCheck struct {
	next     []uint64 // by publisher: the serial number that comes next
	repeated uint64   // deliveries that came before, or behind a later one
	skipped  uint64   // messages that a later one came in place of
}

func (o *orderCheck) note(body []byte) {
	if len(body) < stampedBytes {
		return // not of this run; it shows as a surplus
	}
	v, ok := parseHex(body[hexDigits:])
	publisher, serial := v>>48, v&(1<<48-1)
	if !ok || publisher >= uint64(len(o.next)) {
		return // as above
	}
	if serial < o.next[publisher] {
		o.repeated++
		return
	}
	o.skipped += serial - o.next[publisher]
	o.next[publisher] = serial + 1
}
