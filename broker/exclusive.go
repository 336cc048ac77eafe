package broker

import "slices"

// This file holds exclusive queues: what one session alone may read, and what is gone with it.

// What finds no subscription waits for one, so that a message may come before the SUBSCRIBE that it is an answer to.
const (
	unclaimedMillis = 30_000 // how long it waits
	unclaimedMax    = 100    // how many of them wait in a queue; the oldest gives way
)

// exclusive is what an exclusive queue has besides.
type exclusive struct {
	queue     *queue
	unclaimed []waitingMessage // all messages, with the time since when there was no subscription for them; none while there is one
	due       dueSlot
}

// IsQueue reports whether messages of the kind wait in a queue, exclusive or not.
func (k Kind) IsQueue() bool { return k == KindQueue || k == KindExclusive }

// queueOf returns the queue of that name; a new one, exclusive if that is the kind, if there is none. What a queue is, it stays: a name means the
// same to all who use it, however they came by it. Dead letters are nobody's.
func (s *State) queueOf(kind Kind, name string) *queue {
	if q := s.queues[name]; q != nil {
		return q
	}
	q := s.queueNamed(name)
	if kind == KindExclusive && !q.dead {
		q.exclusive = &exclusive{queue: q}
	}
	return q
}

// owner returns the session whose queue it is; nil if it is nobody's.
func (q *queue) owner() *session {
	if q.exclusive == nil {
		return nil
	}
	for _, sub := range q.subs {
		if sub != nil {
			return sub.session
		}
	}
	return nil
}

// kind returns what the queue is.
func (q *queue) kind() Kind {
	if q.exclusive != nil {
		return KindExclusive
	}
	return KindQueue
}

// awaitClaim lets the newest message of an exclusive queue wait for a subscription if there is none.
func (s *State) awaitClaim(q *queue, place Seq, fx *Effects) {
	x := q.exclusive
	if x == nil || q.subscriptions() > 0 {
		return
	}
	x.unclaimed = append(x.unclaimed, waitingMessage{place, s.clock})
	s.noteUnclaimed(x)
	if over := len(x.unclaimed) - unclaimedMax; over > 0 {
		s.dropUnclaimed(q, over, fx)
	}
}

// claim ends the waiting: there is a subscription.
func (s *State) claim(q *queue) {
	x := q.exclusive
	if x == nil || len(x.unclaimed) == 0 {
		return
	}
	s.touchWaiting(q)
	x.unclaimed = nil
	s.unclaimedDue.remove(x)
}

// abandon is the end of the last subscription: with its session everything is gone; of a session that lives on, everything waits again.
func (s *State) abandon(q *queue, lost bool, fx *Effects) {
	x := q.exclusive
	if x == nil || q.subscriptions() > 0 || q.depth == 0 {
		return
	}
	if lost {
		s.dropOldest(q, q.depth, reasonOwnerGone, fx)
		return
	}
	for _, e := range s.entriesOf(q) {
		x.unclaimed = append(x.unclaimed, waitingMessage{e.place, s.clock})
	}
	if over := len(x.unclaimed) - unclaimedMax; over > 0 {
		s.dropUnclaimed(q, over, fx)
	}
	s.touchWaiting(q)
	s.noteUnclaimed(x)
}

// touchWaiting marks all that waits in a queue: the record of each says since when.
func (s *State) touchWaiting(q *queue) {
	for ref := q.head; ref != 0; {
		e := s.entries.at(ref)
		s.touchEntry(q, ref, e)
		ref = uint32(e.link)
	}
	for _, ref := range q.returned {
		s.touchEntry(q, ref, s.entries.at(ref))
	}
}

// The reasons of EffectDropped in exclusive queues.
const (
	reasonUnclaimed = "unclaimed"
	reasonOwnerGone = "owner-gone"
)

// dropUnclaimed drops the oldest n of those that wait for a subscription.
func (s *State) dropUnclaimed(q *queue, n int, fx *Effects) {
	left := slices.Clone(q.exclusive.unclaimed[n:])
	q.exclusive.unclaimed = nil // so that none is looked for in it
	s.dropOldest(q, n, reasonUnclaimed, fx)
	q.exclusive.unclaimed = left
}

// dropOldest drops the oldest n messages of a queue; all of them must wait.
func (s *State) dropOldest(q *queue, n int, reason string, fx *Effects) {
	var last Seq
	for range n {
		ref := q.first(&s.entries)
		e := s.entries.at(ref)
		last = e.place
		q.unwait(&s.entries, ref, e)
		s.remove(q, ref)
	}
	x := fx.add(EffectDropped)
	x.Dest, x.Seq, x.Count, x.Reason = q.name, last, uint32(n), reason
}

// unwaitUnclaimed forgets that a message, which leaves the queue, waits for a subscription.
func (q *queue) unwaitUnclaimed(place Seq) {
	if q.exclusive == nil {
		return
	}
	if i, found := q.exclusive.find(place); found {
		q.exclusive.unclaimed = slices.Delete(q.exclusive.unclaimed, i, i+1)
	}
}

// fault says what is wrong with an exclusive queue; "" if nothing is (I12).
func (x *exclusive) fault(s *State) string {
	q, owner := x.queue, x.queue.owner()
	for _, sub := range q.subs {
		if sub != nil && sub.session != owner {
			return "it has two owners"
		}
	}
	waits := 0
	if owner == nil {
		waits = q.depth
	}
	if len(x.unclaimed) != waits || waits > unclaimedMax {
		return "not all of it, or too much, waits for a subscription"
	}
	for i, w := range x.unclaimed {
		if w.at > s.clock || i > 0 && (w.seq <= x.unclaimed[i-1].seq || w.at < x.unclaimed[i-1].at) {
			return "what waits for a subscription is not in order"
		}
	}
	for i, e := range s.entriesOf(q) {
		if owner == nil && e.place != x.unclaimed[i].seq {
			return "something else waits for a subscription"
		}
	}
	return ""
}

// find gives the index of a message among those that wait for a subscription.
func (x *exclusive) find(place Seq) (int, bool) {
	return slices.BinarySearchFunc(x.unclaimed, place, func(w waitingMessage, place Seq) int {
		switch {
		case w.seq < place:
			return -1
		case w.seq > place:
			return 1
		}
		return 0
	})
}

// unclaimedSince gives the time since when a message waits for a subscription; false if it does not.
func (q *queue) unclaimedSince(place Seq) (Instant, bool) {
	if q.exclusive == nil {
		return 0, false
	}
	i, found := q.exclusive.find(place)
	if !found {
		return 0, false
	}
	return q.exclusive.unclaimed[i].at, true
}

// noteUnclaimed makes it known when the oldest has waited long enough.
func (s *State) noteUnclaimed(x *exclusive) {
	if at, ok := x.dueAt(s); ok && x.due.pos == 0 {
		s.unclaimedDue.note(x, at)
	}
}

// dueUnclaimed drops what has waited long enough in one queue, at most that many, and tells how many it was.
func (s *State) dueUnclaimed(x *exclusive, most int, fx *Effects) int {
	n := 0
	for n < len(x.unclaimed) && n < most && x.unclaimed[n].at.after(unclaimedMillis) <= s.clock {
		n++
	}
	s.dropUnclaimed(x.queue, n, fx)
	return n
}

// dueAt returns when the oldest message has waited long enough.
func (x *exclusive) dueAt(*State) (Instant, bool) {
	if len(x.unclaimed) == 0 {
		return 0, false
	}
	return x.unclaimed[0].at.after(unclaimedMillis), true
}

func (x *exclusive) dueSlot() *dueSlot { return &x.due }

func (x *exclusive) dueOrder() uint64 { return x.queue.id }
