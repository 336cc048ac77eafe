package brokertest

import (
	"cmp"
	"slices"
	"strings"

	"stampede/broker"
)

// This file holds the oracle's sessions and subscriptions, and where a message goes when one ends.

func (m *Model) session(node broker.NodeID, number uint64) *modelSession {
	for _, c := range m.clients {
		if c.node == node && c.number == number {
			return c
		}
	}
	return nil
}

func (m *Model) sub(node broker.NodeID, number uint64) *modelSub {
	for _, sub := range m.subs {
		if sub.session.node == node && sub.number == number {
			return sub
		}
	}
	return nil
}

func (m *Model) subsOf(dest string) []*modelSub {
	var subs []*modelSub
	for _, sub := range m.subs {
		if sub.dest == dest {
			subs = append(subs, sub)
		}
	}
	return subs
}

func (m *Model) sessionEffect(kind broker.EffectKind, c *modelSession) {
	e := broker.Effect{Kind: kind, Node: c.node, Incarnation: m.nodes[c.node].incarnation, Session: c.number, User: c.user}
	m.effects = append(m.effects, e)
}

func (m *Model) subscribe(f broker.SubscriptionOpened, node broker.NodeID) broker.Refusal {
	c := m.session(node, f.Session)
	if c == nil {
		return broker.RefusedUnknownSession
	}
	if m.sub(node, f.Sub) != nil {
		return broker.RefusedDuplicateSubscription
	}
	if owner := m.owner(f.Dest); owner != nil && owner != c {
		return broker.RefusedExclusive
	}
	m.opened++
	sub := &modelSub{
		opening: m.opened, session: c, number: f.Sub, dest: f.Dest, queue: f.Kind.IsQueue(),
		mode: f.Mode, credit: max(int(f.Credit), 1), bytes: 8 << 20, at: m.clock,
	}
	if f.CreditBytesSet && f.CreditBytes >= 0 {
		sub.bytes = f.CreditBytes
	}
	if sub.queue {
		m.makeQueue(f.Kind, f.Dest)
		for _, msg := range m.queues[f.Dest].messages {
			msg.unclaimed = false
		}
		m.touch(f.Dest)
	} else {
		others := m.subsOf(f.Dest)
		u := m.user(f.Dest, f.User)
		start := f.Position
		if start == 0 {
			start = m.next
			long := func(other *modelSub) bool { return other.session.node == node && m.clock-other.at >= 30_000 }
			if len(u.waiting) > 0 && !slices.ContainsFunc(others, long) {
				start = u.waiting[0].seq
			}
		}
		sub.from = start
		e := broker.Effect{Kind: broker.EffectUserPosition, Node: node, Incarnation: m.nodes[node].incarnation, Session: c.number, Sub: f.Sub, Seq: start, Dest: f.Dest, User: f.User}
		m.effects = append(m.effects, e)
	}
	m.subs = append(m.subs, sub)
	return broker.RefusedNone
}

// held returns a subscription's unsettled messages by tag.
func (m *Model) held(sub *modelSub) []*modelMessage {
	var held []*modelMessage
	if q := m.queues[sub.dest]; q != nil {
		for _, msg := range q.messages {
			if msg.owner == sub {
				held = append(held, msg)
			}
		}
	}
	slices.SortFunc(held, func(a, b *modelMessage) int { return cmp.Compare(a.tag, b.tag) })
	return held
}

func (m *Model) unsubscribe(sub *modelSub, lost bool) {
	m.subs = slices.DeleteFunc(m.subs, func(other *modelSub) bool { return other == sub })
	if !sub.queue {
		return
	}
	m.touch(sub.dest)
	exclusive := m.queues[sub.dest].exclusive
	for _, msg := range m.held(sub) {
		if exclusive {
			m.giveBack(sub.dest, msg, "")
			continue
		}
		if lost {
			msg.returns++
		}
		if most := m.policy(sub.dest).MaxReturns; lost && most > 0 && msg.returns > most {
			m.giveBack(sub.dest, msg, "max-returns")
		} else {
			m.giveBack(sub.dest, msg, "")
		}
	}
	if exclusive && len(m.subsOf(sub.dest)) == 0 {
		if lost {
			m.dropOldest(sub.dest, len(m.queues[sub.dest].messages), "owner-gone")
		} else {
			m.leaveUnclaimed(sub.dest)
		}
	}
}

// giveBack lets a message wait again or, for a reason, makes it a dead letter.
func (m *Model) giveBack(dest string, msg *modelMessage, reason string) {
	m.touch(dest)
	if reason == "" || strings.HasPrefix(dest, "/queue/dlq.") {
		msg.owner, msg.redelivered = nil, true
		return
	}
	m.drop(dest, msg)
	to := "/queue/dlq." + strings.TrimPrefix(dest, "/queue/")
	letter := &modelMessage{place: m.next, body: msg.body, size: msg.size, reason: reason, from: dest, count: uint32(msg.deliveries)}
	m.next++
	m.enqueue(to, letter)
	e := broker.Effect{Kind: broker.EffectDeadLettered, Seq: letter.place, Body: letter.body, Dest: to, From: dest, Reason: reason, Count: letter.count}
	m.effects = append(m.effects, e)
}

func (m *Model) drop(dest string, msg *modelMessage) {
	q := m.queues[dest]
	q.messages = slices.DeleteFunc(q.messages, func(other *modelMessage) bool { return other == msg })
	m.touch(dest)
}

func (m *Model) closeSession(c *modelSession) {
	for _, sub := range slices.Clone(m.subs) {
		if sub.session == c {
			m.unsubscribe(sub, true)
		}
	}
	m.clients = slices.DeleteFunc(m.clients, func(other *modelSession) bool { return other == c })
	m.sessionEffect(broker.EffectSessionClosed, c)
}

func (m *Model) closeNode(node broker.NodeID) {
	var mine []*modelSession
	for _, c := range m.clients {
		if c.node == node {
			mine = append(mine, c)
		}
	}
	slices.SortFunc(mine, func(a, b *modelSession) int { return cmp.Compare(a.number, b.number) })
	for _, c := range mine {
		m.closeSession(c)
	}
}
