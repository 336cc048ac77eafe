package broker

import (
	"maps"
	"slices"
)

// This file holds read-only views of the state, for operators. They are called on the fold's goroutine.

// DestinationInfo describes one destination.
type DestinationInfo struct {
	Kind          Kind
	Name          string
	Stream        uint32 // topics and user destinations: as in Effect.Stream; 0 for queues
	User          string // user destinations
	Messages      uint64 // topics and user destinations: messages ever stored; queues: messages in it
	LastSeq       Seq    // topics and user destinations: of the last message stored
	Waiting       int    // queues and user destinations
	Unsettled     int    // queues
	Bytes         int64  // queues: headers and bodies of the messages in it
	Subscriptions int    // queues and user destinations
	Covered       Seq    // user destinations
}

// NodeInfo describes one node.
type NodeInfo struct {
	Node        NodeID
	Incarnation uint64
	Name        string
	Version     uint32
	Lost        bool
	LastN       uint64
	Sessions    int
}

// SessionInfo describes one session.
type SessionInfo struct {
	Node          NodeID
	Incarnation   uint64
	Session       uint64
	User          string
	Service       bool
	RemoteAddr    string
	OpenedAt      Instant
	Subscriptions int
}

// SubscriptionInfo describes one subscription to a queue or a user destination.
type SubscriptionInfo struct {
	Node           NodeID
	Incarnation    uint64
	Session        uint64
	Sub            uint64
	Kind           Kind
	Dest           string
	User           string
	Mode           AckMode
	Credit         uint32
	CreditBytes    int64
	Unsettled      int
	UnsettledBytes int64
	OpenedAt       Instant
	LastTag        uint64
}

// QueueMessageInfo describes one message in a queue.
type QueueMessageInfo struct {
	Seq         Seq
	Body        Seq
	Size        int
	Deliveries  uint32
	Failures    uint32
	Returns     uint32
	Redelivered bool
	Unsettled   bool
	ExpiresAt   Instant
	Reason      string
	From        string
}

// Counts sums the state up.
type Counts struct {
	Nodes, Sessions, Subscriptions       int
	Topics, Queues, UserDestinations     int
	QueueWaiting, Unsettled, UserWaiting int
	Policies                             int
}

// Destinations calls fn for each topic, then each queue, then each user destination, by name, until it returns false.
func (s *State) Destinations(fn func(DestinationInfo) bool) {
	for _, name := range slices.Sorted(maps.Keys(s.topics)) {
		t := s.topics[name]
		if !fn(DestinationInfo{Kind: KindTopic, Name: name, Stream: t.stream, Messages: t.messages, LastSeq: t.lastSeq}) {
			return
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.queues)) {
		q := s.queues[name]
		info := DestinationInfo{
			Kind: q.kind(), Name: name, Messages: uint64(q.depth), Waiting: q.waiting, Unsettled: q.depth - q.waiting,
			Bytes: q.bytes, Subscriptions: q.subscriptions(),
		}
		if !fn(info) {
			return
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.users)) {
		u := s.users[name]
		info := DestinationInfo{
			Kind: KindUser, Name: name, Stream: u.stream, User: u.user, Messages: u.messages, LastSeq: u.lastSeq,
			Waiting: len(u.list()), Subscriptions: len(u.subs), Covered: u.covered,
		}
		if !fn(info) {
			return
		}
	}
}

// Nodes calls fn for each node, by id, until it returns false.
func (s *State) Nodes(fn func(NodeInfo) bool) {
	for _, n := range s.sortedNodes() {
		info := NodeInfo{
			Node: n.id, Incarnation: n.incarnation, Name: n.name, Version: n.version,
			Lost: n.lost, LastN: n.lastN, Sessions: len(n.sessions),
		}
		if !fn(info) {
			return
		}
	}
}

// Sessions calls fn for each session, by node and number, until it returns false.
func (s *State) Sessions(fn func(SessionInfo) bool) {
	for _, n := range s.sortedNodes() {
		for _, number := range slices.Sorted(maps.Keys(n.sessions)) {
			c := n.sessions[number]
			info := SessionInfo{
				Node: n.id, Incarnation: n.incarnation, Session: number, User: c.user, Service: c.service,
				RemoteAddr: c.addr, OpenedAt: c.openedAt, Subscriptions: len(c.subs),
			}
			if !fn(info) {
				return
			}
		}
	}
}

// Subscriptions calls fn for each subscription, in the order of their opening, until it returns false.
func (s *State) Subscriptions(fn func(SubscriptionInfo) bool) {
	for _, sub := range s.sortedSubscriptions() {
		c := sub.session
		info := SubscriptionInfo{
			Node: c.node.id, Incarnation: c.node.incarnation, Session: c.number, Sub: sub.number, Mode: sub.mode,
			Credit: sub.credit, CreditBytes: sub.creditBytes, Unsettled: sub.window.live, UnsettledBytes: sub.bytes,
			OpenedAt: sub.openedAt, LastTag: sub.lastTag,
		}
		if sub.queue != nil {
			info.Kind, info.Dest = sub.queue.kind(), sub.queue.name
		} else {
			info.Kind, info.Dest, info.User = KindUser, sub.user.dest, sub.user.user
		}
		if !fn(info) {
			return
		}
	}
}

// QueueMessages calls fn for each message in a queue from a place on, by place, until it returns false.
func (s *State) QueueMessages(dest string, from Seq, fn func(QueueMessageInfo) bool) {
	q := s.queues[dest]
	if q == nil {
		return
	}
	for _, e := range s.entriesOf(q) {
		if e.place < from {
			continue
		}
		info := QueueMessageInfo{
			Seq: e.place, Body: e.place, Size: int(e.size), Deliveries: uint32(e.deliveries), Failures: uint32(e.failures),
			Returns: uint32(e.returns), Redelivered: e.flags&entryRedelivered != 0, Unsettled: e.flags&entryUnsettled != 0, ExpiresAt: e.expiresAt,
		}
		if l := q.letters[e.place]; l != nil {
			info.Body, info.Reason, info.From = l.body, l.reason.String(), l.from
		}
		if !fn(info) {
			return
		}
	}
}

// Counts sums the state up; it costs as much as there are queues.
func (s *State) Counts() Counts {
	c := Counts{
		Nodes: len(s.nodes), Sessions: s.sessions, Subscriptions: s.subscribed,
		Topics: len(s.topics), Queues: len(s.queues), UserDestinations: len(s.users),
		UserWaiting: s.userWaiting, Policies: len(s.policies.rules),
	}
	for _, q := range s.queues { // sums do not depend on the order
		c.QueueWaiting += q.waiting
		c.Unsettled += q.depth - q.waiting
	}
	return c
}
