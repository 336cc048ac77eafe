package broker

import (
	"cmp"
	"fmt"
	"slices"
)

// This file restores queues: what is in them, who subscribed to them, and what only all their records together show.

func (r *restorer) queue(k, v *reader, meta recordMeta) bool {
	id := k.uint64()
	q := newQueue(id, string(v.bytes()))
	q.cursor = v.uvarintUpTo(r.s.lastOrdinal)
	if !v.bad && !v.done() {
		v.bad = v.byte() != queueRecordExclusive || q.dead
		q.exclusive = &exclusive{queue: q}
	}
	q.rec = meta
	if id == 0 || id > r.s.lastOrdinal || q.name == "" || r.s.queues[q.name] != nil {
		return false
	}
	r.s.queues[q.name] = q
	r.queues[id] = q
	return true
}

func (r *restorer) subscription(k, v *reader, meta recordMeta) bool {
	s := r.s
	sub := &subscription{ordinal: k.uint64(), rec: meta}
	n := s.nodes[readNodeID(v)]
	if n == nil {
		return false
	}
	sub.session = n.sessions[v.uvarint()]
	sub.number = v.uvarint()
	kind, target := Kind(v.byte()), v.uvarint()
	sub.mode = AckMode(v.byte())
	sub.credit = uint32(v.uvarintUpTo(1 << 20))
	sub.creditBytes = v.varint()
	sub.openedAt = v.instant()
	sub.lastTag = v.uvarintUpTo(numberMax)
	if v.bad || sub.ordinal == 0 || sub.ordinal > s.lastOrdinal || sub.session == nil || n.subs[sub.number] != nil {
		return false
	}
	if sub.mode > AckClientIndividual || sub.credit == 0 || sub.creditBytes < 0 || sub.openedAt > s.clock {
		return false
	}
	switch kind {
	case KindQueue:
		q := r.queues[target]
		if q == nil {
			return false
		}
		q.attach(sub)
		r.subs[sub.ordinal] = sub
	case KindUser:
		if target > 1<<32-1 || r.users[uint32(target)] == nil || sub.lastTag != 0 {
			return false
		}
		if !v.done() {
			sub.from = Seq(v.uvarint()) // what a client asked for: any place, also one far ahead of the log
			v.bad = v.bad || sub.from == 0
		}
		sub.user = r.users[uint32(target)]
		sub.user.subs = append(sub.user.subs, sub)
	default:
		return false
	}
	s.attach(sub)
	return true
}

func (r *restorer) entry(k, v *reader, hash uint64) bool {
	s := r.s
	q, place := r.queues[k.uint64()], Seq(k.uint64())
	flags := v.byte()
	size := v.uvarintUpTo(1 << 30)
	deliveries, failures, returns := v.uvarintUpTo(countMax), v.uvarintUpTo(countMax), v.uvarintUpTo(countMax)
	var expiresAt Instant
	if flags&entryRecordExpires != 0 {
		expiresAt = v.instant()
		v.bad = v.bad || expiresAt == 0
	}
	if flags&entryRecordUnclaimed != 0 && !q.restoreUnclaimed(place, flags, v) {
		return false
	}
	if k.bad || v.bad || q == nil || place == 0 || place >= s.next || flags&^entryRecordFlags != 0 {
		return false
	}
	seen := flags&(entryRecordRedelivered|entryRecordUnsettled) != 0
	if seen != (deliveries > 0) || failures > deliveries || returns > deliveries {
		return false
	}
	ref, e := s.entries.take()
	e.place, e.expiresAt, e.hash, e.size = place, expiresAt, hash, uint32(size)
	e.deliveries, e.failures, e.returns = uint16(deliveries), uint16(failures), uint16(returns)
	e.flags = entryRecorded
	if flags&entryRecordRedelivered != 0 {
		e.flags |= entryRedelivered
	}
	q.depth++
	q.bytes += int64(size)
	if expiresAt != 0 {
		q.timed++
	}
	if flags&entryRecordUnsettled == 0 {
		q.pushBack(&s.entries, ref, e)
		if expiresAt != 0 {
			s.watchExpiry(q, ref, e)
		}
	} else if !r.unsettled(q, ref, e, v) {
		return false
	}
	if flags&entryRecordDead != 0 {
		return q.dead && expiresAt == 0 && r.letter(q, e, v)
	}
	return true
}

// restoreUnclaimed notes since when a message of an exclusive queue has waited for a subscription.
func (q *queue) restoreUnclaimed(place Seq, flags byte, v *reader) bool {
	if q == nil || q.exclusive == nil || flags&entryRecordUnsettled != 0 {
		return false
	}
	q.exclusive.unclaimed = append(q.exclusive.unclaimed, waitingMessage{place, v.instant()})
	return true
}

// unsettled hands an entry to the subscription that has it; finish brings deliveries in order.
func (r *restorer) unsettled(q *queue, ref uint32, e *entry, v *reader) bool {
	sub := r.subs[v.uvarint()]
	tag := v.uvarint()
	at := v.instant()
	if v.bad || sub == nil || sub.queue != q || tag == 0 || tag > sub.lastTag || at > r.s.clock {
		return false
	}
	e.flags |= entryUnsettled
	e.owner, e.link = sub.slot, tag
	sub.window.push(delivery{tag: tag, at: at, ref: ref})
	sub.bytes += int64(e.size)
	return true
}

func (r *restorer) letter(q *queue, e *entry, v *reader) bool {
	l := &letter{body: Seq(v.uvarint()), from: string(v.bytes()), reason: deadReason(v.byte()), count: uint32(v.uvarintUpTo(countMax))}
	if l.reason < reasonRejected || l.reason > reasonMaxReturns || l.body == 0 || l.body >= e.place {
		return false
	}
	if q.letters == nil {
		q.letters = make(map[Seq]*letter)
	}
	q.letters[e.place] = l
	e.flags |= entryDead
	return true
}

// finish checks what only all records together show, and finds out what no record says.
func (r *restorer) finish() error {
	s := r.s
	for _, q := range s.sortedQueues() {
		for _, sub := range q.subs {
			if !sub.restored() {
				return fmt.Errorf("subscription %d: %w", sub.ordinal, ErrBadRecord)
			}
			if !sub.hasCredit() {
				q.ready.clear(sub.pos)
			}
		}
		q.aimCursor()
		_, ready := q.ready.next(0)
		if q.waiting > 0 && ready || q.depth == 0 && len(q.subs) == 0 {
			return fmt.Errorf("queue %d: %w", q.id, ErrBadRecord)
		}
		if q.exclusive != nil {
			if fault := q.exclusive.fault(s); fault != "" {
				return fmt.Errorf("exclusive queue %d: %s: %w", q.id, fault, ErrBadRecord)
			}
			s.noteUnclaimed(q.exclusive)
		}
	}
	s.noteAllDues()
	return nil
}

// restored brings the deliveries in the order of their tags and reports whether they can be.
func (sub *subscription) restored() bool {
	slots := sub.window.slots
	slices.SortFunc(slots, func(a, b delivery) int { return cmp.Compare(a.tag, b.tag) })
	for i := 1; i < len(slots); i++ {
		if slots[i].tag == slots[i-1].tag || slots[i].at < slots[i-1].at {
			return false
		}
	}
	return len(slots) <= int(sub.credit)
}
