package broker

// This file holds what happens because time has passed.

// timeAdvanced handles what is due, at most Limits.DueMax of it: first ack timeouts, then messages past their time, then what waited too long for users or subscriptions.
func (s *State) timeAdvanced(fx *Effects) Refusal {
	left := s.limits.DueMax
	for left > 0 {
		sub, at, ok := s.ackDue.first(s)
		if !ok || at > s.clock {
			break
		}
		s.settleOne(sub, sub.window.head, Requeued, fx)
		s.settled(sub)
		left--
	}
	for left > 0 {
		q, at, ok := s.expiryDue.first(s)
		if !ok || at > s.clock {
			break
		}
		ref := q.expiry.items[0].ref
		q.unwait(&s.entries, ref, s.entries.at(ref))
		s.expire(q, ref, fx)
		left--
	}
	for left > 0 {
		u, at, ok := s.userDue.first(s)
		if !ok || at > s.clock {
			break
		}
		age := u.policy.of(s, u.dest).UserWaitingAgeMillis
		n := 0
		for _, w := range u.list() {
			if n == left || w.at.after(age) > s.clock {
				break
			}
			n++
		}
		s.giveWay(u, n, fx)
		left -= n
	}
	for left > 0 {
		x, at, ok := s.unclaimedDue.first(s)
		if !ok || at > s.clock {
			break
		}
		left -= s.dueUnclaimed(x, left, fx)
	}
	return RefusedNone
}

// NextDue returns when a TimeAdvanced would have something to do; false if nothing can become due.
// It may be called between events; it changes nothing that the fold, its records or its effects show.
func (s *State) NextDue() (Instant, bool) {
	next, some := Instant(0), false
	earlier := func(at Instant, ok bool) {
		if ok && (!some || at < next) {
			next, some = at, true
		}
	}
	_, at, ok := s.ackDue.first(s)
	earlier(at, ok)
	_, at, ok = s.expiryDue.first(s)
	earlier(at, ok)
	_, at, ok = s.userDue.first(s)
	earlier(at, ok)
	_, at, ok = s.unclaimedDue.first(s)
	earlier(at, ok)
	return next, some
}

// noteAllDues finds anew when everything is due, after policies changed.
func (s *State) noteAllDues() {
	s.ackDue.clear()
	for _, sub := range s.subs {
		if sub == nil || sub.queue == nil {
			continue
		}
		if at, ok := sub.dueAt(s); ok {
			s.ackDue.note(sub, at)
		}
	}
	s.userDue.clear()
	for _, u := range s.users { // the order does not matter: a heap of a total order gives the same first
		if at, ok := u.dueAt(s); ok {
			s.userDue.note(u, at)
		}
	}
}

// expire drops a message that does not wait any more because its time is over.
func (s *State) expire(q *queue, ref uint32, fx *Effects) {
	e := s.entries.at(ref)
	x := fx.add(EffectExpired)
	x.Seq, x.Body, x.Dest = e.place, e.place, q.name
	s.remove(q, ref)
}

// expiryHeap orders a queue's messages by the end of their time. Those that left the queue, or are with a subscription, stay in it until they come to its front
// or there are more of them than of the others.
type expiryHeap struct{ items []expiryItem }

type expiryItem struct {
	at    Instant
	place Seq
	ref   uint32
}

// expirySlack is how many items of messages that left are put up with.
const expirySlack = 64

// watchExpiry notes a waiting message that has an end.
func (s *State) watchExpiry(q *queue, ref uint32, e *entry) {
	if e.flags&entryTimed == 0 {
		if len(q.expiry.items) >= 2*q.timed+expirySlack {
			q.expiry.compact(&s.entries)
		}
		e.flags |= entryTimed
		q.expiry.push(expiryItem{e.expiresAt, e.place, ref})
	}
	s.expiryDue.note(q, e.expiresAt)
}

// dueAt returns when the first waiting message is past its time.
func (q *queue) dueAt(s *State) (Instant, bool) {
	for len(q.expiry.items) > 0 {
		item := q.expiry.items[0]
		if e := s.entries.live(item.ref, item.place); e != nil {
			if e.flags&entryUnsettled == 0 {
				return item.at, true
			}
			e.flags &^= entryTimed
		}
		q.expiry.pop()
	}
	return 0, false
}

func (q *queue) dueSlot() *dueSlot { return &q.due }

func (q *queue) dueOrder() uint64 { return q.id }

func (h *expiryHeap) less(i, j int) bool {
	a, b := &h.items[i], &h.items[j]
	return a.at < b.at || a.at == b.at && a.place < b.place
}

func (h *expiryHeap) push(item expiryItem) {
	h.items = append(h.items, item)
	for i := len(h.items) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h.less(i, parent) {
			break
		}
		h.items[i], h.items[parent] = h.items[parent], h.items[i]
		i = parent
	}
}

func (h *expiryHeap) pop() {
	last := len(h.items) - 1
	h.items[0] = h.items[last]
	h.items = h.items[:last]
	h.down(0)
}

func (h *expiryHeap) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(h.items) {
			return
		}
		if child+1 < len(h.items) && h.less(child+1, child) {
			child++
		}
		if !h.less(child, i) {
			return
		}
		h.items[i], h.items[child] = h.items[child], h.items[i]
		i = child
	}
}

// compact drops the items of messages that left the queue.
func (h *expiryHeap) compact(entries *slab) {
	kept := h.items[:0]
	for _, item := range h.items {
		if entries.live(item.ref, item.place) != nil {
			kept = append(kept, item)
		}
	}
	h.items = kept
	for i := len(kept)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}
