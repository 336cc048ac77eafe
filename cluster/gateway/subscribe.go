package gateway

import (
	"context"
	"time"

	"stampede/broker"
	"stampede/cluster"
	"stampede/stomp"
)

// This file is SUBSCRIBE and UNSUBSCRIBE.

// Subscribe implements server.Link.
func (l *link) Subscribe(f *stomp.Frame) *stomp.ProtocolError {
	l.received++
	a, err := parseSubscribe(f.Value("destination"), l.user)
	if err != nil {
		return err
	}
	a.kind = springKind(&a, f)
	if err := checkSubscribeHeaders(f, a.kind); err != nil {
		return err
	}
	mode := ackMode(f)
	c, err := readCredit(f, mode)
	if err != nil {
		return err
	}
	id := string(stomp.SubscriptionID(f, l.version))
	if a.kind.IsQueue() {
		if _, name, ok := first(f, "x-stream-offset", "resume-after", "last"); ok {
			return unsupported(name) // a queue has no positions: what was settled is gone
		}
		l.subscribeQueue(id, a, mode, c, f.Value("receipt"))
		return nil
	}
	p, err := readPosition(f)
	if err != nil {
		return err
	}
	s := &topicSub{
		link: l, id: id, number: l.gateway.subscriptions.Add(1), dest: a.dest, mode: mode,
		noLocal: isTrue(f, "no-local", "activemq.noLocal"), head: messageHead(l.version, id), credit: c,
	}
	if a.kind == broker.KindTopic {
		s.interest = a.dest
	}
	if a.pattern {
		s.dest, s.serverPattern = "", a.server
		if s.pattern, err = parsePattern(a.dest); err != nil {
			return err
		}
	}
	if l.topics == nil {
		l.topics = map[string]*topicSub{}
	}
	l.topics[id] = s
	l.nameNumber(s.number, id, mode)
	if a.kind == broker.KindUser {
		return l.subscribeUser(s, a, c, p, f.Value("receipt"))
	}
	return l.subscribeTopic(s, p, f.Value("receipt"))
}

func ackMode(f *stomp.Frame) broker.AckMode {
	v, _ := f.Get("ack")
	switch string(v) {
	case "client":
		return broker.AckClient
	case "client-individual":
		return broker.AckClientIndividual
	}
	return broker.AckAuto
}

func isTrue(f *stomp.Frame, names ...string) bool {
	v, _, _ := first(f, names...)
	return v == "true"
}

func parsePattern(dest string) (broker.Pattern, *stomp.ProtocolError) {
	p, err := broker.ParsePattern(dest)
	if err != nil {
		return p, invalidDestination(dest, err.Error())
	}
	return p, nil
}

// subscribeQueue asks the fold: subscriptions to queues are its state.
func (l *link) subscribeQueue(id string, a address, mode broker.AckMode, c credit, receipt string) {
	s := &queueSub{
		link: l, id: id, number: l.gateway.subscriptions.Add(1), mode: mode, head: messageHead(l.version, id),
	}
	if mode != broker.AckAuto && l.version < stomp.V12 {
		s.tags = map[broker.Seq]uint64{}
	}
	if l.queues == nil {
		l.queues = map[string]*queueSub{}
	}
	l.queues[id] = s
	l.nameNumber(s.number, id, mode)
	if mode == broker.AckAuto {
		l.session.TrackWrites(true)
	}
	l.gateway.queues.add(s.number, s)
	l.propose(broker.SubscriptionOpened{
		Session: l.number, Sub: s.number, Kind: a.kind, Dest: a.dest, Mode: mode,
		Credit: c.messages, CreditBytes: c.bytes, CreditBytesSet: c.bytesSet,
	}, cluster.Ticket{Kind: ticketSubscribe, Tag: receipt, Aux: s.number})
}

// subscribeUser asks the fold where to begin; until it says, the subscription is parked.
func (l *link) subscribeUser(s *topicSub, a address, c credit, p position, receipt string) *stomp.ProtocolError {
	from, err := l.gateway.seqOf(p, a.dest)
	if err != nil {
		l.dropTopic(s)
		return err
	}
	if s.mode == broker.AckAuto {
		l.session.TrackWrites(true)
	}
	s.user, s.parked = true, true
	s.lagging.Store(true)
	l.addLagging(s)
	l.gateway.users.add(s.number, s)
	l.gateway.router.add(s)
	l.propose(broker.SubscriptionOpened{
		Session: l.number, Sub: s.number, Kind: broker.KindUser, Dest: a.dest, User: a.user, Mode: s.mode,
		Credit: c.messages, CreditBytes: c.bytes, CreditBytesSet: c.bytesSet, Position: from,
	}, cluster.Ticket{Kind: ticketSubscribe, Tag: receipt, Aux: s.number})
	if from > l.gateway.node.Applied()+1 {
		time.AfterFunc(positionAheadWait, func() { s.checkPosition(from) })
	}
	return nil
}

// subscribeTopic tells the other nodes, since their unlogged messages come only to who wants them. The receipt comes first, then the route
// [G1], then, with a position, the log. Where a receipt is asked for it waits until the others know; until then the subscription is parked.
func (l *link) subscribeTopic(s *topicSub, p position, receipt string) *stomp.ProtocolError {
	from, err := l.gateway.seqOf(p, s.dest)
	if err != nil {
		l.dropTopic(s)
		return err
	}
	told, confirmed := l.gateway.node.AddInterest(s.interest, s.dest == "")
	s.told, s.counted = told, true
	if confirmed != nil && receipt != "" {
		l.parkTopic(s, p, from)
		l.confirming.Add(1)
		go l.confirm(s, receipt, confirmed)
		return nil
	}
	l.receipt(receipt)
	if !p.given {
		l.gateway.router.add(s)
		return nil
	}
	l.lagFrom(s, from)
	l.session.RequestRefill()
	return nil
}

// lagFrom routes a subscription that begins to read the log from a place on.
func (l *link) lagFrom(s *topicSub, from broker.Seq) {
	s.from.Store(uint64(from))
	s.lagging.Store(true)
	s.cursor = from
	l.gateway.router.add(s)
	applied := l.gateway.node.Applied()
	s.mu.Lock()
	s.seen = max(s.seen, applied)
	s.mu.Unlock()
	l.addLagging(s)
	if from > applied+1 {
		time.AfterFunc(positionAheadWait, func() { s.checkPosition(from) })
	}
}

// parkTopic routes a subscription that is given nothing before its receipt: what is logged meanwhile it reads from the log then.
func (l *link) parkTopic(s *topicSub, p position, from broker.Seq) {
	s.mu.Lock()
	s.parked = true
	s.mu.Unlock()
	if p.given {
		l.lagFrom(s, from)
		return
	}
	s.lagging.Store(true)
	l.gateway.router.add(s)
	from = l.gateway.node.Applied() + 1 // what comes from here on for it is noted in seen; what the log takes for others is none of its business
	s.mu.Lock()
	s.from.Store(uint64(from))
	s.cursor = from
	s.mu.Unlock()
	l.addLagging(s)
}

// confirm writes the receipt of a SUBSCRIBE once the other nodes know of it, and lets the subscription go on.
func (l *link) confirm(s *topicSub, receipt string, confirmed <-chan struct{}) {
	select {
	case <-confirmed:
	case <-l.session.Gone():
	}
	if s.unpark(func() bool { return l.writeReceipt(receipt) }) {
		l.session.Wake()
	}
	l.session.RequestRefill()
	l.confirming.Add(-1)
	l.goOn()
}

// checkPosition ends a subscription whose position is still ahead of the log after positionAheadWait.
func (s *topicSub) checkPosition(from broker.Seq) {
	if s.link.gateway.node.Applied()+1 >= from {
		return
	}
	if s.closed.Swap(true) {
		return
	}
	l := s.link
	l.gateway.router.remove(s)
	if s.user {
		// What comes for the user is no longer this subscription's. An error says that the node stops or was given up: then its session ends.
		closed := broker.AppendFact(nil, broker.SubscriptionClosed{Sub: s.number})
		_ = l.gateway.node.SubmitAs(context.Background(), l.incarnation, closed, []cluster.Ticket{lastingTicket})
	}
	l.session.Error(&stomp.ProtocolError{
		Code: stomp.CodePositionAhead, Severity: stomp.Refused, Message: "position is ahead of the log",
		Detail: "The subscription '" + s.id + "' asked for a position that this node's log has not reached.",
	}, "")
}

// nameNumber makes the subscription's deliveries known by their ack headers.
func (l *link) nameNumber(of uint64, id string, mode broker.AckMode) {
	if mode == broker.AckAuto {
		return
	}
	if l.numbers == nil {
		l.numbers = map[uint64]string{}
	}
	l.numbers[of] = id
}

// Unsubscribe implements server.Link.
func (l *link) Unsubscribe(f *stomp.Frame) *stomp.ProtocolError {
	id, receipt := string(stomp.SubscriptionID(f, l.version)), f.Value("receipt")
	if s := l.topics[id]; s != nil {
		ended := s.closed.Load() // the fold knows of none, and the client was told
		l.dropTopic(s)
		if s.user && !ended {
			l.propose(broker.SubscriptionClosed{Sub: s.number}, cluster.Ticket{Kind: ticketUnsubscribe, Tag: receipt, Lasting: true})
			return nil
		}
	}
	if s := l.queues[id]; s != nil {
		refused := s.closed.Load() // the fold did not take it, and the client knows
		s.close()
		l.forgetWaiting(s)
		delete(l.queues, id)
		delete(l.numbers, s.number)
		if refused {
			l.receipt(receipt)
			return nil
		}
		l.gateway.queues.remove(s.number)
		l.propose(broker.SubscriptionClosed{Sub: s.number}, cluster.Ticket{Kind: ticketUnsubscribe, Tag: receipt, Lasting: true})
		return nil
	}
	l.receipt(receipt)
	return nil
}

// Refused implements server.Link.
func (l *link) Refused(id string) bool {
	if s := l.queues[id]; s != nil && s.closed.Load() {
		delete(l.queues, id)
		delete(l.numbers, s.number)
		return true
	}
	if s := l.topics[id]; s != nil && s.closed.Load() {
		l.dropTopic(s)
		return true
	}
	return false
}

func (l *link) dropTopic(s *topicSub) {
	s.closed.Store(true)
	l.gateway.router.remove(s)
	l.forgetLagging(s)
	if s.counted {
		s.counted = false
		l.gateway.node.RemoveInterest(s.interest, s.dest == "")
	}
	delete(l.topics, s.id)
	delete(l.numbers, s.number)
	if s.user {
		l.gateway.users.remove(s.number)
	}
}
