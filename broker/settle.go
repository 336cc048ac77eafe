package broker

import "strings"

// This file settles deliveries.

func (s *State) deliverySettled(f DeliverySettled, n *node, fx *Effects) Refusal {
	sub := n.subs[f.Sub]
	if refusal := refuseSettle(sub, f); refusal != RefusedNone {
		return refusal
	}
	s.settle(sub, f, n, fx)
	return RefusedNone
}

// refuseSettle says why a settling cannot be taken.
func refuseSettle(sub *subscription, f DeliverySettled) Refusal {
	if f.Outcome < Acked || f.Outcome > Taken || f.From > f.To {
		return RefusedInvalid
	}
	if !f.Strict {
		return RefusedNone
	}
	if sub == nil || sub.queue == nil {
		return RefusedDeliveryGone
	}
	if _, ok := sub.window.find(f.To); !ok {
		return RefusedDeliveryGone
	}
	return RefusedNone
}

// settle ends what is left of a range of deliveries and counts what is gone.
func (s *State) settle(sub *subscription, f DeliverySettled, n *node, fx *Effects) {
	wanted, settled := f.To-f.From+1, uint64(0)
	if sub != nil && sub.queue != nil {
		w := &sub.window
		if f.From == 0 {
			// Of a cumulative settling only the last one is asked for by name.
			wanted = 1
			if _, ok := w.find(f.To); ok {
				settled = 1
			}
		}
		for i := w.seek(f.From); i < len(w.slots) && w.slots[i].tag <= f.To; i++ {
			if w.slots[i].ref == 0 {
				continue
			}
			s.settleOne(sub, i, f.Outcome, fx)
			if f.From != 0 {
				settled++
			}
		}
		s.settled(sub)
	} else if f.From == 0 {
		wanted = 1
	}
	if settled < wanted {
		e := fx.add(EffectStaleSettle)
		e.Node, e.Incarnation, e.Sub, e.Tag = n.id, n.incarnation, f.Sub, f.To
		e.Count = uint32(min(wanted-settled, 1<<32-1))
	}
}

// settleOne ends the delivery at an index of the window; settled must follow.
func (s *State) settleOne(sub *subscription, i int, outcome Outcome, fx *Effects) {
	q, ref := sub.queue, sub.window.slots[i].ref
	sub.window.settle(i)
	sub.bytes -= int64(s.entries.at(ref).size)
	switch outcome {
	case Acked, Taken:
		s.remove(q, ref)
	case Requeued:
		s.fail(q, ref, fx)
	case Rejected:
		if q.dead {
			s.giveBack(q, ref)
		} else {
			s.deadLetter(q, ref, reasonRejected, fx)
		}
	}
}

// settled gives a subscription the credit that its settled deliveries held.
func (s *State) settled(sub *subscription) {
	sub.window.sweep()
	if sub.hasCredit() {
		sub.queue.ready.set(sub.pos)
		s.mark(sub.queue)
	}
}

// fail gives a message back whose delivery failed, or ends its way if that happened too often.
func (s *State) fail(q *queue, ref uint32, fx *Effects) {
	e := s.entries.at(ref)
	e.failures = count(e.failures)
	if most := s.policyOf(q).MaxDeliveries; most > 0 && int64(e.failures) >= most && !q.dead {
		s.deadLetter(q, ref, reasonMaxDeliveries, fx)
		return
	}
	s.giveBack(q, ref)
}

// deadReason says why a message became a dead letter. The numbers are in records: never change one.
type deadReason uint8

const (
	reasonRejected deadReason = iota + 1
	reasonMaxDeliveries
	reasonMaxReturns
)

func (r deadReason) String() string {
	switch r {
	case reasonRejected:
		return "rejected"
	case reasonMaxDeliveries:
		return "max-deliveries"
	case reasonMaxReturns:
		return "max-returns"
	}
	return ""
}

// letter is what is known of a dead letter beside its entry.
type letter struct {
	body   Seq    // where the message is stored
	from   string // the queue it was in
	reason deadReason
	count  uint32 // its deliveries there
}

// deadLetter moves an unsettled message to the end of its queue's queue of dead letters, at a place of its own.
// Neither max-depth nor the number of destinations stands against it, and its time to live is over: nothing may be lost here.
func (s *State) deadLetter(q *queue, ref uint32, reason deadReason, fx *Effects) {
	e := *s.entries.at(ref)
	s.remove(q, ref)
	name, ok := strings.CutPrefix(q.name, queuePrefix)
	if !ok {
		name = strings.TrimPrefix(name, "/")
	}
	to := s.queueNamed(deadLetterPrefix + name)
	place := s.takeSeq()
	_, moved := s.enqueue(to, place, int(e.size), 0)
	moved.flags |= entryDead
	l := &letter{body: e.place, from: q.name, reason: reason, count: uint32(e.deliveries)}
	if to.letters == nil {
		to.letters = make(map[Seq]*letter)
	}
	to.letters[place] = l
	x := fx.add(EffectDeadLettered)
	x.Seq, x.Body, x.Dest, x.From, x.Reason, x.Count = place, l.body, to.name, l.from, reason.String(), l.count
}
