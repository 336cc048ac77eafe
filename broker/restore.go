package broker

import (
	"bytes"
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
