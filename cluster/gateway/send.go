package gateway

import (
	"maps"
	"time"
	"unicode/utf8"

	"stampede/broker"
	"stampede/cluster"
	"stampede/stomp"
)

// This file is SEND: into the log, or, with persistent:false on a topic, past it.

// Send implements server.Link.
func (l *link) Send(f *stomp.Frame) *stomp.ProtocolError {
	l.received++
	a, transient, err := l.prepare(f)
	if err != nil {
		return err
	}
	receipt := f.Value("receipt")
	if transient {
		l.publishUnlogged(receipt)
		return nil
	}
	l.awaitTrail(a.dest)
	l.lastLogged(a.dest)
	l.propose(broker.MessageSent{Message: &l.sender.message}, cluster.Ticket{Kind: ticketSend, Tag: receipt})
	return nil
}

// sender is what a session that publishes needs besides; a session that only listens has none.
type sender struct {
	message  broker.Message // the SEND at hand; points into its frame and into headers
	headers  []byte
	sentTo   string                // destination of the last SEND, as written
	address  address               // and what it means
	encoder  encoder               // of unlogged messages
	unlogged uint64                // deliveries of unlogged messages not counted yet
	loggedTo string                // destination of the last logged SEND
	logged   loggedMark            // and where it stands
	loggedBy map[string]loggedMark // the same for others before it; nil until there are two
	floor    broker.Seq            // stands for those that loggedBy has forgotten
	trails   *trails               // of unlogged messages; nil until the first
}

// loggedMark says of a session's last logged message to a destination how many commands have to be answered for it to be, and, once it is,
// a place in the log at or after its own.
type loggedMark struct {
	at  uint64
	seq broker.Seq
}

// rest lets go of what one read of the socket has left behind.
func (o *sender) rest(g *Gateway) {
	if o.unlogged > 0 {
		g.stats.Delivered.Add(o.unlogged)
		o.unlogged = 0
	}
	if cap(o.headers) > submitBytes {
		o.headers = nil
	}
	o.message = broker.Message{}
}

// prepare reads a SEND into l.sender.message.
func (l *link) prepare(f *stomp.Frame) (a *address, transient bool, err *stomp.ProtocolError) {
	if l.sender == nil {
		l.sender = new(sender)
	}
	o := l.sender
	a, err = l.resolve(f)
	if err != nil {
		return nil, false, err
	}
	var t travelling
	o.headers, t, err = l.gateway.sendHeaders(o.headers[:0], f)
	if err != nil {
		return nil, false, err
	}
	o.message = broker.Message{
		Kind: springKind(a, f), Dest: a.dest, As: a.as, User: a.user, Node: l.gateway.self, Session: l.number,
		ExpiresAt: t.expiresAt, Headers: o.headers, Body: f.Body,
		Text: utf8.Valid(f.Body) && utf8.Valid(o.headers),
	}
	return a, a.kind == broker.KindTopic && (t.transient || !a.logged), nil
}

// resolve gives the address of a SEND; a publisher mostly sends to the destination that it sent to before.
func (l *link) resolve(f *stomp.Frame) (*address, *stomp.ProtocolError) {
	written, _ := f.Get("destination")
	o := l.sender
	if o.address.kind != 0 && string(written) == o.sentTo && o.address.policies == l.gateway.policyCount.Load() {
		return &o.address, nil
	}
	a, err := parseSend(string(written))
	if err != nil {
		return nil, err
	}
	if a.kind == broker.KindTopic {
		a.logged, a.policies = l.gateway.logged(a.dest)
	}
	o.address, o.sentTo = a, string(written)
	return &o.address, nil
}

// stalledWait is how long a publisher of unlogged messages waits for the subscribers whose outboxes are full before the
// message is dropped for them (contract: what is promised, 8).
const stalledWait = time.Second

// lastLogged remembers that the session has a logged message on the way to a destination: its unlogged ones to the
// same destination must not overtake it, on any node.
func (l *link) lastLogged(dest string) {
	o := l.sender
	if o.loggedTo != dest && o.logged.at > 0 {
		if o.loggedBy == nil {
			o.loggedBy = map[string]loggedMark{}
		}
		if len(o.loggedBy) > 2*sessionCommandsMax { // at most sessionCommandsMax of them can wait
			answered := l.answered.Load()
			o.floor = broker.Seq(l.answeredSeq.Load())
			maps.DeleteFunc(o.loggedBy, func(_ string, m loggedMark) bool { return m.at <= answered })
		}
		o.loggedBy[o.loggedTo] = o.logged
	}
	o.loggedTo, o.logged = dest, loggedMark{at: l.proposed + 1}
}

// after gives the place in the log that a subscriber must have been given everything up to before it is given an unlogged message of this
// session to a destination. It blocks until the session's own logged messages there have their outcome; not ok says that the session was over
// before they had it.
func (l *link) after(dest string) (_ broker.Seq, ok bool) {
	o := l.sender
	mark, last := o.logged, dest == o.loggedTo
	if !last {
		mark = o.loggedBy[dest]
	}
	if mark.at == 0 {
		return o.floor, true
	}
	if l.answered.Load() < mark.at {
		l.awaitAnswers()
		if l.answered.Load() < mark.at {
			return 0, false
		}
	}
	if mark.seq == 0 {
		mark.seq = broker.Seq(l.answeredSeq.Load())
		if last {
			o.logged = mark
		} else {
			o.loggedBy[dest] = mark
		}
	}
	return mark.seq, true
}

// publishUnlogged routes the SEND at hand to the nodes whose subscribers want it and to this node's subscribers, in this order: it may wait for the
// latter, and who goes to another node meanwhile must not find it there again. It runs on the reading goroutine. What would overtake a logged message that still waits when the session is over goes nowhere.
func (l *link) publishUnlogged(receipt string) {
	o := l.sender
	g := l.gateway
	after, ok := l.after(o.message.Dest)
	if !ok {
		g.stats.Dropped.Add(1)
		return
	}
	m := &o.message
	m.At = g.nowInstant()
	known := g.node.Interest() // who comes to this node meanwhile likewise
	if o.trails == nil {
		o.trails = &trails{}
	}
	g.node.SendUnlogged(m, after, l.patience, o.trails.to(m.Dest))
	o.unlogged += g.publishUnlogged(m, &o.encoder, l, &l.wakes, known)
	l.receipt(receipt)
}

// everybody is above the number of every subscription.
const everybody = ^uint64(0)

// publishUnlogged gives a message to every subscription of this node that wants it, and tells to how many.
// from is the publishing session, nil for the broker's own and for those of other nodes: only a session waits for full outboxes. Subscriptions
// with a number above known are left out.
func (g *Gateway) publishUnlogged(m *broker.Message, e *encoder, from *link, wakes *wakeList, known uint64) (delivered uint64) {
	pushed := broker.Seq(g.pushed.Load())
	place := pushed // in the id that is encoded: who resumes after it misses nothing, and is given nothing again
	e.reset(m, g.unloggedID(place))
	var full []*topicSub
	g.router.visit(m.Dest, func(s *topicSub) {
		switch {
		case s.closed.Load() || s.told > known || (s.noLocal && s.link.sent(m)):
		case s.lagging.Load():
			if !s.isParked() { // before its receipt nothing is promised
				g.drop(s)
			}
		case broker.Seq(s.from.Load()) > pushed+1:
			g.drop(s) // it waits for this node's log to reach where it was elsewhere: the message's id is of a place before that
		case s.link.session.Full():
			full = append(full, s)
		default:
			s.stalled.Store(false)
			s.giving.Lock()
			if given := max(pushed, s.given); given != place { // in the middle of an event
				place = given
				e.reset(m, g.unloggedID(place))
			}
			s.write(e, wakes)
			s.giving.Unlock()
			delivered++
		}
	})
	var until time.Time // for all of them together
	for _, s := range full {
		if until.IsZero() {
			until = time.Now().Add(stalledWait)
		}
		if from == nil || s.closed.Load() || !from.awaitSpace(s, until) || s.closed.Load() || s.lagging.Load() {
			g.drop(s)
			continue
		}
		s.giving.Lock()
		e.reset(m, g.unloggedID(max(broker.Seq(g.pushed.Load()), s.given))) // it was given more while it was waited for
		s.write(e, wakes)
		s.giving.Unlock()
		delivered++
	}
	return delivered
}

func (g *Gateway) drop(s *topicSub) {
	s.dropped.Add(1)
	g.stats.Dropped.Add(1)
}

// awaitSpace waits until a moment for space in a subscriber's outbox. Who was waited for in vain is not waited for
// again before it has had space: one dead subscriber costs a publisher one second, not one a message.
func (l *link) awaitSpace(s *topicSub, until time.Time) bool {
	if s.stalled.Load() && s.link.session.Full() {
		return false
	}
	s.link.session.Wake()
	ok := l.stall(s.link.session.AwaitSpace, time.Until(until))
	s.stalled.Store(!ok)
	return ok
}

// patience waits for room on the link to another node, with the same bounds.
func (l *link) patience(to *cluster.MeshLink) bool {
	if to.Stalled.Load() && to.Full() {
		return false
	}
	ok := l.stall(to.AwaitRoom, stalledWait)
	to.Stalled.Store(!ok)
	return ok
}

// stall waits for room somewhere, and says meanwhile what the session has said before.
func (l *link) stall(await func(time.Duration) bool, most time.Duration) bool {
	l.submit()
	l.wakeAll()
	l.session.PauseHeartBeat(true)
	defer l.session.PauseHeartBeat(false)
	return await(most)
}
