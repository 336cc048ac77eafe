package gateway

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"stampede/broker"
	"stampede/cluster"
	"stampede/stomp"
	"stampede/stomp/server"
)

// This file is one session's way into the broker: what it has waiting for the log, and what it owns.

// A session may have this much waiting for the log; beyond it its socket is not read until answers come, and its
// heart-beat deadline stands still (contract: what is promised, 9).
const (
	sessionCommandsMax = 1000
	sessionBytesMax    = 1 << 20
)

// Kinds of tickets: what an outcome answers.
const (
	_                 uint8 = iota // nobody waits for it
	ticketSend                     // SEND, ACK, NACK or COMMIT
	ticketSubscribe                // the SUBSCRIBE of the subscription whose number is in Aux
	ticketUnsubscribe              // UNSUBSCRIBE
	ticketPublish                  // Gateway.Publish
)

// link implements server.Link.
type link struct {
	gateway *Gateway
	session *server.Session
	version stomp.Version
	number  uint64 // the session's, in facts
	user    string

	incarnation uint64 // of the node when the session opened

	// Of the reading goroutine.
	collected *collection          // commands not submitted yet; nil when there are none
	sender    *sender              // nil until the first SEND
	wakes     wakeList             // sessions that its unlogged messages and receipts reached
	topics    map[string]*topicSub // by the client's subscription id; nil until there is one
	queues    map[string]*queueSub // likewise
	numbers   map[uint64]string    // subscription numbers to ids, of those whose deliveries are acked; nil until there is one
	submitted bool                 // the fold may know of the session
	proposed  uint64               // commands submitted or collected that somebody waits for
	bytes     uint64               // their bytes
	received  uint64               // frames not counted yet in the statistics

	// Between goroutines.
	answered      atomic.Uint64
	answeredBytes atomic.Uint64
	answeredSeq   atomic.Uint64 // a place at or after that of the last command answered
	confirming    atomic.Int64  // SUBSCRIBEs whose receipt waits for other nodes
	unread        atomic.Uint64 // bytes of receipts written while the outbox was full
	blocked       atomic.Bool
	unblock       chan struct{} // capacity 1
	coverable     atomic.Bool   // covers is not empty

	mu      sync.Mutex
	marks   []mark      // deliveries in the outbox, in order; guarded by mu
	covers  []mark      // user messages that the socket took; guarded by mu
	lag     []*topicSub // lagging subscriptions; guarded by mu
	waiting []*queueSub // queue subscriptions with pending deliveries; guarded by mu
}

var _ server.Link = (*link)(nil)

// mark says which delivery the outbox's position end completes.
type mark struct {
	end  uint64
	sub  uint64
	tag  uint64
	seq  broker.Seq
	user bool
}

// sent tells whether this session sent a message.
func (l *link) sent(m *broker.Message) bool {
	return m.Session == l.number && m.Node == l.gateway.self
}

// collection is what a session has read from its socket and not submitted yet; pooled, so that an idle session has none.
type collection struct {
	facts   []byte
	tickets []cluster.Ticket
	begun   int64 // when the first of it came, in gateway ticks
}

// propose collects one fact with its ticket.
func (l *link) propose(f broker.Fact, t cluster.Ticket) {
	c, size := l.collect(f)
	if t.Kind != ticketSubscribe { // a SUBSCRIBE's ticket has no room for its size, which is small
		t.Aux = min(uint64(size), auxMask)
		l.bytes += t.Aux
	}
	if t.Owner == nil {
		t.Owner = l
	}
	if mutantReceipt && t.Kind == ticketSend && t.Tag != "" {
		l.receipt(t.Tag)
		t.Tag = ""
	}
	t.Aux = packAux(t.Aux, c.begun)
	c.tickets = append(c.tickets, t)
	l.proposed++
	if l.waitingCommands() > sessionCommandsMax || l.waitingBytes() >= sessionBytesMax || len(c.facts) >= submitBytes {
		l.submit()
		l.awaitRoom()
	}
	l.awaitReader()
}

// tell collects one fact that nobody waits for: it says what has happened, and stays in line as long as it takes.
func (l *link) tell(f broker.Fact) {
	c, _ := l.collect(f)
	c.tickets = append(c.tickets, lastingTicket)
	if len(c.facts) >= submitBytes {
		l.submit()
	}
}

// lastingTicket is that of a fact that nobody waits for.
var lastingTicket = cluster.Ticket{Lasting: true}

// collect puts a fact among those that go to the node together.
func (l *link) collect(f broker.Fact) (c *collection, size int) {
	if c = l.collected; c == nil {
		c = l.gateway.collections.Get().(*collection)
		c.begun = l.gateway.ticks()
		l.collected = c
	}
	before := len(c.facts)
	c.facts = broker.AppendFact(c.facts, f)
	return c, len(c.facts) - before
}

// submitBytes is how much a session collects before it submits although its socket has more.
const submitBytes = 64 << 10

func (l *link) waitingCommands() uint64 { return waiting(l.proposed, l.answered.Load()) }
func (l *link) waitingBytes() uint64    { return waiting(l.bytes, l.answeredBytes.Load()) }

// waiting is what has no answer yet. There may be more answers than that: of commands that notSubmitted gave up, whose own came behind.
func waiting(all, answered uint64) uint64 {
	if answered > all {
		return 0
	}
	return all - answered
}

// submit hands what was collected to the node.
func (l *link) submit() {
	c := l.collected
	if c == nil {
		return
	}
	l.collected, l.submitted = nil, true
	l.session.PauseHeartBeat(true) // it may block while the log takes nothing
	err := l.gateway.node.SubmitAs(untilGone{l.session.Gone()}, l.incarnation, c.facts, c.tickets)
	l.session.PauseHeartBeat(false)
	if err != nil {
		l.notSubmitted(err, c.tickets)
	}
	if cap(c.facts) > 2*submitBytes {
		return // a rare large one is not kept
	}
	clear(c.tickets)
	c.tickets, c.facts = c.tickets[:0], c.facts[:0]
	l.gateway.collections.Put(c)
}

// untilGone is the context of what a session waits for: it ends when its connection was closed by force.
type untilGone struct{ gone <-chan struct{} }

func (untilGone) Deadline() (time.Time, bool) { return time.Time{}, false }
func (untilGone) Value(any) any               { return nil }
func (c untilGone) Done() <-chan struct{}     { return c.gone }

func (c untilGone) Err() error {
	select {
	case <-c.gone:
		return context.Canceled
	default:
		return nil
	}
}

// notSubmitted answers commands that the node did not take. All but the want of a leader ends the session.
func (l *link) notSubmitted(err error, tickets []cluster.Ticket) {
	if !errors.Is(err, cluster.ErrNoQuorum) {
		l.session.Error(notTaken(err), "")
		l.answered.Store(l.proposed)
		l.answeredBytes.Store(l.bytes)
		return
	}
	for _, t := range tickets {
		size, _ := unpackAux(t.Aux)
		if t.Kind == ticketSubscribe {
			l.gateway.refuseSubscription(size)
			size = 0
		}
		l.session.Error(noQuorum(), t.Tag)
		l.answer(size)
	}
}

func notTaken(err error) *stomp.ProtocolError {
	if errors.Is(err, cluster.ErrEvicted) {
		return elsewhere()
	}
	return stopping()
}

// unreadBytesMax bounds the receipts that a session is given beyond a full outbox; then its socket is not read until it
// reads.
const unreadBytesMax = 256 << 10

// receipt writes a RECEIPT; on the reading goroutine.
func (l *link) receipt(id string) {
	if id == "" {
		return
	}
	if l.writeReceipt(id) {
		l.wakes.add(l.session)
	}
	l.awaitReader()
}

// writeReceipt writes a RECEIPT and tells whether the session has to be woken; on any goroutine.
func (l *link) writeReceipt(id string) (wake bool) {
	if l.session.Full() {
		l.unread.Add(uint64(len("RECEIPT\nreceipt-id:\n\n") + len(id)))
	}
	return l.session.Receipt(id)
}

// awaitReader blocks the reading goroutine while the client sends without reading its receipts.
func (l *link) awaitReader() {
	if l.unread.Load() < unreadBytesMax {
		return
	}
	l.submit()
	l.wakeAll()
	l.session.PauseHeartBeat(true)
	defer l.session.PauseHeartBeat(false)
	for !l.session.AwaitSpace(time.Second) {
		select {
		case <-l.session.Gone():
			return
		case <-l.gateway.node.Done():
			return
		default:
		}
	}
	l.unread.Store(0)
}

// awaitRoom blocks the reading goroutine while the session has too much waiting: other frames pass beside sessionCommandsMax, not beside one more.
func (l *link) awaitRoom() {
	l.await(func() bool { return l.waitingCommands() <= sessionCommandsMax && l.waitingBytes() < sessionBytesMax })
}

// awaitAnswers blocks the reading goroutine until everything that the session sent was answered.
func (l *link) awaitAnswers() {
	l.submit()
	l.await(func() bool { return l.waitingCommands() == 0 && l.confirming.Load() == 0 })
}

func (l *link) await(enough func() bool) {
	if enough() {
		return
	}
	l.wakeAll()
	l.session.PauseHeartBeat(true)
	defer l.session.PauseHeartBeat(false)
	for {
		l.blocked.Store(true)
		if enough() {
			l.blocked.Store(false)
			return
		}
		select {
		case <-l.unblock:
		case <-l.session.Gone():
			return
		case <-l.gateway.node.Done():
			return
		}
	}
}

// answer counts an outcome; on the fold's goroutine.
func (l *link) answer(size uint64) {
	l.answeredBytes.Add(size)
	l.answered.Add(1)
	l.goOn()
}

// goOn lets a reading goroutine that waits look again.
func (l *link) goOn() {
	if l.blocked.Load() {
		l.blocked.Store(false)
		select {
		case l.unblock <- struct{}{}:
		default:
		}
	}
}

// Flush submits what the socket's last read brought and starts the writers of those it reached.
func (l *link) Flush() {
	l.submit()
	l.wakeAll()
	if l.received > 0 {
		l.gateway.stats.Received.Add(l.received)
		l.received = 0
	}
	if l.sender != nil {
		l.sender.rest(l.gateway)
	}
}

func (l *link) wakeAll() { l.wakes.wake() }

// Heard reports as covered what user subscriptions were given and the socket took: the client lives.
func (l *link) Heard() {
	if !l.coverable.Load() {
		return
	}
	l.mu.Lock()
	covers := l.covers
	l.covers = nil
	l.coverable.Store(false)
	l.mu.Unlock()
	for _, c := range covers {
		l.cover(c.sub, c.seq)
	}
}

func (l *link) cover(sub uint64, upTo broker.Seq) {
	l.tell(broker.UserCovered{Sub: sub, UpTo: upTo})
}

// give writes one delivery and remembers it until the socket took it. Both happen under one lock: the writing goroutine
// may take the bytes at once.
func (l *link) give(head, tail []byte, text, shared bool, m mark) (wake bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.end, wake = l.session.Write(head, tail, text, shared)
	l.marks = append(l.marks, m)
	return wake
}

// Written settles the auto deliveries that the socket took; on the writing goroutine.
func (l *link) Written(end uint64) {
	l.mu.Lock()
	n := 0
	for n < len(l.marks) && l.marks[n].end <= end {
		n++
	}
	taken := append([]mark(nil), l.marks[:n]...)
	l.marks = l.marks[:copy(l.marks, l.marks[n:])]
	l.mu.Unlock()
	if n == 0 {
		return
	}
	var facts []byte
	tickets := make([]cluster.Ticket, 0, 1)
	for i, m := range taken {
		if i+1 < len(taken) && taken[i+1].sub == m.sub {
			continue // the later one settles this one too
		}
		if m.user {
			l.addCover(m)
			continue
		}
		facts = broker.AppendFact(facts, broker.DeliverySettled{Sub: m.sub, To: m.tag, Outcome: broker.Taken})
		tickets = append(tickets, lastingTicket)
	}
	if len(tickets) > 0 {
		// An error says that the node stops or was given up: the deliveries stay unsettled and come again.
		_ = l.gateway.node.SubmitAs(context.Background(), l.incarnation, facts, tickets)
	}
}

func (l *link) addCover(m mark) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.coverable.Store(true)
	for i := range l.covers {
		if l.covers[i].sub == m.sub {
			l.covers[i].seq = m.seq
			return
		}
	}
	l.covers = append(l.covers, m)
}

// Disconnect answers everything before, then the DISCONNECT, then ends the session.
func (l *link) Disconnect(receipt string) {
	l.awaitAnswers()
	l.wakeAll()
	if receipt != "" {
		l.session.Receipt(receipt)
	}
	l.session.Finish()
}

// Close forgets the session here and tells the fold, unless it never heard of it.
func (l *link) Close() {
	l.gateway.forget(l)
	if c := l.collected; !l.submitted && (c == nil || len(c.tickets) == 1) {
		return
	}
	l.tell(broker.SessionClosed{Session: l.number})
	l.submit() // an error says that the node stops or was given up: the start of its next incarnation closes the session
	l.wakeAll()
}
