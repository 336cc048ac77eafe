package broker

import (
	"encoding/binary"
	"slices"
	"strings"
)

// This file holds queues: the order of what waits, and who may be given it.

// deadLetterPrefix begins the names of the queues of dead letters, out of which nothing leaves by itself.
const (
	queuePrefix      = "/queue/"
	deadLetterPrefix = "/queue/dlq."
)

// queueRecordExclusive ends the record of an exclusive queue.
const queueRecordExclusive = 1

type queue struct {
	id     uint64
	name   string
	dead   bool // a queue of dead letters
	depth  int  // messages, waiting and unsettled
	bytes  int64
	policy resolved

	// What waits: a list of messages never delivered and a heap of returned ones, both in the order of places.
	waiting    int
	head, tail uint32 // the list
	returned   []uint32
	letters    map[Seq]*letter // what else is known of dead letters, by place
	exclusive  *exclusive      // nil: anybody may subscribe

	// Who may be given it: subscriptions in the order of opening, with holes where some left.
	subs      []*subscription
	holes     int
	ready     bitset // positions of those with credit
	cursor    uint64 // ordinal of the subscription that was given the last message
	cursorPos int    // position of the last subscription not above cursor; -1 none

	expiry expiryHeap
	timed  int // messages with an ExpiresAt
	due    dueSlot

	dirty  []dirtyEntry // entries whose records changed
	marked bool         // it is in State.pumping
	rec    recordMeta
}

// queueNamed returns the queue of that name, a new one if there is none.
func (s *State) queueNamed(name string) *queue {
	if q := s.queues[name]; q != nil {
		return q
	}
	q := newQueue(s.takeOrdinal(), name)
	s.queues[name] = q
	s.touch(q)
	return q
}

func newQueue(id uint64, name string) *queue {
	return &queue{id: id, name: name, dead: strings.HasPrefix(name, deadLetterPrefix), cursorPos: -1}
}

// policyOf returns what holds for a queue.
func (s *State) policyOf(q *queue) *Policy { return q.policy.of(s, q.name) }

// mark makes the end of the event look after the queue: deliver what can be, drop the queue if nothing is left of it.
func (s *State) mark(q *queue) {
	if !q.marked {
		q.marked = true
		s.pumping = append(s.pumping, q)
	}
}

// enqueue puts a new message at the end.
func (s *State) enqueue(q *queue, place Seq, size int, expiresAt Instant) (uint32, *entry) {
	ref, e := s.entries.take()
	e.place, e.size, e.expiresAt = place, uint32(size), expiresAt
	q.depth++
	q.bytes += int64(size)
	q.pushBack(&s.entries, ref, e)
	if expiresAt != 0 {
		q.timed++
		s.watchExpiry(q, ref, e)
	}
	s.touchEntry(q, ref, e)
	s.mark(q)
	return ref, e
}

// remove takes a message that does not wait any more out of the queue.
func (s *State) remove(q *queue, ref uint32) {
	e := s.entries.at(ref)
	q.depth--
	q.bytes -= int64(e.size)
	if e.expiresAt != 0 {
		q.timed--
	}
	s.forgetEntry(q, e)
	if e.flags&entryDead != 0 {
		delete(q.letters, e.place)
	}
	q.unwaitUnclaimed(e.place)
	s.entries.release(ref)
	s.mark(q)
}

// giveBack lets a delivered message wait again, at its old place.
func (s *State) giveBack(q *queue, ref uint32) {
	e := s.entries.at(ref)
	e.flags = e.flags&^entryUnsettled | entryRedelivered
	e.owner = 0
	q.pushReturned(&s.entries, ref, e)
	if e.expiresAt != 0 {
		s.watchExpiry(q, ref, e)
	}
	s.touchEntry(q, ref, e)
	s.mark(q)
}

// first returns the waiting message with the lowest place; there must be one.
func (q *queue) first(entries *slab) uint32 {
	if len(q.returned) == 0 {
		return q.head
	}
	ref := q.returned[0]
	if q.head != 0 && entries.at(q.head).place < entries.at(ref).place {
		return q.head
	}
	return ref
}

// unwait takes a message out of what waits.
func (q *queue) unwait(entries *slab, ref uint32, e *entry) {
	q.waiting--
	if e.flags&entryReturned != 0 {
		q.takeReturned(entries, e)
		return
	}
	prev, next := uint32(e.link>>32), uint32(e.link)
	if prev != 0 {
		p := entries.at(prev)
		p.link = p.link>>32<<32 | uint64(next)
	} else {
		q.head = next
	}
	if next != 0 {
		n := entries.at(next)
		n.link = uint64(prev)<<32 | uint64(uint32(n.link))
	} else {
		q.tail = prev
	}
	e.link = 0
}

// pushBack appends to the list, whose links hold the references of the neighbours: the one before in the upper half.
func (q *queue) pushBack(entries *slab, ref uint32, e *entry) {
	q.waiting++
	e.link = uint64(q.tail) << 32
	if q.tail != 0 {
		entries.at(q.tail).link |= uint64(ref)
	} else {
		q.head = ref
	}
	q.tail = ref
}

func (q *queue) pushReturned(entries *slab, ref uint32, e *entry) {
	q.waiting++
	e.flags |= entryReturned
	q.returned = append(q.returned, ref)
	q.upReturned(entries, len(q.returned)-1)
}

func (q *queue) takeReturned(entries *slab, e *entry) {
	at, last := int(e.link), len(q.returned)-1
	e.flags &^= entryReturned
	e.link = 0
	moved := q.returned[last]
	q.returned = q.returned[:last]
	if at == last {
		return
	}
	q.returned[at] = moved
	q.upReturned(entries, at)
	q.downReturned(entries, int(entries.at(moved).link))
}

func (q *queue) upReturned(entries *slab, i int) {
	ref := q.returned[i]
	e := entries.at(ref)
	for i > 0 {
		parent := (i - 1) / 2
		p := entries.at(q.returned[parent])
		if p.place < e.place {
			break
		}
		q.returned[i] = q.returned[parent]
		p.link = uint64(i)
		i = parent
	}
	q.returned[i] = ref
	e.link = uint64(i)
}

func (q *queue) downReturned(entries *slab, i int) {
	ref := q.returned[i]
	e := entries.at(ref)
	for {
		child := 2*i + 1
		if child >= len(q.returned) {
			break
		}
		c := entries.at(q.returned[child])
		if child+1 < len(q.returned) {
			if right := entries.at(q.returned[child+1]); right.place < c.place {
				child, c = child+1, right
			}
		}
		if e.place < c.place {
			break
		}
		q.returned[i] = q.returned[child]
		c.link = uint64(i)
		i = child
	}
	q.returned[i] = ref
	e.link = uint64(i)
}

// attach adds the newest subscription.
func (q *queue) attach(sub *subscription) {
	sub.queue, sub.pos = q, len(q.subs)
	q.subs = append(q.subs, sub)
	q.ready.set(sub.pos)
}

// detach leaves a hole in the place of a subscription; when there are many, the others move together.
func (q *queue) detach(sub *subscription) {
	q.subs[sub.pos] = nil
	q.ready.clear(sub.pos)
	q.holes++
	if q.holes < 32 || q.holes < len(q.subs)/2 {
		return
	}
	q.subs = slices.DeleteFunc(q.subs, func(sub *subscription) bool { return sub == nil })
	q.holes = 0
	q.ready = bitset{}
	for i, sub := range q.subs {
		sub.pos = i
		if sub.hasCredit() {
			q.ready.set(i)
		}
	}
	q.aimCursor()
}

// aimCursor finds the position that belongs to the cursor; there must be no holes.
func (q *queue) aimCursor() {
	after, _ := slices.BinarySearchFunc(q.subs, q.cursor+1, func(sub *subscription, ordinal uint64) int {
		if sub.ordinal < ordinal {
			return -1
		}
		return 1
	})
	q.cursorPos = after - 1
}

// subscriptions returns how many there are.
func (q *queue) subscriptions() int { return len(q.subs) - q.holes }

func (q *queue) record() *recordMeta { return &q.rec }

func (q *queue) appendKey(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(append(dst, recordQueue), q.id)
}

func (q *queue) appendValue(dst []byte) []byte {
	dst = appendString(dst, q.name)
	dst = appendUvarint(dst, q.cursor)
	if q.exclusive != nil {
		dst = append(dst, queueRecordExclusive)
	}
	return dst
}
