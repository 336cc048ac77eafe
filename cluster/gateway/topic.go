package gateway

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"stampede/broker"
	"stampede/stomp"
)

// This file is a subscription to a topic or a user destination, as its node keeps it: pushed to while its session can
// take more, reading the log from its cursor while it cannot.

// refillMessages and refillBytes bound what one read of the log brings into memory for a lagging subscription.
const (
	refillMessages = 256
	refillBytes    = 128 << 10
)

// topicSub is one subscription to a topic, a pattern of topics, or a user destination.
//
// The fold's goroutine pushes and makes it lag; the session's writing goroutine reads the log for it and ends the lag.
type topicSub struct {
	link          *link
	id            string // the client's
	number        uint64
	dest          string // "" for a pattern
	pattern       broker.Pattern
	serverPattern bool   // the pattern names the broker's own topics
	place         int    // in the router's list; guarded by the router
	interest      string // of topics: the destination or pattern that other nodes are told
	counted       bool   // they were; of the reading goroutine
	told          uint64 // the number under which they were
	user          bool   // a user destination: what was taken is reported to the fold
	mode          broker.AckMode
	noLocal       bool
	head          []byte
	from          atomic.Uint64 // nothing before it is pushed; changed only while lagging
	dropped       atomic.Uint32 // unlogged messages not given since the last MESSAGE
	stalled       atomic.Bool   // a publisher waited for it in vain; until it has space again nobody waits
	closed        atomic.Bool
	lagging       atomic.Bool

	giving sync.Mutex // held while a message is pushed; before mu
	given  broker.Seq // the last logged message that was pushed, or read from the log; guarded by giving

	mu     sync.Mutex
	cursor broker.Seq // lagging: the next to read; guarded by mu, moved by the writing goroutine only
	seen   broker.Seq // lagging: the last that was published and not pushed; guarded by mu
	parked bool       // lagging, but the position is not known yet; guarded by mu
	window window     // client modes: what was given and not acked; guarded by mu
	credit credit     // client modes: how much may be in the window
}

// offer gives a logged message to the subscription and tells whether it was written; on the fold's goroutine.
func (s *topicSub) offer(e *encoder, wakes *wakeList) bool {
	m := e.message
	if s.closed.Load() || (s.noLocal && s.link.sent(m)) {
		return false
	}
	if s.lagging.Load() {
		s.mu.Lock()
		if s.lagging.Load() {
			s.seen = m.Seq
			s.mu.Unlock()
			return false
		}
		s.mu.Unlock()
	}
	if m.Seq < broker.Seq(s.from.Load()) {
		return false
	}
	if s.link.session.Full() || !s.hasCredit() {
		s.lag(m.Seq, m.Seq)
		s.link.session.RequestRefill()
		return false
	}
	s.giving.Lock()
	s.write(e, wakes)
	s.given = m.Seq
	s.giving.Unlock()
	return true
}

// lag makes the subscription read the log from a place on.
func (s *topicSub) lag(from, seen broker.Seq) {
	s.mu.Lock()
	s.cursor, s.seen = from, seen
	s.lagging.Store(true)
	s.mu.Unlock()
	s.link.addLagging(s)
}

// hasCredit tells whether one more logged message may be given.
func (s *topicSub) hasCredit() bool {
	if s.mode == broker.AckAuto {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.window.has(s.credit)
}

// write puts the encoder's message into the session's outbox.
func (s *topicSub) write(e *encoder, wakes *wakeList) {
	l := s.link
	head := s.head
	if s.mode != broker.AckAuto || s.dropped.Load() > 0 {
		head = s.longHead(e)
	}
	tail, shared := e.tail(l.version)
	var wake bool
	if s.user && s.mode == broker.AckAuto {
		wake = l.give(head, tail, e.message.Text, shared, mark{sub: s.number, seq: e.message.Seq, user: true})
	} else {
		_, wake = l.session.Write(head, tail, e.message.Text, shared)
	}
	if wake {
		wakes.add(l.session)
	}
}

// longHead is the head of a MESSAGE that carries more than the subscription's id.
func (s *topicSub) longHead(e *encoder) []byte {
	head := append(e.head[:0], s.head...)
	if s.mode != broker.AckAuto {
		s.mu.Lock()
		tag := s.window.last()
		if e.id == "" { // an unlogged one needs no credit
			tag = s.window.push(e.message.Seq, e.message.Size())
		}
		s.mu.Unlock()
		if s.link.version == stomp.V12 {
			head = appendAck(head, s.number, tag, e.id)
		}
	}
	if n := s.dropped.Swap(0); n > 0 {
		head = append(head, "dropped:"...)
		head = strconv.AppendUint(head, uint64(n), 10)
		head = append(head, '\n')
	}
	e.head = head
	return head
}

// refill reads the log from the cursor on and writes what the session has space for; on its writing goroutine.
// done says that the subscription has caught up and is pushed to again (or is closed); stuck, that it cannot go on
// until an ACK gives credit.
func (s *topicSub) refill(r *refiller, space int) (written int, done, stuck bool) {
	s.mu.Lock()
	from, parked, free := s.cursor, s.parked, int(s.credit.messages)-s.window.unsettled
	s.mu.Unlock()
	if s.closed.Load() || !s.lagging.Load() {
		return 0, true, false
	}
	limit := refillMessages
	if s.mode != broker.AckAuto {
		limit = min(limit, free)
	}
	if parked || limit <= 0 {
		return 0, false, true
	}
	msgs, next, err := s.link.gateway.node.Scan(s.dest, s.wants, from, limit, min(space, refillBytes), r.messages[:0])
	if err != nil {
		s.link.session.Error(internalError(err), "")
		return 0, true, false
	}
	now := s.link.gateway.nowInstant()
	for _, m := range msgs {
		if (s.noLocal && s.link.sent(m)) || expired(m, now) {
			continue
		}
		if !s.hasCredit() {
			next, stuck = m.Seq, true
			break
		}
		r.encoder.reset(m, "")
		s.write(&r.encoder, &r.wakes)
		written += m.Size()
		r.count++
	}
	clear(msgs)
	r.messages = msgs[:0]
	s.giving.Lock()
	s.given = max(next, 1) - 1
	s.giving.Unlock()

	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursor = next
	if s.cursor > s.seen {
		s.from.Store(uint64(s.cursor)) // what the log gave may be on its way to offer still
		s.lagging.Store(false)
		return written, true, false
	}
	return written, false, stuck
}

// start ends the parking of a subscription whose first position the fold has decided.
func (s *topicSub) start(from broker.Seq) {
	s.mu.Lock()
	s.from.Store(uint64(from))
	s.cursor, s.parked = from, false
	s.seen = max(s.seen, s.link.gateway.node.Applied())
	s.mu.Unlock()
	s.link.session.RequestRefill()
}

// unpark ends the parking of a subscription whose place is known. The receipt comes before anything that it is given; where nothing was
// logged meanwhile it is pushed to from here on, and misses no unlogged message after its receipt.
func (s *topicSub) unpark(receipt func() bool) (wake bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wake = receipt()
	s.parked = false
	if s.cursor > s.seen {
		s.lagging.Store(false)
	}
	return wake
}

func (s *topicSub) isParked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parked
}

// settle takes back the credit of deliveries up to (cumulative) or of exactly a tag. It gives the position up to which
// everything was settled now, 0 when that did not move, and whether the tag was unsettled until now.
func (s *topicSub) settle(tag uint64, cumulative bool) (covered broker.Seq, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.window.settle(tag, cumulative)
}

// windowCopy gives the window as it is now, to try something.
func (s *topicSub) windowCopy() *window {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.window
	w.slots = slices.Clone(w.slots)
	return &w
}

// coveredUpTo gives the position up to which everything on a user destination was settled, 0 when nothing was, or on a topic.
func (s *topicSub) coveredUpTo() broker.Seq {
	if !s.user {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.window.covered
}

// window holds the deliveries of a subscription that were not settled, in order of their tags.
type window struct {
	first     uint64       // tag of slots[0], once there is one
	slots     []windowSlot // in order of tags; settled ones leave from the front
	unsettled int
	bytes     int64      // of headers and bodies, unsettled
	covered   broker.Seq // everything given up to it was settled
}

type windowSlot struct {
	seq     broker.Seq
	size    uint32
	settled bool
}

// has tells whether a credit allows one more delivery. With nothing unsettled it always does.
func (w *window) has(c credit) bool {
	if w.unsettled == 0 {
		return true
	}
	return w.unsettled < int(c.messages) && (!c.bytesSet || w.bytes < c.bytes)
}

// push adds a delivery and gives its tag: 1, 2, 3 ...
func (w *window) push(seq broker.Seq, size int) uint64 {
	if w.first == 0 {
		w.first = 1
	}
	w.slots = append(w.slots, windowSlot{seq: seq, size: uint32(size)})
	w.unsettled++
	w.bytes += int64(size)
	return w.first + uint64(len(w.slots)) - 1
}

// last is the highest tag given out, 0 when there was none.
func (w *window) last() uint64 { return max(w.first, 1) + uint64(len(w.slots)) - 1 }

func (w *window) settle(tag uint64, cumulative bool) (covered broker.Seq, known bool) {
	if w.first == 0 || tag < w.first || tag > w.last() {
		return 0, false
	}
	i := int(tag - w.first)
	known = !w.slots[i].settled
	from := i
	if cumulative {
		from = 0
	}
	for ; from <= i; from++ {
		if !w.slots[from].settled {
			w.slots[from].settled = true
			w.unsettled--
			w.bytes -= int64(w.slots[from].size)
		}
	}
	n := 0
	for n < len(w.slots) && w.slots[n].settled {
		covered = w.slots[n].seq
		n++
	}
	w.slots = w.slots[n:]
	w.first += uint64(n)
	w.covered = max(w.covered, covered)
	return covered, known
}

// tagOf finds the oldest unsettled delivery of a message, for the versions whose ACK names a message-id.
func (w *window) tagOf(seq broker.Seq) (uint64, bool) {
	for i, slot := range w.slots {
		if slot.seq == seq && !slot.settled {
			return w.first + uint64(i), true
		}
	}
	return 0, false
}

// upTo finds the last delivery at or before a place, 0 if there is none.
func (w *window) upTo(seq broker.Seq) (tag uint64) {
	for i, slot := range w.slots {
		if slot.seq > seq {
			break
		}
		tag = w.first + uint64(i)
	}
	return tag
}

func expired(m *broker.Message, now broker.Instant) bool {
	return m.ExpiresAt != 0 && m.ExpiresAt <= now
}
