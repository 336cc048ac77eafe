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
		owner.took(refusal)
		g.answerSession(owner.link, t, refusal)
	case *publication:
		owner.done <- publishOutcome{seq: seq, refusal: refusal}
	case *confirmation:
		owner.told <- true
	}
}

func (g *Gateway) answerSession(l *link, t cluster.Ticket, refusal broker.Refusal) {
	value, begun := unpackAux(t.Aux)
	switch {
	case refusal != broker.RefusedNone:
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
		g.stats.Processing.observe(age(g.ticks(), begun))
	}
	if t.Kind == ticketSubscribe {
		value = 0 // its number: its size was not counted
	}
	g.answers = append(g.answers, answer{l, value})
}

// Unanswered implements cluster.Performer: tells the session that its command has no outcome. Neither answer ends a session.
func (g *Gateway) Unanswered(t cluster.Ticket, inDoubt bool) {
	err := noQuorum()
	if inDoubt {
		err = outcomeUnknown()
	}
	switch owner := t.Owner.(type) {
	case *link:
		g.unansweredSession(owner, t, err)
	case *commit:
		g.unansweredSession(owner.link, t, err)
	case *publication:
		owner.done <- publishOutcome{err: err}
	case *confirmation:
		owner.told <- false
	}
}

func (g *Gateway) unansweredSession(l *link, t cluster.Ticket, err *stomp.ProtocolError) {
	value, _ := unpackAux(t.Aux)
	if t.Kind == ticketSubscribe {
		if err.Code == stomp.CodeNoQuorum {
			g.refuseSubscription(value)
		}
		value = 0 // its number: its size was not counted
	}
	l.session.Error(err, t.Tag)
	g.answers = append(g.answers, answer{l, value})
}

// Evicted implements cluster.Performer: every session of the node has to go on elsewhere, or anew. New ones are refused until the next
// incarnation begins.
func (g *Gateway) Evicted() {
	g.linksMu.Lock()
	incarnation := g.node.Incarnation()
	g.evicted = incarnation
	links := make([]*link, 0, len(g.links))
	for l := range g.links {
		links = append(links, l)
	}
	g.linksMu.Unlock()
	go resumeElsewhere(links) // the fold does not wait for ten thousand sessions
	g.policiesChanged()       // a state that was taken over may have others, and no event told of them
}

// resumeElsewhere closes sessions of an incarnation that has ended.
func resumeElsewhere(links []*link) {
	for _, l := range links {
		l.session.Error(elsewhere(), "")
	}
}

// enter notes a session, unless the incarnation that it would belong to has ended.
func (g *Gateway) enter(l *link) bool {
	g.linksMu.Lock()
	defer g.linksMu.Unlock()
	l.incarnation = g.node.Incarnation()
	if l.incarnation == g.evicted {
		return false
	}
	g.links[l] = struct{}{}
	return true
}

func (g *Gateway) leave(l *link) {
	g.linksMu.Lock()
	delete(g.links, l)
	g.linksMu.Unlock()
}

// answer is an outcome that its session does not count yet: who waits for the outcome of a message may rely on it that
// the subscribers were given the message.
type answer struct {
	link *link
	size uint64
}

// performed tells how far all subscriptions are, and counts the answers of what was performed.
func (g *Gateway) performed() {
	applied := uint64(g.node.Applied())
	g.pushed.Store(applied)
	g.releaseHeld(broker.Seq(applied))
	for i, a := range g.answers {
		a.link.answeredSeq.Store(applied)
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
			if !e.Message.Kind.IsQueue() {
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

// publish gives a logged message to the subscriptions of this node that want it; before it what waits for a place before its own, which its session
// may have sent before.
func (g *Gateway) publish(m *broker.Message) {
	g.releaseHeld(m.Seq - 1)
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
	case broker.EffectNodeStarted:
		g.nodeEvent("joined", e.Node.String())
	case broker.EffectNodeLost:
		g.nodeEvent("lost", e.Node.String())
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

func noQuorum() *stomp.ProtocolError {
	return &stomp.ProtocolError{
		Code: stomp.CodeNoQuorum, Severity: stomp.Transient, Message: "the cluster has no majority",
		Detail: "No leader was found in time. The command did not take effect and will not; send it again later.",
	}
}

func outcomeUnknown() *stomp.ProtocolError {
	return &stomp.ProtocolError{
		Code: stomp.CodeOutcomeUnknown, Severity: stomp.Transient, Message: "the outcome is not known",
		Detail: "The command was on its way when the cluster lost its majority, or this node its place. It may or may not take effect; " +
			"repeat it in a way that does no harm if it did.",
	}
}

func elsewhere() *stomp.ProtocolError {
	return &stomp.ProtocolError{
		Code: stomp.CodeResumeElsewhere, Severity: stomp.Fatal, Message: "the node lost its place in the cluster",
		Detail: "The cluster gave this node up while it was silent. Connect again, to any node, and resume after the last message-id.",
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
	case broker.RefusedExclusive:
		return &stomp.ProtocolError{
			Code: stomp.CodeExclusiveQueue, Severity: stomp.Refused, Message: "the queue is another session's",
			Detail: "The queue was made for one session of a user and goes with it; only that session may subscribe to it.",
		}
	case broker.RefusedUnknownSubscription:
		return &stomp.ProtocolError{
			Code: stomp.CodeUnknownSubscription, Severity: stomp.Refused, Message: "there is no such subscription",
			Detail: "The subscription was refused, or has ended before.",
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
