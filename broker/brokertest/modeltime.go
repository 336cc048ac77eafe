package brokertest

import (
	"cmp"
	"slices"

	"stampede/broker"
)

// This file holds the part of the oracle that time and turns decide.

// NextDue returns when TimeAdvanced has something to do.
func (m *Model) NextDue() (broker.Instant, bool) {
	var dues []broker.Instant
	for dest, q := range m.queues {
		for _, msg := range q.messages {
			timeout := broker.Instant(m.policy(dest).AckTimeoutMillis)
			if msg.owner != nil && msg.owner.mode != broker.AckAuto && timeout > 0 {
				dues = append(dues, msg.at+timeout)
			}
			if msg.owner == nil && msg.expiresAt > 0 {
				dues = append(dues, msg.expiresAt)
			}
			if msg.unclaimed {
				dues = append(dues, msg.since+30_000)
			}
		}
	}
	for dest, u := range m.users {
		if age := broker.Instant(m.policy(dest).UserWaitingAgeMillis); len(u.waiting) > 0 && age > 0 {
			dues = append(dues, u.waiting[0].at+age)
		}
	}
	if len(dues) == 0 {
		return 0, false
	}
	return slices.Min(dues), true
}

func (m *Model) advance() {
	type timeout struct {
		msg *modelMessage
		at  broker.Instant
		sub *modelSub
	}
	var late []timeout
	for dest, q := range m.queues {
		limit := broker.Instant(m.policy(dest).AckTimeoutMillis)
		for _, msg := range q.messages {
			if msg.owner != nil && msg.owner.mode != broker.AckAuto && limit > 0 && msg.at+limit <= m.clock {
				late = append(late, timeout{msg, msg.at + limit, msg.owner})
			}
		}
	}
	slices.SortFunc(late, func(a, b timeout) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.sub.opening, b.sub.opening), cmp.Compare(a.msg.tag, b.msg.tag))
	})
	for _, l := range late {
		m.end(l.sub.dest, l.msg, broker.Requeued)
	}
	for dest, q := range m.queues {
		m.expire(dest, q)
	}
	for dest, u := range m.users {
		age := broker.Instant(m.policy(dest).UserWaitingAgeMillis)
		n := 0
		for n < len(u.waiting) && age > 0 && u.waiting[n].at+age <= m.clock {
			n++
		}
		if n > 0 {
			m.giveWay(dest, n)
		}
	}
	for dest, q := range m.queues {
		n := 0
		for n < len(q.messages) && q.messages[n].unclaimed && q.messages[n].since+30_000 <= m.clock {
			n++
		}
		m.dropOldest(dest, n, "unclaimed")
	}
}

// expire drops what waits past its time, the earliest first.
func (m *Model) expire(dest string, q *modelQueue) {
	var over []*modelMessage
	for _, msg := range q.messages {
		if msg.owner == nil && msg.expiresAt > 0 && msg.expiresAt <= m.clock {
			over = append(over, msg)
		}
	}
	slices.SortFunc(over, func(a, b *modelMessage) int {
		return cmp.Or(cmp.Compare(a.expiresAt, b.expiresAt), cmp.Compare(a.place, b.place))
	})
	for _, msg := range over {
		m.expired(dest, msg)
	}
}

func (m *Model) expired(dest string, msg *modelMessage) {
	m.effects = append(m.effects, broker.Effect{Kind: broker.EffectExpired, Seq: msg.place, Body: msg.place, Dest: dest})
	m.drop(dest, msg)
}

// lookAfter delivers what waits while somebody has credit.
func (m *Model) lookAfter(dest string) {
	q := m.queues[dest]
	for {
		var first *modelMessage
		for _, msg := range q.messages {
			if msg.owner == nil {
				first = msg
				break
			}
		}
		sub := m.turn(dest, q.cursor)
		if first == nil || sub == nil {
			break
		}
		if first.expiresAt > 0 && first.expiresAt <= m.clock {
			m.expired(dest, first)
			continue
		}
		m.deliver(dest, q, first, sub)
	}
	if len(q.messages) == 0 && len(m.subsOf(dest)) == 0 {
		delete(m.queues, dest)
	}
}

// turn returns the next subscription with credit after the one that was served last.
func (m *Model) turn(dest string, cursor int) *modelSub {
	var first *modelSub
	for _, sub := range m.subsOf(dest) {
		held, bytes := m.held(sub), int64(0)
		for _, msg := range held {
			bytes += msg.size
		}
		if len(held) > 0 && (len(held) >= sub.credit || bytes >= sub.bytes) {
			continue
		}
		if sub.opening > cursor {
			return sub
		}
		if first == nil {
			first = sub
		}
	}
	return first
}

func (m *Model) deliver(dest string, q *modelQueue, msg *modelMessage, sub *modelSub) {
	q.cursor = sub.opening
	sub.lastTag++
	msg.owner, msg.tag, msg.at = sub, sub.lastTag, m.clock
	msg.deliveries++
	m.effects = append(m.effects, broker.Effect{
		Kind: broker.EffectDelivered, Node: sub.session.node, Incarnation: m.nodes[sub.session.node].incarnation, Session: sub.session.number,
		Sub: sub.number, Tag: sub.lastTag, Seq: msg.place, Body: msg.body, Dest: dest, Attempt: uint32(msg.deliveries), Redelivered: msg.redelivered,
		Reason: msg.reason, From: msg.from, Count: msg.count,
	})
}
