package main

// send.go: the publisher.

import (
	"bytes"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// backlogEvery is after how many messages the backlog is looked at.
	backlogEvery = 64
	ackPatience  = 10 * time.Second // without an acknowledgement; then the run has failed
)

// unacknowledged is a message that was published and is not known to be kept.
type unacknowledged struct {
	ack nats.PubAckFuture
	at  int64
}

func (r *run) fail(err error) { r.fault.CompareAndSwap(nil, &err) }

// send publishes until stop, and waits for what is not acknowledged then.
func (r *run) send(conn *nats.Conn, stop <-chan struct{}) {
	publish := func(body []byte, _ int64) error { return conn.Publish(subject, body) }
	if !r.core {
		js, err := conn.JetStream(nats.PublishAsyncMaxPending(2 * r.window)) // the window bounds it
		if err != nil {
			r.fail(err)
			return
		}
		waiting, ended := make(chan unacknowledged, r.window), make(chan struct{})
		go r.acknowledge(waiting, ended)
		defer func() { close(waiting); <-ended }()
		publish = func(body []byte, at int64) error {
			ack, err := js.PublishAsync(subject, body)
			if err == nil {
				waiting <- unacknowledged{ack, at}
			}
			return err
		}
	}
	first, body := r.now(), bytes.Repeat([]byte{'x'}, r.body)
	for r.fault.Load() == nil {
		select {
		case <-stop:
			if err := conn.Flush(); err != nil {
				r.fail(err)
			}
			return
		default:
		}
		at := r.pace(first)
		if r.rate > 0 {
			copy(body, fmt.Sprintf("%0*x", stampBytes, at)) // the library copies what it publishes
		}
		if err := publish(body, at); err != nil {
			r.fail(fmt.Errorf("publish: %w", err))
			return
		}
		r.sent.Add(1)
	}
}

// pace waits until the next message is due and gives its time: when it was due, if that is over.
func (r *run) pace(first int64) int64 {
	for r.backlog > 0 && r.sent.Load()%backlogEvery == 0 && r.sent.Load() > r.received()/uint64(len(r.readers))+r.backlog && r.fault.Load() == nil {
		time.Sleep(time.Millisecond)
	}
	if r.rate == 0 {
		return r.now()
	}
	due := first + int64(float64(r.sent.Load())*1e9/r.rate)
	if wait := due - r.now(); wait > 0 {
		time.Sleep(time.Duration(wait))
		return r.now()
	}
	return due
}

// acknowledge waits for the acknowledgements in turn.
func (r *run) acknowledge(waiting <-chan unacknowledged, ended chan<- struct{}) {
	defer close(ended)
	patience := time.NewTimer(ackPatience)
	for u := range waiting {
		patience.Reset(ackPatience)
		select {
		case <-u.ack.Ok():
			if from := r.from.Load(); from > 0 && u.at >= from && (r.to.Load() == 0 || u.at < r.to.Load()) {
				r.acks = append(r.acks, r.now()-u.at)
			}
		case err := <-u.ack.Err():
			r.fail(fmt.Errorf("not acknowledged: %w", err))
		case <-patience.C:
			r.fail(fmt.Errorf("no acknowledgement for %s", ackPatience))
		}
	}
}
