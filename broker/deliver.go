package broker

// This file assigns waiting messages to subscriptions: to each with credit in turn, in the order of their opening.

// pumpMarked ends an event: it looks after every queue that the event touched, in the order in which it did.
// Looking after one queue touches no other.
func (s *State) pumpMarked(fx *Effects) {
	for _, q := range s.pumping {
		s.pump(q, fx)
		q.marked = false
		if q.depth == 0 && q.subscriptions() == 0 {
			s.dropQueue(q)
		}
	}
	clear(s.pumping)
	s.pumping = s.pumping[:0]
	clear(s.sent)
	s.sent = s.sent[:0]
}

// pump delivers while something waits and somebody has credit.
func (s *State) pump(q *queue, fx *Effects) {
	for q.waiting > 0 {
		pos, ok := q.ready.next(q.cursorPos + 1)
		if !ok {
			return
		}
		ref := q.first(&s.entries)
		e := s.entries.at(ref)
		q.unwait(&s.entries, ref, e)
		if e.expiresAt != 0 && e.expiresAt <= s.clock {
			s.expire(q, ref, fx)
			continue
		}
		s.assign(q, q.subs[pos], ref, e, fx)
	}
}

// assign makes a message the subscription's until it is settled.
func (s *State) assign(q *queue, sub *subscription, ref uint32, e *entry, fx *Effects) {
	sub.lastTag++
	e.link, e.owner = sub.lastTag, sub.slot
	e.deliveries = count(e.deliveries)
	e.flags |= entryUnsettled
	sub.window.push(delivery{tag: sub.lastTag, at: s.clock, ref: ref})
	sub.bytes += int64(e.size)
	if !sub.hasCredit() {
		q.ready.clear(sub.pos)
	}
	q.cursor, q.cursorPos = sub.ordinal, sub.pos
	s.touchEntry(q, ref, e)
	s.touch(sub)
	if sub.mode != AckAuto && sub.due.pos == 0 {
		if at, ok := sub.dueAt(s); ok {
			s.ackDue.note(sub, at)
		}
	}

	x := fx.add(EffectDelivered)
	c := sub.session
	x.Node, x.Incarnation, x.Session, x.Sub, x.Tag = c.node.id, c.node.incarnation, c.number, sub.number, sub.lastTag
	x.Seq, x.Body, x.Dest = e.place, e.place, q.name
	x.Attempt, x.Redelivered = uint32(e.deliveries), e.flags&entryRedelivered != 0
	if i := uint64(e.place - s.sentFirst); i < uint64(len(s.sent)) {
		x.Message = s.sent[i]
	}
	if e.flags&entryDead != 0 {
		l := q.letters[e.place]
		x.Body, x.Reason, x.From, x.Count = l.body, l.reason.String(), l.from, l.count
	}
}

// dropQueue lets a queue without messages and subscriptions leave the state.
func (s *State) dropQueue(q *queue) {
	delete(s.queues, q.name)
	s.expiryDue.remove(q)
	if q.exclusive != nil {
		s.unclaimedDue.remove(q.exclusive)
	}
	s.forget(q)
}
