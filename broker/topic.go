package broker

import "encoding/binary"

// This file takes messages in, and holds topics: of these the state knows only how many messages there were and which was the last.

type topic struct {
	stream   uint32 // its number, never used again
	name     string
	messages uint64
	lastSeq  Seq
	rec      recordMeta
}

func (s *State) messageSent(m *Message, o Origin, fx *Effects) Refusal {
	if refusal := s.refuseMessage(m); refusal != RefusedNone {
		return refusal
	}
	s.sentFirst = s.next
	s.sent = append(s.sent, m)
	s.store(m, s.takeSeq(), o, fx)
	return RefusedNone
}

// refuseMessage says why a message cannot be taken.
func (s *State) refuseMessage(m *Message) Refusal {
	if !s.validDest(m.Dest) || !s.validName(m.As) || !s.validName(m.User) || m.ExpiresAt < 0 {
		return RefusedInvalid
	}
	if m.Size() > s.limits.MessageBytesMax {
		return RefusedTooLarge
	}
	switch m.Kind {
	case KindTopic:
		if s.topics[m.Dest] == nil && !s.roomForDestinations(1) {
			return RefusedLimit
		}
	case KindUser:
		u := s.users[m.Dest]
		if m.User == "" || u != nil && u.user != m.User {
			return RefusedInvalid
		}
		if u == nil && !s.roomForDestinations(1) {
			return RefusedLimit
		}
	case KindQueue, KindExclusive:
		return s.refuseDepth(m.Dest, 0, 0)
	default:
		return RefusedInvalid
	}
	return RefusedNone
}

// refuseDepth says whether a queue can take one message more, beside what is about to be added to it and to all queues.
func (s *State) refuseDepth(name string, added, addedToAll int) Refusal {
	if s.entries.entries+addedToAll >= s.limits.QueueMessagesMax {
		return RefusedQueueFull
	}
	q := s.queues[name]
	if q == nil {
		if !s.roomForDestinations(1) {
			return RefusedLimit
		}
		if int64(added) >= s.policies.Resolve(name).MaxDepth {
			return RefusedQueueFull
		}
		return RefusedNone
	}
	if int64(q.depth+added) >= s.policyOf(q).MaxDepth {
		return RefusedQueueFull
	}
	return RefusedNone
}

// roomForDestinations reports whether so many more destinations may be made, and whether their numbers suffice.
func (s *State) roomForDestinations(n int) bool {
	return uint64(s.lastStream)+uint64(n) < 1<<32 && len(s.topics)+len(s.queues)+len(s.users)+n <= s.limits.DestinationsMax
}

// store stamps a message and puts it where it belongs.
func (s *State) store(m *Message, seq Seq, o Origin, fx *Effects) {
	m.Seq, m.At, m.Node = seq, s.clock, o.Node
	m.ExpiresAt = min(m.ExpiresAt, instantMax)
	x := fx.add(EffectStored)
	x.Message, x.Seq = m, seq
	switch m.Kind {
	case KindTopic:
		t := s.topics[m.Dest]
		if t == nil {
			t = s.newTopic(m.Dest)
		}
		t.messages++
		t.lastSeq = seq
		s.touch(t)
		x.Dest, x.Stream = t.name, t.stream
	case KindUser:
		u := s.userNamed(m.Dest, m.User)
		x.Dest, x.Stream = u.dest, u.stream
		s.wait(u, seq, fx)
	case KindQueue, KindExclusive:
		q := s.queueOf(m.Kind, m.Dest)
		x.Dest = q.name
		s.enqueue(q, seq, m.Size(), m.ExpiresAt)
		s.awaitClaim(q, seq, fx)
	}
}

func (s *State) newTopic(name string) *topic {
	t := &topic{stream: s.takeStream(), name: name}
	s.topics[name] = t
	return t
}

// takeStream gives out a number for a topic or user destination.
func (s *State) takeStream() uint32 {
	s.lastStream++
	return s.lastStream
}

func (t *topic) record() *recordMeta { return &t.rec }

func (t *topic) appendKey(dst []byte) []byte {
	return binary.BigEndian.AppendUint32(append(dst, recordTopic), t.stream)
}

func (t *topic) appendValue(dst []byte) []byte {
	dst = appendString(dst, t.name)
	dst = appendUvarint(dst, t.messages)
	return appendUvarint(dst, uint64(t.lastSeq))
}
