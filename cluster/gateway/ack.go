package gateway

import (
	"slices"

	"stampede/broker"
	"stampede/cluster"
	"stampede/stomp"
)

// This file is ACK and NACK, alone and in transactions.

// Ack implements server.Link.
func (l *link) Ack(f *stomp.Frame) *stomp.ProtocolError {
	l.received++
	receipt := f.Value("receipt")
	settle, err := l.readAck(f, receipt != "")
	if err != nil {
		return err
	}
	if settle.queue != nil {
		t := cluster.Ticket{Kind: ticketSend, Tag: receipt}
		if settle.queue.tags != nil {
			t.Owner = &commit{link: l, acks: []settlement{settle}}
		}
		l.propose(settle.fact, t)
		return nil
	}
	if s := settle.topic; s != nil {
		covered := l.giveCredit(settle)
		switch up := s.coveredUpTo(); { // by what was acknowledged before, too
		case receipt != "" && up > 0:
			l.propose(broker.UserCovered{Sub: s.number, UpTo: up}, cluster.Ticket{Kind: ticketSend, Tag: receipt, Lasting: true})
			return nil
		case covered > 0:
			l.cover(s.number, covered)
		}
	}
	l.receipt(receipt)
	return nil
}

// settlement is what one ACK or NACK means: for the fold (queue), for this node (topic), or, for a delivery that is
// long gone, nothing.
type settlement struct {
	queue      *queueSub
	fact       broker.DeliverySettled
	topic      *topicSub
	seq        broker.Seq // of the message, before STOMP 1.2
	tag        uint64
	cumulative bool
}

// delivery is what an ACK or NACK names: a message by its tag in a subscription.
type delivery struct {
	id       string     // the client's, of the subscription; "" for one that has ended
	number   uint64     // of the subscription
	seq      broker.Seq // of the message, before STOMP 1.2
	tag      uint64     // of an unlogged message: of the delivery before it, 0 when there was none
	unlogged bool
}

// readAck finds the delivery that an ACK or NACK names. strict says that the client asked for a receipt.
func (l *link) readAck(f *stomp.Frame, strict bool) (settlement, *stomp.ProtocolError) {
	d, err := l.readDelivery(f)
	if err != nil {
		return settlement{}, err
	}
	if q := l.queues[d.id]; q != nil && q.number == d.number {
		if d.unlogged {
			return settlement{}, unknownAck("messages of queues are never unlogged")
		}
		settle, err := l.settlementOfQueue(q, f, d.tag, strict)
		settle.seq = d.seq
		return settle, err
	}
	if t := l.topics[d.id]; t != nil && t.number == d.number {
		cumulative := t.mode == broker.AckClient && f.Command == stomp.CommandAck
		switch {
		case t.mode == broker.AckAuto:
			return settlement{}, unknownAck("the subscription's ack mode is auto")
		case d.unlogged && !cumulative, d.tag == 0:
			return settlement{}, nil // an unlogged message took no credit
		}
		return settlement{topic: t, tag: d.tag, cumulative: cumulative}, nil
	}
	// Settled before, or of a subscription that has ended: the delivery went back.
	l.gateway.stats.StaleAcks.Add(1)
	if strict {
		return settlement{}, deliveryGone()
	}
	return settlement{}, nil
}

func (l *link) settlementOfQueue(q *queueSub, f *stomp.Frame, tag uint64, strict bool) (settlement, *stomp.ProtocolError) {
	q.mu.Lock()
	last := q.lastTag
	q.mu.Unlock()
	switch {
	case q.mode == broker.AckAuto:
		return settlement{}, unknownAck("the subscription's ack mode is auto")
	case tag > last:
		return settlement{}, unknownAck("no delivery with this id was made")
	}
	fact := broker.DeliverySettled{Sub: q.number, From: tag, To: tag, Outcome: broker.Acked, Strict: strict}
	if f.Command == stomp.CommandNack {
		if _, ok := f.Get("delay"); ok {
			return settlement{}, unsupported("delay")
		}
		fact.Outcome = broker.Requeued
		if v, ok := f.Get("requeue"); ok && string(v) == "false" {
			fact.Outcome = broker.Rejected
		}
	}
	if q.mode == broker.AckClient {
		fact.From = 0 // [STOMP12 §SUBSCRIBE ack Header] cumulative
	}
	return settlement{queue: q, fact: fact, tag: tag, cumulative: fact.From == 0}, nil
}

// readDelivery reads which delivery is meant: the ack id in STOMP 1.2, subscription and message-id before.
func (l *link) readDelivery(f *stomp.Frame) (d delivery, err *stomp.ProtocolError) {
	var ok bool
	if l.version == stomp.V12 {
		v, _ := f.Get("id")
		d.number, d.tag, d.unlogged, ok = parseAck(v)
		if !ok || d.number > l.gateway.subscriptions.Load() {
			return d, unknownAck("the id is not the ack header of a MESSAGE")
		}
		d.id = l.numbers[d.number]
		return d, nil
	}
	seq, unlogged, ok := parseMessageID(f.Value("message-id"))
	if !ok || seq > l.gateway.node.Applied() {
		return d, unknownAck("the message-id is not one of a MESSAGE")
	}
	if sub, ok := f.Get("subscription"); ok {
		d, _ = l.deliveryIn(string(sub), seq, unlogged)
		return d, nil
	}
	for _, id := range l.numbers { // [STOMP10 §ACK] names only the message
		if d, ok = l.deliveryIn(id, seq, unlogged); ok {
			return d, nil
		}
	}
	return delivery{}, nil
}

// deliveryIn finds the delivery of a message in one subscription. It gives the zero delivery for what was settled before.
func (l *link) deliveryIn(id string, seq broker.Seq, unlogged bool) (d delivery, ok bool) {
	if q := l.queues[id]; q != nil && !unlogged {
		d = delivery{id: id, number: q.number, seq: seq}
		d.tag, ok = q.tagOf(seq)
	} else if t := l.topics[id]; t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		d = delivery{id: id, number: t.number, unlogged: unlogged}
		if unlogged {
			d.tag = t.window.upTo(seq)
			return d, true
		}
		d.tag, ok = t.window.tagOf(seq)
	}
	if !ok {
		return delivery{}, false
	}
	return d, true
}

// giveCredit settles a delivery of a topic or a user destination, and gives what is covered by that, 0 where nothing is.
func (l *link) giveCredit(settle settlement) (covered broker.Seq) {
	s := settle.topic
	covered, known := s.settle(settle.tag, settle.cumulative)
	if !known {
		l.gateway.stats.StaleAcks.Add(1)
		return 0
	}
	if s.lagging.Load() {
		l.session.RequestRefill()
	}
	if !s.user {
		return 0
	}
	return covered
}

// commit owns the ticket of a transaction, or of an ACK before STOMP 1.2, whose deliveries are settled once it took effect: until then
// the client may have to name them again.
type commit struct {
	link   *link
	acks   []settlement // of queues
	topics []settlement
	covers []broker.Fact // what the transaction itself covers
}

// took does what waited for the outcome; on the fold's goroutine.
func (c *commit) took(refusal broker.Refusal) {
	for _, settle := range c.acks {
		if refusal == broker.RefusedNone || (refusal == broker.RefusedDeliveryGone && len(c.acks) == 1) {
			settle.queue.settled(settle.seq, settle.tag, settle.cumulative)
		}
	}
	if refusal != broker.RefusedNone {
		return
	}
	for _, settle := range c.topics {
		covered := broker.UserCovered{Sub: settle.topic.number, UpTo: c.link.giveCredit(settle)}
		if covered.UpTo > 0 && !slices.Contains(c.covers, broker.Fact(covered)) { // what was settled meanwhile is covered with it
			c.link.addCover(mark{sub: covered.Sub, seq: covered.UpTo})
		}
	}
}

// Commit implements server.Link: one event for all that the transaction holds.
func (l *link) Commit(actions []*stomp.Frame, receipt string) *stomp.ProtocolError {
	var tx broker.TransactionCommitted
	var sent []string // destinations, once it is known that there will be a command to wait for
	owner := &commit{link: l}
	for _, f := range actions {
		if f.Command == stomp.CommandSend {
			l.received++
			_, _, err := l.prepare(f)
			if err != nil {
				return err
			}
			m := l.sender.message
			m.Headers = append([]byte(nil), m.Headers...)
			tx.Actions = append(tx.Actions, broker.MessageSent{Message: &m})
			sent = append(sent, m.Dest)
			continue
		}
		settle, err := l.readAck(f, receipt != "")
		if err != nil {
			return err
		}
		if settle.queue != nil {
			tx.Actions = append(tx.Actions, settle.fact)
			owner.acks = append(owner.acks, settle)
		} else if settle.topic != nil {
			owner.topics = append(owner.topics, settle)
		}
	}
	owner.covers = covers(owner.topics)
	tx.Actions = append(tx.Actions, owner.covers...)
	for _, dest := range sent {
		l.awaitTrail(dest)
		l.lastLogged(dest)
	}
	l.propose(tx, cluster.Ticket{Kind: ticketSend, Tag: receipt, Owner: owner})
	return nil
}

// covers says what will be covered on user destinations when all of these are settled.
func covers(settlements []settlement) (facts []broker.Fact) {
	windows := map[*topicSub]*window{}
	for _, settle := range settlements {
		s := settle.topic
		if !s.user {
			continue
		}
		w := windows[s]
		if w == nil {
			w = s.windowCopy()
			windows[s] = w
		}
		if covered, _ := w.settle(settle.tag, settle.cumulative); covered > 0 {
			facts = append(facts, broker.UserCovered{Sub: s.number, UpTo: covered})
		}
	}
	return facts
}

func unknownAck(why string) *stomp.ProtocolError {
	return &stomp.ProtocolError{
		Code: stomp.CodeUnknownAck, Severity: stomp.Refused, Message: "unknown delivery",
		Detail: "The ACK or NACK names no delivery of this session: " + why + ".",
	}
}

func deliveryGone() *stomp.ProtocolError {
	return &stomp.ProtocolError{
		Code: stomp.CodeDeliveryGone, Severity: stomp.Transient, Message: "delivery is gone",
		Detail: "The delivery was settled before, or went back to the queue and may come again. Nothing was changed.",
	}
}
