package gateway

import (
	"strings"

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
	if settle.queue {
		l.propose(settle.fact, cluster.Ticket{Kind: ticketSend, Tag: receipt})
		return nil
	}
	if settle.topic != nil {
		l.settleTopic(settle)
	}
	if receipt != "" && l.session.Receipt(receipt) {
		l.wakes.add(l.session)
	}
	return nil
}

// settlement is what one ACK or NACK means: for the fold (queue), for this node (topic), or, for a delivery that is
// long gone, nothing.
type settlement struct {
	queue      bool
	fact       broker.DeliverySettled
	topic      *topicSub
	tag        uint64
	cumulative bool
}

// readAck finds the delivery that an ACK or NACK names. strict says that the client asked for a receipt.
func (l *link) readAck(f *stomp.Frame, strict bool) (settlement, *stomp.ProtocolError) {
	if l.version < stomp.V12 && strings.Contains(f.Value("message-id"), ".") {
		return settlement{}, nil // of an unlogged message: nothing waits for it
	}
	number, tag, id, err := l.readDelivery(f)
	if err != nil {
		return settlement{}, err
	}
	if q := l.queues[id]; q != nil && q.number == number {
		return l.settlementOfQueue(q, f, tag, strict)
	}
	if t := l.topics[id]; t != nil && t.number == number {
		if t.mode == broker.AckAuto {
			return settlement{}, unknownAck("the subscription's ack mode is auto")
		}
		return settlement{topic: t, tag: tag, cumulative: t.mode == broker.AckClient && f.Command == stomp.CommandAck}, nil
	}
	// Of a subscription that has ended: the delivery went back.
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
		fact.From = 0 // [STOMP12 §client ack mode] cumulative
	}
	q.settled(tag, fact.From == 0)
	return settlement{queue: true, fact: fact}, nil
}

// readDelivery reads which delivery is meant: the ack id in STOMP 1.2, subscription and message-id before.
func (l *link) readDelivery(f *stomp.Frame) (number, tag uint64, id string, err *stomp.ProtocolError) {
	if l.version == stomp.V12 {
		v, _ := f.Get("id")
		number, tag, ok := parseAck(v)
		if !ok || number > l.gateway.subscriptions.Load() {
			return 0, 0, "", unknownAck("the id is not the ack header of a MESSAGE")
		}
		return number, tag, l.numbers[number], nil
	}
	seq, ok := parseMessageID(f.Value("message-id"))
	if !ok {
		return 0, 0, "", unknownAck("the message-id is not one of a MESSAGE")
	}
	found := false
	if sub, ok := f.Get("subscription"); ok {
		id = string(sub)
		number, tag, found = l.tagIn(id, seq)
	} else { // [STOMP10 §ACK] names only the message
		number, tag, id, found = l.tagAnywhere(seq)
	}
	if !found {
		return 0, 0, "", unknownAck("no delivery of this message waits for an ACK")
	}
	return number, tag, id, nil
}

func (l *link) tagIn(id string, seq broker.Seq) (number, tag uint64, ok bool) {
	if q := l.queues[id]; q != nil {
		tag, ok = q.tagOf(seq)
		return q.number, tag, ok
	}
	if t := l.topics[id]; t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		tag, ok = t.window.tagOf(seq)
		return t.number, tag, ok
	}
	return 0, 0, false
}

func (l *link) tagAnywhere(seq broker.Seq) (number, tag uint64, id string, ok bool) {
	for number, id := range l.numbers {
		if n, tag, ok := l.tagIn(id, seq); ok && n == number {
			return number, tag, id, true
		}
	}
	return 0, 0, "", false
}

// settleTopic gives credit back; on a user destination what is settled from the front on is covered.
func (l *link) settleTopic(settle settlement) {
	s := settle.topic
	covered, known := s.settle(settle.tag, settle.cumulative)
	if !known {
		l.gateway.stats.StaleAcks.Add(1)
		return
	}
	if s.lagging.Load() {
		l.session.RequestRefill()
	}
	if s.user && covered > 0 {
		l.cover(s.number, covered)
	}
}

// Commit implements server.Link: one event for all that the transaction holds.
func (l *link) Commit(actions []*stomp.Frame, receipt string) *stomp.ProtocolError {
	var tx broker.TransactionCommitted
	var topics []settlement
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
			l.lastLogged(m.Dest)
			continue
		}
		settle, err := l.readAck(f, receipt != "")
		if err != nil {
			return err
		}
		if settle.queue {
			tx.Actions = append(tx.Actions, settle.fact)
		} else if settle.topic != nil {
			topics = append(topics, settle)
		}
	}
	for _, settle := range topics {
		l.settleTopic(settle)
	}
	l.propose(tx, cluster.Ticket{Kind: ticketSend, Tag: receipt})
	return nil
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
