package broker

import (
	"errors"
	"fmt"
)

// This file checks the invariants that doc.go numbers. It walks the whole state.

// Check reports every invariant that does not hold.
func (s *State) Check() error {
	c := checker{s: s}
	for _, n := range s.sortedNodes() {
		c.node(n)
	}
	for _, sub := range s.sortedSubscriptions() {
		c.subscription(sub)
	}
	entries := 0
	for _, q := range s.sortedQueues() {
		c.queue(q)
		entries += q.depth
	}
	c.that(entries == s.entries.entries, "I10: %d entries in queues, %d in the slab", entries, s.entries.entries)
	c.topics()
	c.users()
	c.dues()
	c.digest()
	return errors.Join(c.faults...)
}

type checker struct {
	s      *State
	faults []error
}

func (c *checker) that(holds bool, format string, args ...any) {
	if !holds {
		c.faults = append(c.faults, fmt.Errorf(format, args...))
	}
}

func (c *checker) node(n *node) {
	s := c.s
	c.that(!n.lost || len(n.sessions) == 0, "I1: lost node %v has %d sessions", n.id, len(n.sessions))
	subs := 0
	for number, v := range n.sessions {
		c.that(v.node == n && v.number == number, "I1: session %d of %v knows another node or number", number, n.id)
		for i, sub := range v.subs {
			c.that(sub.session == v && sub.inSession == i && n.subs[sub.number] == sub, "I1: subscription %d of session %d is not its own", sub.number, number)
		}
		subs += len(v.subs)
	}
	c.that(subs == len(n.subs), "I1: node %v has %d subscriptions, its sessions %d", n.id, len(n.subs), subs)
	c.that(s.nodes[n.id] == n, "I1: node %v is not its own", n.id)
}

func (c *checker) subscription(sub *subscription) {
	s, w := c.s, &sub.window
	c.that(s.subs[sub.slot] == sub && sub.session.node.subs[sub.number] == sub, "I1: subscription %d is not where it should be", sub.ordinal)
	c.that(sub.ordinal <= s.lastOrdinal && (sub.queue == nil) != (sub.user == nil), "I1: subscription %d has no destination or two", sub.ordinal)
	live, bytes := 0, int64(0)
	for i, d := range w.list() {
		c.that(i == 0 || w.list()[i-1].tag < d.tag && w.list()[i-1].at <= d.at, "I4: deliveries of %d are not in order at tag %d", sub.ordinal, d.tag)
		c.that(d.tag <= sub.lastTag, "I4: subscription %d has tag %d after %d", sub.ordinal, d.tag, sub.lastTag)
		if d.ref == 0 {
			c.that(i > 0, "I4: first delivery of %d is settled", sub.ordinal)
			continue
		}
		e := s.entries.at(d.ref)
		live++
		bytes += int64(e.size)
		c.that(e.flags&entryUnsettled != 0 && e.owner == sub.slot && e.link == d.tag, "I4: message %d is not with subscription %d", e.place, sub.ordinal)
	}
	c.that(live == w.live && bytes == sub.bytes, "I4: subscription %d has %d deliveries of %d bytes, counted %d of %d", sub.ordinal, live, bytes, w.live, sub.bytes)
	c.that(live <= int(sub.credit), "I3: subscription %d has %d unsettled, credit %d", sub.ordinal, live, sub.credit)
	if q := sub.queue; q != nil {
		c.that(sub.pos < len(q.subs) && q.subs[sub.pos] == sub, "I1: subscription %d is not in its queue", sub.ordinal)
		c.that(q.ready.has(sub.pos) == sub.hasCredit(), "I5: subscription %d of %s has credit %v", sub.ordinal, q.name, sub.hasCredit())
		c.that(s.queues[q.name] == q, "I1: subscription %d is of a queue that is gone", sub.ordinal)
	}
	_, due := sub.dueAt(s)
	c.that(!due || sub.due.pos > 0, "I11: subscription %d is due and nobody knows", sub.ordinal)
}

func (c *checker) queue(q *queue) {
	s := c.s
	c.that(q.depth > 0 || q.subscriptions() > 0, "I7: queue %s is empty and has no subscription", q.name)
	c.that(!q.marked, "I5: queue %s was not looked after", q.name)
	waiting, unsettled, timed, letters, bytes := 0, 0, 0, 0, int64(0)
	var last Seq
	for ref := q.head; ref != 0; ref = uint32(s.entries.at(ref).link) {
		e := s.entries.at(ref)
		c.that(e.place > last && e.flags&(entryUnsettled|entryReturned) == 0, "I2: message %d of %s waits after %d", e.place, q.name, last)
		last = e.place
		waiting++
	}
	for i, ref := range q.returned {
		e := s.entries.at(ref)
		c.that(e.flags&entryReturned != 0 && e.flags&entryUnsettled == 0 && e.link == uint64(i), "I2: message %d of %s is not at %d of the returned", e.place, q.name, i)
		c.that(i == 0 || s.entries.at(q.returned[(i-1)/2]).place < e.place, "I2: returned message %d of %s comes too late", e.place, q.name)
		waiting++
	}
	last = 0
	for _, e := range s.entriesOf(q) {
		c.that(e.place != last && e.place > 0 && e.place < s.next, "I2: place %d of %s is taken twice or not given out", e.place, q.name)
		last = e.place
		bytes += int64(e.size)
		if e.flags&entryUnsettled != 0 {
			unsettled++
		} else {
			c.that(e.expiresAt == 0 || e.flags&entryTimed != 0 && q.due.pos > 0, "I11: message %d of %s expires and nobody knows", e.place, q.name)
		}
		if e.expiresAt != 0 {
			timed++
		}
		if e.flags&entryDead != 0 {
			letters++
			c.that(q.dead && q.letters[e.place] != nil, "I6: dead letter %d of %s has no story", e.place, q.name)
		}
	}
	c.that(waiting == q.waiting && waiting+unsettled == q.depth, "I2: queue %s has %d waiting and %d unsettled, counted %d of %d", q.name, waiting, unsettled, q.waiting, q.depth)
	c.that(timed == q.timed && bytes == q.bytes && letters == len(q.letters), "I10: queue %s counts are wrong", q.name)
	if _, ready := q.ready.next(0); ready {
		c.that(q.waiting == 0, "I5: %d messages of %s wait while there is credit", q.waiting, q.name)
	}
	c.cursor(q)
	if q.exclusive != nil {
		fault := q.exclusive.fault(s)
		c.that(fault == "" && !q.dead, "I12: exclusive queue %s: %s", q.name, fault)
		_, due := q.exclusive.dueAt(s)
		c.that(!due || q.exclusive.due.pos > 0, "I11: exclusive queue %s is due and nobody knows", q.name)
	}
}

func (c *checker) cursor(q *queue) {
	var last uint64
	for i, sub := range q.subs {
		if sub == nil {
			continue
		}
		c.that(sub.ordinal > last, "I5: subscription %d of %s after %d", sub.ordinal, q.name, last)
		last = sub.ordinal
		c.that((sub.ordinal <= q.cursor) == (i <= q.cursorPos), "I5: subscription %d of %s is on the wrong side of the cursor", sub.ordinal, q.name)
	}
}

func (c *checker) topics() {
	for name, t := range c.s.topics {
		c.that(t.name == name && t.lastSeq < c.s.next && t.stream <= c.s.lastStream && t.messages > 0, "I8: topic %s is not what it should be", name)
	}
}

func (c *checker) users() {
	s, waiting := c.s, 0
	for dest, u := range s.users {
		c.that(u.dest == dest && u.stream <= s.lastStream, "I8: user destination %s is not its own", dest)
		last := u.covered
		for _, w := range u.list() {
			c.that(w.seq > last && w.seq <= u.lastSeq, "I8: message %d of %s waits after %d", w.seq, dest, last)
			last = w.seq
			waiting++
		}
		c.that(u.covered < s.next && u.lastSeq < s.next, "I8: user destination %s is ahead of the log", dest)
		for i, sub := range u.subs {
			c.that(sub.user == u && s.subs[sub.slot] == sub, "I1: subscription %d of %s is gone", sub.ordinal, dest)
			c.that(i == 0 || u.subs[i-1].ordinal < sub.ordinal, "I8: subscriptions of %s are not in order", dest)
		}
		_, due := u.dueAt(s)
		c.that(!due || u.due.pos > 0, "I11: user destination %s is due and nobody knows", dest)
	}
	c.that(waiting == s.userWaiting, "I10: %d messages wait for users, counted %d", waiting, s.userWaiting)
}

// dues checks that nothing in the heaps is known as due later than it is.
func (c *checker) dues() {
	checkHeap(c, &c.s.ackDue)
	checkHeap(c, &c.s.expiryDue)
	checkHeap(c, &c.s.userDue)
	checkHeap(c, &c.s.unclaimedDue)
}

func checkHeap[T dueOwner](c *checker, h *dueHeap[T]) {
	for i, owner := range h.owners {
		slot := owner.dueSlot()
		at, ok := owner.dueAt(c.s)
		c.that(slot.pos == i+1 && (!ok || slot.at <= at), "I11: number %d is known as due at %d, not %d", owner.dueOrder(), slot.at, at)
		c.that(i == 0 || !h.less(owner, h.owners[(i-1)/2]), "I11: number %d is due too late in the heap", owner.dueOrder())
	}
}

// digest compares what is kept from event to event with what the whole state gives.
func (c *checker) digest() {
	var sum uint64
	for key, value := range c.s.Records() {
		sum += recordHash(key, value)
	}
	c.that(sum == c.s.Digest(), "I9: digest is %x, the records give %x", c.s.Digest(), sum)
	sessions := 0
	for _, n := range c.s.nodes {
		sessions += len(n.sessions)
	}
	c.that(sessions == c.s.sessions && len(c.s.sortedSubscriptions()) == c.s.subscribed, "I10: %d sessions, counted %d", sessions, c.s.sessions)
}
