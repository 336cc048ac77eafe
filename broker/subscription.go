package broker

import "encoding/binary"

// This file holds subscriptions to queues and user destinations.

type subscription struct {
	ordinal     uint64 // counts openings: the order of fair choice
	slot        uint32 // in State.subs
	number      uint64 // the node's
	session     *session
	inSession   int       // index in session.subs
	queue       *queue    // or nil
	user        *userDest // or nil
	from        Seq       // user destinations: where it began to read, if something waited, or may come, before that; else 0
	pos         int       // index in queue.subs
	mode        AckMode
	credit      uint32
	creditBytes int64
	openedAt    Instant
	lastTag     uint64
	window      window // unsettled deliveries
	bytes       int64  // of unsettled deliveries
	due         dueSlot
	rec         recordMeta
}

func (s *State) subscriptionOpened(f SubscriptionOpened, n *node, fx *Effects) Refusal {
	c := n.sessions[f.Session]
	switch {
	case c == nil:
		return RefusedUnknownSession
	case n.subs[f.Sub] != nil:
		return RefusedDuplicateSubscription
	case !f.Kind.IsQueue() && f.Kind != KindUser, f.Mode > AckClientIndividual:
		return RefusedInvalid
	case !s.validDest(f.Dest), f.Kind == KindUser && (f.User == "" || !s.validName(f.User)):
		return RefusedInvalid
	case s.subscribed >= s.limits.SubscriptionsMax:
		return RefusedLimit
	}
	if refusal := s.refuseTarget(f, c); refusal != RefusedNone {
		return refusal
	}
	sub := &subscription{ordinal: s.takeOrdinal(), number: f.Sub, session: c, mode: f.Mode, openedAt: s.clock}
	sub.credit = uint32(min(max(int(f.Credit), 1), s.limits.CreditMax))
	sub.creditBytes = s.limits.CreditBytesMax
	if f.CreditBytesSet && f.CreditBytes >= 0 {
		sub.creditBytes = min(f.CreditBytes, sub.creditBytes)
	}
	s.attach(sub)
	s.touch(sub)
	if f.Kind.IsQueue() {
		q := s.queueOf(f.Kind, f.Dest)
		s.claim(q)
		q.attach(sub)
		s.mark(q)
		return RefusedNone
	}
	s.openUser(sub, f, fx)
	return RefusedNone
}

// refuseTarget says why a session cannot subscribe to a destination.
func (s *State) refuseTarget(f SubscriptionOpened, c *session) Refusal {
	q, u := s.queues[f.Dest], s.users[f.Dest]
	known := f.Kind.IsQueue() && q != nil || f.Kind == KindUser && u != nil
	switch {
	case !known && !s.roomForDestinations(1):
		return RefusedLimit
	case known && f.Kind == KindUser && u.user != f.User:
		return RefusedInvalid
	case known && f.Kind.IsQueue() && q.owner() != nil && q.owner() != c:
		return RefusedExclusive
	}
	return RefusedNone
}

// attach gives the subscription a slot and makes its node and session know it.
func (s *State) attach(sub *subscription) {
	if last := len(s.freeSubs) - 1; last >= 0 {
		sub.slot = s.freeSubs[last]
		s.freeSubs = s.freeSubs[:last]
		s.subs[sub.slot] = sub
	} else {
		sub.slot = uint32(len(s.subs))
		s.subs = append(s.subs, sub)
	}
	s.subscribed++
	sub.session.attach(sub)
	sub.session.node.subs[sub.number] = sub
}

// subscriptionClosed ends one subscription by its client's wish. Of a session that is gone it is refused, for the answer's sake.
func (s *State) subscriptionClosed(f SubscriptionClosed, n *node, fx *Effects) Refusal {
	sub := n.subs[f.Sub]
	if sub == nil {
		return RefusedUnknownSubscription
	}
	s.closeSubscription(sub, false, fx)
	return RefusedNone
}

// closeSubscription ends a subscription. What it had not settled goes back to its place; lost says that this counts as a return.
func (s *State) closeSubscription(sub *subscription, lost bool, fx *Effects) {
	if sub.queue != nil {
		s.leaveQueue(sub, lost, fx)
	} else {
		sub.user.leave(sub)
	}
	s.ackDue.remove(sub)
	sub.session.detach(sub)
	delete(sub.session.node.subs, sub.number)
	s.subs[sub.slot] = nil
	s.freeSubs = append(s.freeSubs, sub.slot)
	s.subscribed--
	s.forget(sub)
}

// leaveQueue takes a subscription out of its queue and gives back its deliveries in their order.
func (s *State) leaveQueue(sub *subscription, lost bool, fx *Effects) {
	q := sub.queue
	q.detach(sub)
	s.mark(q)
	maxReturns := s.policyOf(q).MaxReturns
	for _, d := range sub.window.list() {
		if d.ref == 0 {
			continue
		}
		e := s.entries.at(d.ref)
		if lost && q.exclusive == nil {
			e.returns = count(e.returns)
		}
		if lost && q.exclusive == nil && maxReturns > 0 && int64(e.returns) > maxReturns && !q.dead {
			s.deadLetter(q, d.ref, reasonMaxReturns, fx)
		} else {
			s.giveBack(q, d.ref)
		}
	}
	sub.window, sub.bytes = window{}, 0
	s.abandon(q, lost, fx)
}

// hasCredit reports whether the subscription may be given one more message.
func (sub *subscription) hasCredit() bool {
	live := sub.window.live
	return live == 0 || live < int(sub.credit) && sub.bytes < sub.creditBytes
}

// dueAt returns when the oldest unsettled delivery must have been settled.
func (sub *subscription) dueAt(s *State) (Instant, bool) {
	if sub.mode == AckAuto || sub.window.live == 0 {
		return 0, false
	}
	timeout := s.policyOf(sub.queue).AckTimeoutMillis
	if timeout == 0 {
		return 0, false
	}
	return sub.window.first().at.after(timeout), true
}

func (sub *subscription) dueSlot() *dueSlot { return &sub.due }

func (sub *subscription) dueOrder() uint64 { return sub.ordinal }

func (sub *subscription) record() *recordMeta { return &sub.rec }

func (sub *subscription) appendKey(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(append(dst, recordSubscription), sub.ordinal)
}

func (sub *subscription) appendValue(dst []byte) []byte {
	dst = append(dst, sub.session.node.id[:]...)
	dst = appendUvarint(dst, sub.session.number)
	dst = appendUvarint(dst, sub.number)
	if sub.queue != nil {
		dst = appendUvarint(append(dst, byte(KindQueue)), sub.queue.id) // exclusive or not: the queue knows
	} else {
		dst = appendUvarint(append(dst, byte(KindUser)), uint64(sub.user.stream))
	}
	dst = append(dst, byte(sub.mode))
	dst = appendUvarint(dst, uint64(sub.credit))
	dst = appendVarint(dst, sub.creditBytes)
	dst = appendVarint(dst, int64(sub.openedAt))
	dst = appendUvarint(dst, sub.lastTag)
	if sub.from != 0 {
		dst = appendUvarint(dst, uint64(sub.from))
	}
	return dst
}
