package broker

import (
	"maps"
	"slices"
)

// This file holds nodes, and the rule of origins: each fact of a node is folded once and in its order.

type node struct {
	id          NodeID
	incarnation uint64
	lastN       uint64 // the N of the last fact folded
	name        string
	version     uint32
	lost        bool // nothing of this incarnation is taken any more
	lostAt      Instant
	sessions    map[uint64]*session
	subs        map[uint64]*subscription
	rec         recordMeta
}

// admit decides by its origin whether an event is folded: only the one that follows the last of its node is.
// It returns the origin's node, which is nil for facts of the leader and of nodes never seen.
func (s *State) admit(e Event, fx *Effects) (*node, bool) {
	o := e.Origin
	if o.Node.IsZero() {
		return nil, true
	}
	n := s.lastNode
	if n == nil || n.id != o.Node {
		n = s.nodes[o.Node]
	}
	if _, starts := e.Fact.(NodeStarted); starts && (n == nil || o.Incarnation > n.incarnation) {
		if o.N == 1 {
			return n, true
		}
		s.dropped(EffectGap, o, 0, fx)
		return nil, false
	}
	switch {
	case n == nil || n.incarnation != o.Incarnation || n.lost:
		s.dropped(EffectGap, o, 0, fx)
		return nil, false
	case mutantOrigin:
	case o.N <= n.lastN:
		s.dropped(EffectDuplicate, o, 0, fx)
		return nil, false
	case o.N > n.lastN+1:
		s.dropped(EffectGap, o, Seq(n.lastN+1), fx)
		return nil, false
	}
	n.lastN = o.N
	s.lastNode = n
	s.touch(n)
	return n, true
}

func (s *State) dropped(kind EffectKind, o Origin, wanted Seq, fx *Effects) {
	e := fx.add(kind)
	e.Node, e.Incarnation, e.Tag, e.Seq = o.Node, o.Incarnation, o.N, wanted
}

func (s *State) nodeStarted(f NodeStarted, o Origin, n *node, fx *Effects) Refusal {
	if o.Node.IsZero() {
		return RefusedUnknownNode
	}
	if !s.validName(f.Name) {
		return RefusedInvalid
	}
	if n != nil && n.incarnation == o.Incarnation {
		return RefusedInvalid // only the first fact of an incarnation begins it
	}
	if n == nil {
		if len(s.nodes) >= s.limits.NodesMax && !s.forgetLostNode() {
			return RefusedLimit
		}
		n = &node{id: o.Node, sessions: make(map[uint64]*session), subs: make(map[uint64]*subscription)}
		s.nodes[n.id] = n
	}
	s.closeSessions(n, fx)
	n.incarnation, n.lastN = o.Incarnation, o.N
	n.name, n.version = f.Name, f.Version
	n.lost, n.lostAt = false, 0
	s.lastNode = n
	s.touch(n)
	e := fx.add(EffectNodeStarted)
	e.Node, e.Incarnation = n.id, n.incarnation
	return RefusedNone
}

// forgetLostNode makes room by forgetting the node that was lost for longest.
func (s *State) forgetLostNode() bool {
	var oldest *node
	for _, n := range s.nodes { // the order does not matter: the least of a total order is taken
		if !n.lost {
			continue
		}
		if oldest == nil || n.lostAt < oldest.lostAt || n.lostAt == oldest.lostAt && n.id.Compare(oldest.id) < 0 {
			oldest = n
		}
	}
	if oldest == nil {
		return false
	}
	delete(s.nodes, oldest.id)
	if s.lastNode == oldest {
		s.lastNode = nil
	}
	s.forget(oldest)
	return true
}

// nodeLost gives an incarnation up. A later one has closed what the earlier had: then nothing is left to do.
func (s *State) nodeLost(f NodeLost, fx *Effects) Refusal {
	n := s.nodes[f.Node]
	if n == nil || n.incarnation != f.Incarnation || n.lost {
		return RefusedNone
	}
	n.lost, n.lostAt = true, s.clock
	s.touch(n)
	e := fx.add(EffectNodeLost)
	e.Node, e.Incarnation = n.id, n.incarnation
	s.closeSessions(n, fx)
	return RefusedNone
}

// closeSessions closes all sessions of a node, by their numbers.
func (s *State) closeSessions(n *node, fx *Effects) {
	for _, number := range slices.Sorted(maps.Keys(n.sessions)) {
		s.closeSession(n.sessions[number], fx)
	}
}

func (n *node) record() *recordMeta { return &n.rec }

func (n *node) appendKey(dst []byte) []byte { return append(append(dst, recordNode), n.id[:]...) }

func (n *node) appendValue(dst []byte) []byte {
	dst = appendUvarint(dst, n.incarnation)
	dst = appendUvarint(dst, n.lastN)
	dst = appendString(dst, n.name)
	dst = appendUvarint(dst, uint64(n.version))
	dst = appendBool(dst, n.lost)
	return appendVarint(dst, int64(n.lostAt))
}
