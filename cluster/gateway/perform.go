package gateway

import (
	"stampede/broker"
	"stampede/cluster"
	"stampede/stomp"
)

// This file performs what the fold decided, for the sessions of this node. All of it runs on the fold's goroutine and
// never blocks.

// Outcome implements cluster.Performer: answers the session whose command took effect or was refused [G3].
func (g *Gateway) Outcome(t cluster.Ticket, seq broker.Seq, refusal broker.Refusal) {
	switch owner := t.Owner.(type) {
	case *link:
		g.answerSession(owner, t, refusal)
	case *commit:
		for _, settle := range owner.acks {
			if refusal == broker.RefusedNone {
				settle.queue.settled(settle.tag, settle.cumulative)
			}
		}
		g.answerSession(owner.link, t, refusal)
	case *publication:
		owner.done <- publishOutcome{seq: seq, refusal: refusal}
	}
}

func (g *Gateway) answerSession(l *link, t cluster.Ticket, refusal broker.Refusal) {
	value, begun := unpackAux(t.Aux)
	switch {
	case refusal != broker.RefusedNone && t.Kind != ticketQuiet:
		if t.Kind == ticketSubscribe {
			g.refuseSubscription(value)
		}
		l.session.Error(refused(refusal), t.Tag)
	case t.Tag != "":
		if l.writeReceipt(t.Tag) {
			g.wakes.add(l.session)
		}
	}
	if t.Kind == ticketSend {
		g.stats.Processing.observe(g.ticks() - begun)
	}
	if t.Kind == ticketSubscribe {
		value = 0 // its number: its size was not counted
	}
	g.answers = append(g.answers, answer{l, value})
}

// answer is an outcome that its session does not count yet: who waits for the outcome of a message may rely on it that
// the subscribers were given the message.
type answer struct {
	link *link
	size uint64
}

// performed tells how far all subscriptions are, and counts the answers of what was performed.
func (g *Gateway) performed() {
	g.pushed.Store(uint64(g.node.Applied()))
	for i, a := range g.answers {
		a.link.answer(a.size)
		g.answers[i] = answer{}
	}
	g.answers = g.answers[:0]
}

// refuseSubscription takes out a subscription that the fold did not open.
func (g *Gateway) refuseSubscription(number uint64) {
	if s := g.queues.get(number); s != nil {
		s.close()
		g.queues.remove(s.number)
	}
	if s := g.users.get(number); s != nil {
		s.closed.Store(true)
		g.router.remove(s)
		g.users.remove(s.number)
	}
}

// Perform implements cluster.Performer.
func (g *Gateway) Perform(fx *broker.Effects) {
	for i := range fx.List {
		e := &fx.List[i]
		switch e.Kind {
		case broker.EffectStored:
			if e.Message.Kind != broker.KindQueue {
				g.publish(e.Message)
			}
		case broker.EffectDelivered:
			if e.Node == g.self {
				g.deliver(e)
			}
		case broker.EffectUserPosition:
			if e.Node == g.self {
				if s := g.users.get(e.Sub); s != nil {
					s.start(e.Seq)
				}
			}
		default:
			g.note(e)
		}
	}
	g.performed()
}

// publish gives a logged message to the subscriptions of this node that want it.
func (g *Gateway) publish(m *broker.Message) {
	if m.ExpiresAt != 0 && expired(m, m.At) {
		return
	}
	g.encoder.reset(m, "")
	g.router.visit(m.Dest, func(s *topicSub) {
		if s.offer(&g.encoder, &g.wakes) {
			g.delivered++
		}
	})
}

func (g *Gateway) deliver(e *broker.Effect) {
	if e.Incarnation != g.node.Incarnation() {
		return
	}
	if s := g.queues.get(e.Sub); s != nil {
		s.deliver(e, &g.encoder, &g.wakes)
		g.delivered++
	}
}

// note counts and announces the effects that concern no delivery.
func (g *Gateway) note(e *broker.Effect) {
	switch e.Kind {
	case broker.EffectDeadLettered:
		g.stats.DeadLettered.Add(1)
	case broker.EffectExpired:
		g.stats.Expired.Add(uint64(max(e.Count, 1)))
	case broker.EffectDropped:
		g.stats.Dropped.Add(uint64(max(e.Count, 1)))
	case broker.EffectStaleSettle:
		g.stats.StaleAcks.Add(1)
	case broker.EffectSessionOpened:
		g.presence("opened", e)
	case broker.EffectSessionClosed:
		g.presence("closed", e)
	case broker.EffectPolicyChanged:
		g.policiesChanged()
	}
}

// Flush implements cluster.Performer: the end of a batch.
func (g *Gateway) Flush() {
	g.performed()
	g.wakes.wake()
	if g.delivered > 0 {
		g.stats.Delivered.Add(g.delivered)
		g.delivered = 0
	}
}

// refused turns the fold's refusal into the client's ERROR.
func refused(r broker.Refusal) *stomp.ProtocolError {
	switch r {
	case broker.RefusedQueueFull:
		return &stomp.ProtocolError{
			Code: stomp.CodeQueueFull, Severity: stomp.Refused, Message: "the queue is full",
			Detail: "The queue holds as many messages as its policy allows (max-depth). Send again when consumers have caught up.",
		}
	case broker.RefusedDeliveryGone:
		return deliveryGone()
	case broker.RefusedTooLarge:
		return &stomp.ProtocolError{
			Code: stomp.CodeTransactionTooLarge, Severity: stomp.Refused, Message: "too large",
			Detail: "The command is larger than the broker's limits allow.",
		}
	}
	return &stomp.ProtocolError{
		Code: stomp.CodeInternalError, Severity: stomp.Refused, Message: "refused: " + r.String(),
		Detail: "The broker refused the command: " + r.String() + ".",
	}
}
