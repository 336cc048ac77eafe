package main

// bench_consume.go: the consuming connections of a queue.

import (
	"errors"
	"fmt"
	"sync/atomic"

	"stampede/stomp"
)

// consumer processes the messages of one subscription: it counts, checks, and acknowledges them in batches.
//
// Goroutines: run.
type consumer struct {
	number        int
	session       *meteredClient
	overWebSocket bool
	ack           string
	tally         *tally // nil without --verify
	window        *measuredTime
	latency       *histogram

	acks        []byte // ACK frames not written yet
	lastAck     []byte // with client: the ack header of the last message
	frame       []byte
	count       uint64
	redelivered uint64
	received    atomic.Uint64
	lastAt      atomic.Int64
	done        chan struct{} // closed when run has ended
}

// run reads until the session ends.
func (c *consumer) run() error {
	defer close(c.done)
	for {
		f, err := c.session.read()
		if err != nil {
			return fmt.Errorf("consumer %d: %w", c.number, err)
		}
		if f.Command != stomp.CommandMessage {
			continue
		}
		if err := c.process(f); err != nil {
			return fmt.Errorf("consumer %d: %w", c.number, err)
		}
	}
}

func (c *consumer) process(f *stomp.Frame) error {
	c.count++
	if again, ok := f.Get("redelivered"); ok && string(again) == "true" {
		c.redelivered++
	}
	if stamp, ok := parseHex(f.Body); ok && c.window.covers(int64(stamp)) {
		c.latency.add(c.session.meter.readAt - int64(stamp))
	}
	if c.tally != nil {
		c.tally.note(f.Body)
	}
	if c.ack == "auto" {
		return nil
	}
	id, ok := f.Get("ack")
	if !ok {
		return errors.New("a message came without an ack header")
	}
	if c.ack == "client" {
		c.lastAck = append(c.lastAck[:0], id...)
		return nil
	}
	c.appendAck(id)
	return nil
}

func (c *consumer) appendAck(id []byte) {
	if !c.overWebSocket {
		c.acks = appendAckFrame(c.acks, id)
		return
	}
	c.frame = appendAckFrame(c.frame[:0], id)
	c.acks = appendMaskedFrame(c.acks, opText, c.frame, [4]byte{0x5A, 0xA5, 0x3C, 0xC3})
}

func appendAckFrame(dst, id []byte) []byte {
	dst = append(dst, "ACK\n"...)
	dst = stomp.AppendHeaderBytes(dst, stomp.V12, []byte("id"), id)
	return append(dst, '\n', 0)
}

// settle acknowledges what one read brought; it is called before the next one. The count is made visible behind it.
func (c *consumer) settle() error {
	if len(c.lastAck) > 0 {
		c.appendAck(c.lastAck)
		c.lastAck = c.lastAck[:0]
	}
	if len(c.acks) > 0 {
		if err := c.session.writePrepared(c.acks); err != nil {
			return err
		}
		c.acks = c.acks[:0]
	}
	if c.count != c.received.Load() {
		c.received.Store(c.count)
		c.lastAt.Store(c.session.meter.clock.now())
	}
	return nil
}
