package broker

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// This file holds sessions: a user on a node, and what it subscribed to.

type session struct {
	node     *node
	number   uint64
	user     string
	service  bool
	addr     string
	openedAt Instant
	subs     []*subscription // in no order that matters; each knows its index
	rec      recordMeta
}

func (s *State) sessionOpened(f SessionOpened, n *node, fx *Effects) Refusal {
	if n.sessions[f.Session] != nil {
		return RefusedDuplicateSession
	}
	if !s.validName(f.User) || !s.validName(f.RemoteAddr) {
		return RefusedInvalid
	}
	if s.sessions >= s.limits.SessionsMax {
		return RefusedLimit
	}
	c := &session{node: n, number: f.Session, user: f.User, service: f.Service, addr: f.RemoteAddr, openedAt: s.clock}
	n.sessions[c.number] = c
	s.sessions++
	s.touch(c)
	c.effect(EffectSessionOpened, fx)
	return RefusedNone
}

func (s *State) sessionClosed(f SessionClosed, n *node, fx *Effects) Refusal {
	c := n.sessions[f.Session]
	if c == nil {
		return RefusedUnknownSession
	}
	s.closeSession(c, fx)
	return RefusedNone
}

// closeSession ends a session and its subscriptions; what these had not settled goes back and counts as returned.
func (s *State) closeSession(c *session, fx *Effects) {
	subs := c.subs
	slices.SortFunc(subs, func(a, b *subscription) int { return cmp.Compare(a.ordinal, b.ordinal) })
	c.subs = nil
	for _, sub := range subs {
		s.closeSubscription(sub, true, fx)
	}
	delete(c.node.sessions, c.number)
	s.sessions--
	s.forget(c)
	c.effect(EffectSessionClosed, fx)
}

func (c *session) effect(kind EffectKind, fx *Effects) {
	e := fx.add(kind)
	e.Node, e.Incarnation, e.Session, e.User = c.node.id, c.node.incarnation, c.number, c.user
}

// attach puts a subscription into the session's list.
func (c *session) attach(sub *subscription) {
	sub.inSession = len(c.subs)
	c.subs = append(c.subs, sub)
}

// detach takes it out again, unless the session is being closed.
func (c *session) detach(sub *subscription) {
	if c.subs == nil {
		return
	}
	last := len(c.subs) - 1
	moved := c.subs[last]
	c.subs[sub.inSession] = moved
	moved.inSession = sub.inSession
	c.subs[last] = nil
	c.subs = c.subs[:last]
}

func (c *session) record() *recordMeta { return &c.rec }

func (c *session) appendKey(dst []byte) []byte {
	dst = append(append(dst, recordSession), c.node.id[:]...)
	return binary.BigEndian.AppendUint64(dst, c.number)
}

func (c *session) appendValue(dst []byte) []byte {
	dst = appendUvarint(dst, c.node.incarnation)
	dst = appendString(dst, c.user)
	dst = appendBool(dst, c.service)
	dst = appendString(dst, c.addr)
	return appendVarint(dst, int64(c.openedAt))
}
