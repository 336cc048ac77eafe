package brokertest

import (
	"strings"

	"stampede/broker"
)

// This file holds the oracle's exclusive queues.

// makeQueue makes the queue of that name unless there is one.
func (m *Model) makeQueue(kind broker.Kind, dest string) {
	if m.queues[dest] == nil {
		m.queues[dest] = &modelQueue{exclusive: kind == broker.KindExclusive && !strings.HasPrefix(dest, "/queue/dlq.")}
	}
}

// owner returns whose an exclusive queue is.
func (m *Model) owner(dest string) *modelSession {
	if q := m.queues[dest]; q == nil || !q.exclusive {
		return nil
	}
	for _, sub := range m.subsOf(dest) {
		return sub.session
	}
	return nil
}

// leaveUnclaimed lets what is in an exclusive queue wait for a subscription, if there is none.
func (m *Model) leaveUnclaimed(dest string) {
	q := m.queues[dest]
	if !q.exclusive || len(m.subsOf(dest)) > 0 {
		return
	}
	for _, msg := range q.messages {
		if !msg.unclaimed {
			msg.unclaimed, msg.since = true, m.clock
		}
	}
	m.dropOldest(dest, len(q.messages)-100, "unclaimed")
}

func (m *Model) dropOldest(dest string, n int, reason string) {
	if n <= 0 {
		return
	}
	q := m.queues[dest]
	last := q.messages[n-1].place
	m.effects = append(m.effects, broker.Effect{Kind: broker.EffectDropped, Dest: dest, Seq: last, Count: uint32(n), Reason: reason})
	for range n {
		m.drop(dest, q.messages[0])
	}
}
