package main

// bench_send.go: the publishing connections. A batch of frames is encoded once; before each write only some digits
// in it change, and where nothing changes the same bytes are written again.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"stampede/stomp"
)

// lateNanos: a frame that leaves later than this after it was due is stamped with when it was due, so that
// a broker that stops reading cannot hide its latency (coordinated omission).
const lateNanos = int64(time.Millisecond)

// sendPlan is what a sender does.
type sendPlan struct {
	destination string
	headers     []string
	persistent  string // the header; "": none
	bodyBytes   int
	receipts    bool
	window      int         // with receipts: frames without theirs
	stamped     bool        // the body begins with the time of sending
	serial      bool        // then comes a serial number, the sender's number in its upper 16 bits
	rate        float64     // messages a second; 0: as many as go
	limit       uint64      // messages; 0: until it is told to stop
	gate        func() bool // says whether another batch may go now; nil: always
	clock       stopwatch
}

// sender publishes on one connection.
//
// Goroutines: run and readReceipts, one each.
type sender struct {
	plan     *sendPlan
	number   int
	session  *meteredClient
	template sendTemplate
	batch    []byte // as many copies of the frame as one write takes
	perBatch int

	next      uint64        // messages written; owned by run
	sent      atomic.Uint64 // the same, for others
	confirmed atomic.Uint64 // receipts that came
	wake      chan struct{} // says that confirmed has grown

	sentAt  []atomic.Int64 // when the frame with a receipt number (modulo the length) was written
	receipt *histogram     // from writing to RECEIPT; owned by readReceipts
	window  *measuredTime
}

func (f *BenchFlags) openSender(ctx context.Context, plan *sendPlan, number int, window *measuredTime) (*sender, error) {
	s := &sender{plan: plan, number: number, wake: make(chan struct{}, 1), window: window}
	session, err := f.openMetered(ctx, plan.clock, s.countReceipts)
	if err != nil {
		return nil, err
	}
	s.session = session
	_, overWebSocket := s.session.conn.(*wsConn)
	if s.template, err = newSendTemplate(plan, overWebSocket); err != nil {
		return nil, errors.Join(err, s.session.conn.Close())
	}
	s.perBatch = max(1, benchBatchBytes/len(s.template.frame))
	s.batch = bytes.Repeat(s.template.frame, s.perBatch)
	if plan.receipts {
		s.sentAt = newSentTimes(plan.window)
		s.receipt = &histogram{}
	}
	return s, nil
}

// newSentTimes makes room for more than a window, since receipts may come out of order.
func newSentTimes(window int) []atomic.Int64 { return make([]atomic.Int64, 4*window) }

// run sends until the limit is reached or ctx is done. A write that blocks is waited for: who gives up closes the connection.
func (s *sender) run(ctx context.Context) error {
	for ctx.Err() == nil {
		n, due, err := s.allowed(ctx)
		if n == 0 || err != nil {
			return err
		}
		b := s.prepare(n, due)
		s.next += uint64(n)
		if err := s.session.writePrepared(b); err != nil {
			return fmt.Errorf("publisher %d: %w", s.number, err)
		}
		s.sent.Store(s.next)
	}
	return nil
}

// allowed says how many messages may go now, waiting until it is at least one; 0 at the end. due is when the first was due.
func (s *sender) allowed(ctx context.Context) (n int, due int64, err error) {
	for waited := time.Duration(0); ctx.Err() == nil; {
		var wait time.Duration
		n, due, wait = s.ready()
		switch free := s.free(); {
		case wait == 0 && n == 0:
			return 0, 0, nil // the limit
		case n > 0 && free <= 0:
			if waited >= receiptTimeout {
				return 0, 0, fmt.Errorf("publisher %d: no receipt came for %s", s.number, receiptTimeout)
			}
			waited += s.awaitReceipt(ctx)
		case n > 0 && s.plan.gate != nil && !s.plan.gate():
			sleep(ctx, time.Millisecond)
		case n > 0:
			return min(n, free), due, nil
		default:
			sleep(ctx, wait)
		}
	}
	return 0, 0, nil
}

// ready says how many messages limit and rate let go by now. None and a wait: not yet; none without one: never again.
func (s *sender) ready() (n int, due int64, wait time.Duration) {
	n = s.perBatch
	if s.plan.limit > 0 {
		if n = int(min(uint64(n), s.plan.limit-s.next)); n == 0 {
			return 0, 0, 0
		}
	}
	if s.plan.rate == 0 {
		return n, 0, 0
	}
	now, interval := s.plan.clock.now(), 1e9/s.plan.rate
	due = s.window.paceFrom.Load() + int64(float64(s.next)*interval)
	if due > now {
		return 0, due, time.Duration(due - now)
	}
	return min(n, int(float64(now-due)/interval)+1), due, 0
}

// free is the room in the window.
func (s *sender) free() int {
	if !s.plan.receipts {
		return s.perBatch
	}
	return s.plan.window - int(s.next-s.confirmed.Load())
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// awaitReceipt waits for room in the window and says how long nothing came.
func (s *sender) awaitReceipt(ctx context.Context) time.Duration {
	const patience = time.Second
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-s.wake:
	case <-timer.C:
		return patience
	}
	return 0
}

// prepare gives n encoded frames with their numbers and times.
func (s *sender) prepare(n int, due int64) []byte {
	size := len(s.template.frame)
	b := s.batch[:n*size]
	if !s.plan.receipts && !s.plan.stamped && !s.plan.serial {
		return b
	}
	now := s.plan.clock.now()
	t := &s.template
	for i := range n {
		stamp := now
		if s.plan.rate > 0 {
			if at := due + int64(float64(i)*1e9/s.plan.rate); now-at > lateNanos {
				stamp = at
			}
		}
		frame := b[i*size : (i+1)*size]
		serial := s.next + uint64(i)
		t.put(frame, t.receiptAt, serial)
		t.put(frame, t.stampAt, uint64(stamp))
		t.put(frame, t.serialAt, uint64(s.number)<<48|serial)
		if s.plan.receipts {
			s.sentAt[serial%uint64(len(s.sentAt))].Store(now)
		}
	}
	return b
}

// readReceipts reads until the session ends. An ERROR frame ends the run.
func (s *sender) readReceipts() error {
	for {
		f, err := s.session.read()
		if err != nil {
			return fmt.Errorf("publisher %d: %w", s.number, err)
		}
		if f.Command != stomp.CommandReceipt {
			continue
		}
		id, _ := f.Get("receipt-id")
		serial, ok := parseHex(id)
		if !ok || s.receipt == nil {
			return errors.New("publisher " + strconv.Itoa(s.number) + ": a receipt came that was not asked for")
		}
		s.confirmed.Add(1)
		sentAt := s.sentAt[serial%uint64(len(s.sentAt))].Load()
		if s.window.covers(sentAt) {
			s.receipt.add(s.session.meter.readAt - sentAt)
		}
	}
}

// countReceipts wakes run; it is called before the reading side may block.
func (s *sender) countReceipts() error {
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}
