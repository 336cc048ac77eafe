package broker

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
)

// This file builds the state from its records. Whatever it is given, it returns a state that Check has nothing against, or an error.

// Faults of Restore.
var (
	// ErrBadRecord says that the records are not those of a state.
	ErrBadRecord = errors.New("records are not those of a state")
	// ErrNewerState says that the records were written by a newer program.
	ErrNewerState = errors.New("records are of a newer version")
)

// numberMax bounds places and numbers in records, so that they can go on counting up.
const numberMax = 1 << 62

// restorer holds what records refer to.
type restorer struct {
	s       *State
	users   map[uint32]*userDest
	queues  map[uint64]*queue
	subs    map[uint64]*subscription
	streams map[uint32]bool
}

// Restore builds a state from all of its records, which must come in ascending order of their keys; without any it is a new one with these limits.
// What is in the records goes before limits. Neither keys nor values are kept.
func Restore(limits Limits, records iter.Seq2[[]byte, []byte]) (*State, error) {
	r := restorer{
		s:       New(limits),
		users:   make(map[uint32]*userDest),
		queues:  make(map[uint64]*queue),
		subs:    make(map[uint64]*subscription),
		streams: make(map[uint32]bool),
	}
	var last []byte
	for key, value := range records {
		if bytes.Compare(key, last) <= 0 {
			return nil, fmt.Errorf("record %x after %x: %w", key, last, ErrBadRecord)
		}
		if len(last) == 0 && key[0] != recordState {
			return nil, fmt.Errorf("first record %x: %w", key, ErrBadRecord)
		}
		last = append(last[:0], key...)
		if err := r.record(key, value); err != nil {
			return nil, fmt.Errorf("record %x: %w", key, err)
		}
	}
	if last == nil {
		return r.s, nil
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return r.s, nil
}

func (r *restorer) record(key, value []byte) error {
	k, v := reader{b: key, off: 1}, reader{b: value}
	hash := recordHash(key, value)
	meta := recordMeta{hash: hash, stored: true}
	var ok bool
	switch key[0] {
	case recordState:
		if len(value) > 0 && value[0] > recordFormat1 {
			return ErrNewerState
		}
		if ok = r.state(&v, meta); ok && r.s.version > FoldVersion {
			return ErrNewerState
		}
	case recordNode:
		ok = r.node(&k, &v, meta)
	case recordPolicy:
		ok = r.policy(&k, &v, hash)
	case recordSession:
		ok = r.session(&k, &v, meta)
	case recordTopic:
		ok = r.topic(&k, &v, meta)
	case recordUser:
		ok = r.user(&k, &v, meta)
	case recordWaiting:
		ok = r.waiting(&k, &v)
	case recordQueue:
		ok = r.queue(&k, &v, meta)
	case recordSubscription:
		ok = r.subscription(&k, &v, meta)
	case recordEntry:
		ok = r.entry(&k, &v, hash)
	}
	if !ok || !k.done() || !v.done() {
		return ErrBadRecord
	}
	r.s.keeper.digest += hash
	return nil
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// instant takes a time that an event may have had.
func (r *reader) instant() Instant {
	v := r.varint()
	if v < 0 || v > int64(instantMax) {
		r.bad = true
		return 0
	}
	return Instant(v)
}

func (r *restorer) state(v *reader, meta recordMeta) bool {
	s := r.s
	if v.byte() != recordFormat1 {
		return false
	}
	s.version = uint32(v.uvarintUpTo(1<<32 - 1))
	s.next = Seq(v.uvarintUpTo(numberMax))
	s.clock = v.instant()
	s.lastStream = uint32(v.uvarintUpTo(1<<32 - 1))
	s.lastOrdinal = v.uvarintUpTo(numberMax)
	s.limits = readLimits(v)
	s.meta.rec = meta
	s.keeper.dirty = s.keeper.dirty[:0]
	return !v.bad && s.version > 0 && s.next > 0 && s.limits.Validate() == nil
}

func (r *restorer) node(k, v *reader, meta recordMeta) bool {
	n := &node{id: readNodeID(k), rec: meta, sessions: make(map[uint64]*session), subs: make(map[uint64]*subscription)}
	n.incarnation = v.uvarint()
	n.lastN = v.uvarint()
	n.name = string(v.bytes())
	n.version = uint32(v.uvarintUpTo(1<<32 - 1))
	n.lost = v.bool()
	n.lostAt = v.instant()
	r.s.nodes[n.id] = n
	return !n.id.IsZero() && n.lastN > 0 && n.lastN <= numberMax
}

func (r *restorer) policy(k, v *reader, hash uint64) bool {
	pattern, err := ParsePattern(string(k.take(len(k.b) - 1)))
	rule := policyRule{pattern: pattern, policy: readPolicy(v), hash: hash}
	if err != nil || v.bad || !rule.policy.valid() {
		return false
	}
	rules := r.s.policies.rules
	at, _ := r.s.policies.find(pattern)
	r.s.policies.rules = slices.Insert(rules, at, rule)
	return true
}

func (r *restorer) session(k, v *reader, meta recordMeta) bool {
	n := r.s.nodes[readNodeID(k)]
	c := &session{node: n, number: k.uint64(), rec: meta}
	incarnation := v.uvarint()
	c.user = string(v.bytes())
	c.service = v.bool()
	c.addr = string(v.bytes())
	c.openedAt = v.instant()
	if k.bad || n == nil || n.lost || n.incarnation != incarnation || c.openedAt > r.s.clock {
		return false
	}
	n.sessions[c.number] = c
	r.s.sessions++
	return true
}

// stream takes the number of a topic or user destination.
func (r *restorer) stream(k *reader) (uint32, bool) {
	stream := k.uint32()
	if stream == 0 || stream > r.s.lastStream || r.streams[stream] {
		return 0, false
	}
	r.streams[stream] = true
	return stream, true
}

func (r *restorer) topic(k, v *reader, meta recordMeta) bool {
	stream, ok := r.stream(k)
	t := &topic{stream: stream, name: string(v.bytes()), rec: meta}
	t.messages = v.uvarintUpTo(numberMax)
	t.lastSeq = Seq(v.uvarint())
	if !ok || t.name == "" || r.s.topics[t.name] != nil || t.messages == 0 || t.lastSeq >= r.s.next {
		return false
	}
	r.s.topics[t.name] = t
	return true
}

func (r *restorer) user(k, v *reader, meta recordMeta) bool {
	stream, ok := r.stream(k)
	u := &userDest{stream: stream, dest: string(v.bytes()), user: string(v.bytes()), rec: meta}
	u.messages = v.uvarintUpTo(numberMax)
	u.lastSeq = Seq(v.uvarint())
	u.covered = Seq(v.uvarint())
	if !ok || u.dest == "" || u.user == "" || r.s.users[u.dest] != nil || u.lastSeq >= r.s.next || u.covered >= r.s.next {
		return false
	}
	r.s.users[u.dest] = u
	r.users[stream] = u
	return true
}

func (r *restorer) waiting(k, v *reader) bool {
	u := r.users[k.uint32()]
	w := waitingMessage{Seq(k.uint64()), v.instant()}
	if k.bad || u == nil || w.seq <= u.covered || w.seq > u.lastSeq || w.at > r.s.clock {
		return false
	}
	if last := len(u.waiting) - 1; last >= 0 && u.waiting[last].at > w.at {
		return false
	}
	u.waiting = append(u.waiting, w)
	u.recorded = w.seq
	r.s.userWaiting++
	return true
}

func (r *restorer) queue(k, v *reader, meta recordMeta) bool {
	id := k.uint64()
	q := newQueue(id, string(v.bytes()))
	q.cursor = v.uvarintUpTo(r.s.lastOrdinal)
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
