package gateway

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"stampede/broker"
	"stampede/stomp"
)

// This file is a subscription to a queue, as its node keeps it: the fold decides which message it gets; here the
// message's bytes are found and written when the session has space.

// queueSub is one subscription to a queue.
type queueSub struct {
	link   *link
	id     string // the client's
	number uint64
	mode   broker.AckMode
	head   []byte
	closed atomic.Bool

	mu      sync.Mutex
	pending []broker.Effect       // deliveries that wait for space or for bytes from disk; at most the credit; guarded by mu
	lastTag uint64                // highest tag given out; guarded by mu
	tags    map[broker.Seq]uint64 // unsettled ones before STOMP 1.2, where ACK names a message-id; guarded by mu
	order   []tagged              // what tags holds, by tag, and some that are settled; guarded by mu
}

type tagged struct {
	seq broker.Seq
	tag uint64
}

// deliver performs a delivery; on the fold's goroutine.
func (s *queueSub) deliver(fx *broker.Effect, e *encoder, wakes *wakeList) {
	if s.closed.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) == 0 && !s.link.session.Full() && !s.link.gateway.node.InDoubt() {
		m := fx.Message
		if m == nil {
			m = s.link.gateway.node.Recent(fx.Body)
		}
		if m != nil {
			s.write(fx, m, e, wakes)
			return
		}
	}
	waiting := *fx
	waiting.Message = nil // its bytes are read again when there is space
	s.pending = append(s.pending, waiting)
	if len(s.pending) == 1 {
		s.link.addWaiting(s)
		s.link.session.RequestRefill()
	}
}

// refill writes pending deliveries while there is space; on the session's writing goroutine.
func (s *queueSub) refill(r *refiller, space int) (written int, done bool) {
	for written < space && !s.link.gateway.node.InDoubt() {
		s.mu.Lock()
		if len(s.pending) == 0 || s.closed.Load() {
			s.pending = nil
			s.mu.Unlock()
			return written, true
		}
		fx := s.pending[0]
		s.mu.Unlock()
		m, err := s.link.gateway.node.Message(fx.Body) // may read the disk: not under the lock
		if err != nil {
			s.link.session.Error(internalError(err), "")
			return written, true
		}
		s.mu.Lock()
		if len(s.pending) > 0 { // still open
			s.write(&fx, m, &r.encoder, &r.wakes)
			s.pending = s.pending[1:]
		}
		s.mu.Unlock()
		written += len(m.Body) + len(m.Headers)
		r.count++
	}
	return written, false
}

// write puts one delivery into the outbox; the caller holds mu.
func (s *queueSub) write(fx *broker.Effect, m *broker.Message, e *encoder, wakes *wakeList) {
	l := s.link
	if fx.Seq != m.Seq { // a dead letter: the bytes of the message that it was, at its new place
		moved := *m
		moved.Seq, moved.Dest, moved.As = fx.Seq, fx.Dest, ""
		m = &moved
	}
	e.reset(m, "")
	tail, shared := e.tail(l.version)
	head := s.longHead(fx, e)
	var wake bool
	if s.mode == broker.AckAuto {
		wake = l.give(head, tail, m.Text, shared, mark{sub: s.number, tag: fx.Tag})
	} else {
		_, wake = l.session.Write(head, tail, m.Text, shared)
	}
	if wake {
		wakes.add(l.session)
	}
	s.lastTag = max(s.lastTag, fx.Tag)
	if s.tags != nil {
		s.noteTag(fx.Seq, fx.Tag)
	}
}

// noteTag makes a delivery known by its message-id; the caller holds mu.
func (s *queueSub) noteTag(seq broker.Seq, tag uint64) {
	s.tags[seq] = tag
	s.order = append(s.order, tagged{seq, tag})
	if len(s.order) > 2*len(s.tags)+orderSlack {
		s.order = slices.DeleteFunc(s.order, func(d tagged) bool { return s.tags[d.seq] != d.tag })
	}
}

// orderSlack is how many settled deliveries a list may hold beside twice the unsettled ones.
const orderSlack = 64

func (s *queueSub) longHead(fx *broker.Effect, e *encoder) []byte {
	if s.mode == broker.AckAuto && fx.Attempt <= 1 && !fx.Redelivered && fx.Reason == "" {
		return s.head
	}
	v := s.link.version
	head := append(e.head[:0], s.head...)
	if s.mode != broker.AckAuto && v == stomp.V12 {
		head = appendAck(head, s.number, fx.Tag, "")
	}
	if fx.Redelivered {
		head = append(head, "redelivered:true\n"...)
	}
	if fx.Redelivered || fx.Attempt > 1 || fx.Reason != "" {
		head = append(head, "delivery-count:"...)
		head = strconv.AppendUint(head, uint64(deliveryCount(fx)), 10)
		head = append(head, '\n')
	}
	if fx.Reason != "" {
		head = stomp.AppendHeader(head, v, "dead-letter-reason", fx.Reason)
		head = stomp.AppendHeader(head, v, "dead-letter-destination", fx.From)
	}
	e.head = head
	return head
}

// deliveryCount is how often a message was delivered, this time included; a dead letter brings the deliveries of its
// first life along, and its first delivery from the dead letters is not one more.
func deliveryCount(fx *broker.Effect) uint32 {
	if fx.Reason == "" {
		return fx.Attempt
	}
	return fx.Count + fx.Attempt - 1
}

// tagOf finds the delivery that an ACK before STOMP 1.2 names by its message-id.
func (s *queueSub) tagOf(seq broker.Seq) (uint64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tag, ok := s.tags[seq]
	return tag, ok
}

// settled forgets the message-ids of settled deliveries (before STOMP 1.2 only).
func (s *queueSub) settled(seq broker.Seq, tag uint64, cumulative bool) {
	if s.tags == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !cumulative {
		s.forgetTag(tagged{seq, tag})
		return
	}
	n := 0
	for n < len(s.order) && s.order[n].tag <= tag {
		s.forgetTag(s.order[n])
		n++
	}
	s.order = s.order[n:]
}

// forgetTag forgets a delivery, unless its message was delivered again since; the caller holds mu.
func (s *queueSub) forgetTag(d tagged) {
	if s.tags[d.seq] == d.tag {
		delete(s.tags, d.seq)
	}
}

// close drops what was pending; the fold puts it back when it hears of the end.
func (s *queueSub) close() {
	s.closed.Store(true)
	s.mu.Lock()
	s.pending = nil
	s.mu.Unlock()
}
