package brokertest

import (
	"slices"

	"stampede/broker"
)

// This file holds an oracle: the rules of queues, user destinations, sessions and nodes in the plainest way,
// with one list of messages a queue and a search for every question. It knows no records, and policies by exact name only.

// Model is the oracle's state.
type Model struct {
	next    broker.Seq
	clock   broker.Instant
	opened  int // subscriptions ever opened
	queues  map[string]*modelQueue
	users   map[string]*modelUser
	subs    []*modelSub // open ones, in the order of opening
	clients []*modelSession
	nodes   map[broker.NodeID]*modelNode
	rules   map[string]broker.Policy
	touched []string // queues to look after at the end of the event
	effects []broker.Effect
}

type modelNode struct {
	incarnation, lastN uint64
	lost               bool
}

type modelSession struct {
	node   broker.NodeID
	number uint64
	user   string
}

type modelSub struct {
	opening int
	session *modelSession
	number  uint64
	dest    string
	queue   bool
	mode    broker.AckMode
	credit  int
	bytes   int64
	lastTag uint64
	at      broker.Instant
	from    broker.Seq // where it began to read a user destination
}

type modelQueue struct {
	messages  []*modelMessage // by place
	cursor    int
	exclusive bool
}

type modelMessage struct {
	place, body                   broker.Seq
	size                          int64
	expiresAt                     broker.Instant
	deliveries, failures, returns int64
	redelivered                   bool
	owner                         *modelSub
	tag                           uint64
	at                            broker.Instant
	reason, from                  string
	count                         uint32
	unclaimed                     bool           // it waits for a subscription of its exclusive queue
	since                         broker.Instant // since then
}

type modelUser struct {
	user    string
	covered broker.Seq
	waiting []modelWaiting
}

type modelWaiting struct {
	seq broker.Seq
	at  broker.Instant
}

// NewModel returns the oracle before the first event.
func NewModel() *Model {
	return &Model{
		next: 1, queues: make(map[string]*modelQueue), users: make(map[string]*modelUser),
		nodes: make(map[broker.NodeID]*modelNode), rules: make(map[string]broker.Policy),
	}
}

// Next returns the place of the next event.
func (m *Model) Next() broker.Seq { return m.next }

// Apply folds an event and returns what must follow from it. Messages must come unstamped.
func (m *Model) Apply(e broker.Event) []broker.Effect {
	m.effects, m.touched = nil, nil
	if !m.admit(e) {
		return m.effects
	}
	m.clock = max(m.clock, e.At)
	first := m.next
	m.next++
	if refusal := m.fold(e, first); refusal != broker.RefusedNone {
		m.next = first + 1
		return []broker.Effect{{Kind: broker.EffectRefused, Refusal: refusal}}
	}
	for _, name := range m.touched {
		m.lookAfter(name)
	}
	return m.effects
}

func (m *Model) admit(e broker.Event) bool {
	o := e.Origin
	if o.Node.IsZero() {
		return true
	}
	gap := func(kind broker.EffectKind, wanted uint64) bool {
		m.effects = []broker.Effect{{Kind: kind, Node: o.Node, Incarnation: o.Incarnation, Tag: o.N, Seq: broker.Seq(wanted)}}
		return false
	}
	n := m.nodes[o.Node]
	if _, ok := e.Fact.(broker.NodeStarted); ok && (n == nil || o.Incarnation > n.incarnation) {
		return o.N == 1 || gap(broker.EffectGap, 0)
	}
	if n == nil || n.lost || n.incarnation != o.Incarnation {
		return gap(broker.EffectGap, 0)
	}
	if o.N <= n.lastN {
		return gap(broker.EffectDuplicate, 0)
	}
	if o.N != n.lastN+1 {
		return gap(broker.EffectGap, n.lastN+1)
	}
	n.lastN++
	return true
}

func (m *Model) fold(e broker.Event, first broker.Seq) broker.Refusal {
	node := e.Origin.Node
	switch f := e.Fact.(type) {
	case broker.MessageSent:
		if refusal := m.refuseMessage(f.Message, 0); refusal != broker.RefusedNone {
			return refusal
		}
		m.store(f.Message, first)
	case broker.NodeStarted:
		if n := m.nodes[node]; n != nil && n.incarnation == e.Origin.Incarnation {
			return broker.RefusedInvalid
		}
		m.closeNode(node)
		m.nodes[node] = &modelNode{incarnation: e.Origin.Incarnation, lastN: 1}
		m.effects = append(m.effects, broker.Effect{Kind: broker.EffectNodeStarted, Node: node, Incarnation: e.Origin.Incarnation})
	case broker.NodeLost:
		if n := m.nodes[f.Node]; n != nil && n.incarnation == f.Incarnation && !n.lost {
			n.lost = true
			m.effects = append(m.effects, broker.Effect{Kind: broker.EffectNodeLost, Node: f.Node, Incarnation: f.Incarnation})
			m.closeNode(f.Node)
		}
	case broker.SessionOpened:
		if m.session(node, f.Session) != nil {
			return broker.RefusedDuplicateSession
		}
		c := &modelSession{node, f.Session, f.User}
		m.clients = append(m.clients, c)
		m.sessionEffect(broker.EffectSessionOpened, c)
	case broker.SessionClosed:
		c := m.session(node, f.Session)
		if c == nil {
			return broker.RefusedUnknownSession
		}
		m.closeSession(c)
	case broker.SubscriptionOpened:
		return m.subscribe(f, node)
	case broker.SubscriptionClosed:
		sub := m.sub(node, f.Sub)
		if sub == nil {
			return broker.RefusedUnknownSubscription
		}
		m.unsubscribe(sub, false)
	case broker.DeliverySettled:
		if m.gone(node, f) {
			return broker.RefusedDeliveryGone
		}
		m.settle(node, f)
	case broker.UserCovered:
		m.covered(node, f, first)
	case broker.TransactionCommitted:
		return m.commit(f, node, first)
	case broker.PolicyChanged:
		m.rules[f.Pattern] = f.Policy
		m.effects = append(m.effects, broker.Effect{Kind: broker.EffectPolicyChanged, Dest: f.Pattern})
	case broker.TimeAdvanced:
		m.advance()
	}
	return broker.RefusedNone
}

func (m *Model) policy(dest string) broker.Policy {
	p := broker.DefaultPolicy(dest)
	r := m.rules[dest]
	set := func(bit broker.PolicyField, to *int64, from int64) {
		if r.Set&bit != 0 {
			*to = from
		}
	}
	set(broker.PolicyMaxDepth, &p.MaxDepth, r.MaxDepth)
	set(broker.PolicyAckTimeout, &p.AckTimeoutMillis, r.AckTimeoutMillis)
	set(broker.PolicyMaxDeliveries, &p.MaxDeliveries, r.MaxDeliveries)
	set(broker.PolicyMaxReturns, &p.MaxReturns, r.MaxReturns)
	set(broker.PolicyUserWaitingMessages, &p.UserWaitingMessages, r.UserWaitingMessages)
	set(broker.PolicyUserWaitingAge, &p.UserWaitingAgeMillis, r.UserWaitingAgeMillis)
	return p
}

func (m *Model) refuseMessage(msg *broker.Message, added int64) broker.Refusal {
	if msg.Kind.IsQueue() {
		depth := added
		if q := m.queues[msg.Dest]; q != nil {
			depth += int64(len(q.messages))
		}
		if depth >= m.policy(msg.Dest).MaxDepth {
			return broker.RefusedQueueFull
		}
	}
	return broker.RefusedNone
}

func (m *Model) store(msg *broker.Message, seq broker.Seq) {
	m.effects = append(m.effects, broker.Effect{Kind: broker.EffectStored, Seq: seq, Dest: msg.Dest})
	switch msg.Kind {
	case broker.KindQueue, broker.KindExclusive:
		m.makeQueue(msg.Kind, msg.Dest)
		m.enqueue(msg.Dest, &modelMessage{place: seq, body: seq, size: int64(msg.Size()), expiresAt: msg.ExpiresAt})
		m.leaveUnclaimed(msg.Dest)
	case broker.KindUser:
		u := m.user(msg.Dest, msg.User)
		u.waiting = append(u.waiting, modelWaiting{seq, m.clock})
		if over := int64(len(u.waiting)) - m.policy(msg.Dest).UserWaitingMessages; over > 0 {
			m.giveWay(msg.Dest, int(over))
		}
	}
}

func (m *Model) user(dest, user string) *modelUser {
	if m.users[dest] == nil {
		m.users[dest] = &modelUser{user: user}
	}
	return m.users[dest]
}

func (m *Model) giveWay(dest string, n int) {
	u := m.users[dest]
	last := u.waiting[n-1].seq
	m.cover(u, last)
	if len(m.subsOf(dest)) == 0 {
		m.effects = append(m.effects, broker.Effect{Kind: broker.EffectDropped, Dest: dest, User: u.user, Seq: last, Count: uint32(n)})
	}
}

// coverGiven leaves alone what waited before the subscription began.
func (m *Model) covered(node broker.NodeID, f broker.UserCovered, last broker.Seq) {
	if sub := m.sub(node, f.Sub); sub != nil && !sub.queue {
		m.coverGiven(sub, min(f.UpTo, last))
	} else {
		m.stale(node, f.Sub, 0, 1)
	}
}

func (m *Model) coverGiven(sub *modelSub, upTo broker.Seq) {
	u := m.users[sub.dest]
	before := func(w modelWaiting) bool { return w.seq < sub.from }
	if !slices.ContainsFunc(u.waiting, before) {
		m.cover(u, upTo)
		return
	}
	u.waiting = slices.DeleteFunc(u.waiting, func(w modelWaiting) bool { return w.seq <= upTo && !before(w) })
}

func (m *Model) cover(u *modelUser, upTo broker.Seq) {
	u.covered = max(u.covered, upTo)
	u.waiting = slices.DeleteFunc(u.waiting, func(w modelWaiting) bool { return w.seq <= u.covered })
}

func (m *Model) enqueue(dest string, msg *modelMessage) {
	if m.queues[dest] == nil {
		m.queues[dest] = &modelQueue{}
	}
	q := m.queues[dest]
	q.messages = append(q.messages, msg)
	m.touch(dest)
}

func (m *Model) touch(dest string) {
	if !slices.Contains(m.touched, dest) {
		m.touched = append(m.touched, dest)
	}
}

// live returns the message that a tag of a subscription means.
func (m *Model) live(node broker.NodeID, number, tag uint64) (*modelSub, *modelMessage) {
	sub := m.sub(node, number)
	if sub == nil || !sub.queue {
		return sub, nil
	}
	for _, msg := range m.held(sub) {
		if msg.tag == tag {
			return sub, msg
		}
	}
	return sub, nil
}

func (m *Model) gone(node broker.NodeID, f broker.DeliverySettled) bool {
	_, msg := m.live(node, f.Sub, f.To)
	return f.Strict && msg == nil
}

func (m *Model) settle(node broker.NodeID, f broker.DeliverySettled) {
	sub, last := m.live(node, f.Sub, f.To)
	settled := uint64(0)
	if sub != nil && sub.queue {
		m.touch(sub.dest)
		for _, msg := range m.held(sub) {
			if msg.tag >= f.From && msg.tag <= f.To {
				settled++
				m.end(sub.dest, msg, f.Outcome)
			}
		}
	}
	switch {
	case f.From == 0 && last == nil:
		m.stale(node, f.Sub, f.To, 1)
	case f.From > 0 && settled < f.To-f.From+1:
		m.stale(node, f.Sub, f.To, uint32(f.To-f.From+1-settled))
	}
}

func (m *Model) end(dest string, msg *modelMessage, outcome broker.Outcome) {
	switch outcome {
	case broker.Acked, broker.Taken:
		m.drop(dest, msg)
	case broker.Rejected:
		m.giveBack(dest, msg, "rejected")
	case broker.Requeued:
		msg.failures++
		if most := m.policy(dest).MaxDeliveries; most > 0 && msg.failures >= most {
			m.giveBack(dest, msg, "max-deliveries")
		} else {
			m.giveBack(dest, msg, "")
		}
	}
}

func (m *Model) stale(node broker.NodeID, sub, tag uint64, n uint32) {
	e := broker.Effect{Kind: broker.EffectStaleSettle, Node: node, Incarnation: m.nodes[node].incarnation, Sub: sub, Tag: tag, Count: n}
	m.effects = append(m.effects, e)
}

func (m *Model) commit(f broker.TransactionCommitted, node broker.NodeID, first broker.Seq) broker.Refusal {
	added := make(map[string]int64)
	messages := broker.Seq(0)
	for _, action := range f.Actions {
		switch a := action.(type) {
		case broker.MessageSent:
			if refusal := m.refuseMessage(a.Message, added[a.Message.Dest]); refusal != broker.RefusedNone {
				return refusal
			}
			added[a.Message.Dest]++
			messages++
		case broker.DeliverySettled:
			if m.gone(node, a) {
				return broker.RefusedDeliveryGone
			}
			if sub, msg := m.live(node, a.Sub, a.To); msg != nil && a.From == a.To && a.Outcome != broker.Requeued {
				added[sub.dest]--
			}
		}
	}
	m.next = first + max(messages, 1)
	for _, action := range f.Actions {
		if a, ok := action.(broker.MessageSent); ok {
			m.store(a.Message, first)
			first++
		}
	}
	for _, action := range f.Actions {
		switch a := action.(type) {
		case broker.DeliverySettled:
			m.settle(node, a)
		case broker.UserCovered:
			m.covered(node, a, m.next-1)
		}
	}
	return broker.RefusedNone
}
