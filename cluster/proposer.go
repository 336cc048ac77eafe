package cluster

// This file holds the proposer: what is submitted becomes Raft entries, in order, and stays until the fold answered it.

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"stampede/broker"
)

// Refusals of a submission.
var (
	// ErrNoQuorum says that no leader is known and that as much as may wait for one does already: nothing was taken.
	ErrNoQuorum = errors.New("no leader, and too much waits for one")
	// ErrEvicted says that the incarnation under which the submission was made has ended: nothing was taken.
	ErrEvicted = errors.New("incarnation of this node has ended")
	// ErrStopped says that the node has stopped: what waits without outcome may or may not be in the log.
	ErrStopped = errors.New("node stopped")
	// ErrTooLarge says that one submission is larger than an entry of the log may be.
	ErrTooLarge = errors.New("submission is larger than an entry may be")
)

const (
	batchBytesMin   = 4 << 10         // the first size of the buffer of an entry that gathers
	entrySlackMax   = 256             // bytes, beside a quarter, that an entry's buffer may have unused: they stay as long as its messages are in the ring
	batchesIdleMax  = 64              // ticket lists kept for reuse; more are left to the collector
	ticketsIdleMax  = 8192            // a longer list is not kept: a rare burst must not hold memory for ever
	proposalOldTime = time.Second / 4 // an entry that is not committed after this is asked what became of it
	batchAgeMax     = time.Second / 2 // between the first and the last fact of a batch that gathers without a route
)

// batch is one Raft entry in the making, and on its way: the facts, and the tickets that wait for their outcomes.
type batch struct {
	entry   []byte // entryHeadBytes to be filled, then the facts; not changed any more once it was carried
	tickets []Ticket
	firstN  uint64
	count   uint32
	pending int64 // bytes to give back to the pending limit when it was folded
	silent  bool  // nobody waits for an outcome: the node's own fact, or all were told that it is in doubt
	begun   time.Duration
	sent    time.Duration
	carried bool    // a route has had it, so that it may be in the log
	outcome outcome // nil where the route tells of a loss by its own end
	asked   bool    // somebody waits for outcome
}

func (b *batch) lastN() uint64 { return b.firstN + uint64(b.count) - 1 }

// outcome is what became of one proposal: nil once it was committed and folded, else the reason why that is not known.
type outcome interface{ Error() error }

// route takes this node's batches to the leader: into its own Raft, or over a stream.
type route interface {
	// carry takes an entry whose envelope is filled in, and not its header; they arrive in the order of the calls, or not at all and none
	// of those after it. It must not block for the disk or the network, and may change the header only. The outcome may be nil: then the end of the route tells
	// that something was lost.
	carry(entry []byte) outcome
}

// proposer gathers submissions and gives them to the route. Nothing waits for a timer while nothing is on its way: the submission itself
// is carried. While an entry is on its way facts gather, until this node learns that it is committed (the fold's goroutine then sends what has
// gathered), they fill an entry, or delayMax has passed. A batch leaves unfolded only when the fold has met its facts in the log; on a new route
// what is left is carried again, in order, and the fold drops what it had already seen.
//
// Goroutines: none of its own; Node runs runDelays.
type proposer struct {
	batchBytesMax int
	delayMax      time.Duration
	inFlightMax   int
	pendingMax    int64
	node          broker.NodeID
	incarnation   uint64
	uptime        func() time.Duration
	mayPropose    func() bool // false while the store has too much to write

	pending *semaphore.Weighted // bytes submitted and not folded

	mu        sync.Mutex // guards all below
	open      []*batch   // not proposed; all but the last are full
	unfolded  []*batch   // proposed, oldest first; the first committed of them are known to be in the log
	committed int        // how many of unfolded
	idle      []*batch   // for reuse
	nextN     uint64
	sizeHint  int           // of the entry before: the next one will be like it
	route     route         // nil while no leader is known
	evicted   bool          // the incarnation has ended and the next one has not begun: nothing is taken
	draining  bool          // nothing more is taken
	drained   chan struct{} // closed when draining and all is folded
	stopped   bool          // nothing more is proposed
	delay     *time.Timer   // fires delayMax after facts began to gather behind an entry on its way
}

func newProposer(cfg Config, id identity) *proposer {
	p := &proposer{
		batchBytesMax: cfg.BatchBytesMax, delayMax: cfg.BatchDelayMax, inFlightMax: cfg.EntriesInFlightMax,
		pendingMax: cfg.PendingBytesMax, pending: semaphore.NewWeighted(cfg.PendingBytesMax),
		node: id.node, incarnation: id.Incarnation, nextN: 1, sizeHint: batchBytesMin,
		delay: time.NewTimer(time.Hour),
	}
	p.delay.Stop()
	return p
}

// announce puts the node's own first fact before all that is submitted.
func (p *proposer) announce(facts []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.announceLocked(facts)
}

func (p *proposer) announceLocked(facts []byte) {
	b := p.newBatchLocked(len(facts))
	b.silent, b.count = true, 1
	b.entry = append(b.entry, facts...)
	p.nextN++
	p.open = append(p.open, b)
}

// submit takes facts and their tickets, one each, and copies both. It blocks while too much waits for its outcome and a leader is known.
func (p *proposer) submit(ctx context.Context, incarnation uint64, facts []byte, tickets []Ticket) error {
	if len(tickets) == 0 {
		return nil
	}
	if len(facts) > entryBytesMax-entryHeadBytes {
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, len(facts))
	}
	weight, err := p.acquire(ctx, len(facts), tickets)
	if err != nil {
		return err
	}
	p.mu.Lock()
	if err := p.refusalLocked(incarnation); err != nil {
		p.mu.Unlock()
		p.pending.Release(weight)
		return err
	}
	b := p.openBatchLocked(len(facts))
	b.entry = append(b.entry, facts...)
	b.tickets = append(b.tickets, tickets...)
	b.count += uint32(len(tickets))
	b.pending += weight
	p.nextN += uint64(len(tickets))
	p.proposeLocked(false)
	p.mu.Unlock()
	return nil
}

// acquire counts a submission among what waits. Lasting facts are taken in any case: they are few, and what they tell has happened.
func (p *proposer) acquire(ctx context.Context, bytes int, tickets []Ticket) (weight int64, err error) {
	weight = min(int64(bytes), p.pendingMax) // one that is larger than the limit goes alone
	if p.pending.TryAcquire(weight) {
		return weight, nil
	}
	for i := range tickets {
		if tickets[i].Lasting {
			return 0, nil
		}
	}
	for {
		if p.stuck() {
			return 0, ErrNoQuorum
		}
		patient, cancel := context.WithTimeout(ctx, answerWait) // the leader may be lost while it waits
		err := p.pending.Acquire(patient, weight)
		cancel()
		if err == nil {
			return weight, nil
		}
		if ctx.Err() != nil {
			return 0, fmt.Errorf("wait for earlier commands: %w", err)
		}
	}
}

// stuck tells whether nothing makes room, since no leader is known.
func (p *proposer) stuck() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.route == nil && !p.stopped
}

// refusalLocked says why nothing may be submitted for an incarnation.
func (p *proposer) refusalLocked(incarnation uint64) error {
	switch {
	case p.draining || p.stopped:
		return ErrStopped
	case p.evicted || incarnation != p.incarnation:
		return ErrEvicted
	}
	return nil
}

// openBatchLocked returns the batch that takes the next facts. Without a route a batch is closed after a while, so that its facts are of an age.
func (p *proposer) openBatchLocked(bytes int) *batch {
	if n := len(p.open); n > 0 {
		b := p.open[n-1]
		old := p.route == nil && p.uptime()-b.begun > batchAgeMax
		if !b.silent && !old && len(b.entry)-entryHeadBytes+bytes <= p.batchBytesMax {
			return b
		}
	}
	b := p.newBatchLocked(bytes)
	p.open = append(p.open, b)
	if p.onTheWayLocked() > 0 {
		p.delay.Reset(p.delayMax)
	}
	return b
}

// onTheWayLocked is how many entries are proposed and not known to be committed.
func (p *proposer) onTheWayLocked() int { return len(p.unfolded) - p.committed }

func (p *proposer) newBatchLocked(bytes int) *batch {
	b := new(batch)
	if n := len(p.idle); n > 0 {
		b, p.idle = p.idle[n-1], p.idle[:n-1]
	}
	// The buffer is not reused: messages in the ring are views of it. What is proposed at once needs no room for more.
	if p.onTheWayLocked() > 0 {
		bytes = max(bytes, p.sizeHint)
	}
	b.entry = make([]byte, entryHeadBytes, entryHeadBytes+bytes)
	b.firstN, b.begun = p.nextN, p.uptime()
	return b
}

// proposeLocked sends what may go: all that fits when nothing is on its way or force is set, else only full batches.
func (p *proposer) proposeLocked(force bool) {
	for p.route != nil && !p.stopped && len(p.open) > 0 {
		onTheWay := p.onTheWayLocked()
		full := len(p.open) > 1
		if onTheWay >= p.inFlightMax || (onTheWay > 0 && !full && !force) {
			return
		}
		if !p.mayPropose() {
			p.delay.Reset(p.delayMax)
			return
		}
		b := p.open[0]
		n := copy(p.open, p.open[1:])
		p.open[n] = nil
		p.open = p.open[:n]
		p.sendLocked(b)
		p.unfolded = append(p.unfolded, b)
	}
}

// sendLocked fills in a batch's envelope and gives it to the route.
func (p *proposer) sendLocked(b *batch) {
	if b.carried || cap(b.entry)-len(b.entry) > len(b.entry)/4+entrySlackMax {
		b.entry = append(make([]byte, 0, len(b.entry)), b.entry...) // the route before may hold its bytes still; the ring would hold the unused ones
	}
	putEnvelopeHead(b.entry, envelope{node: p.node, incarnation: p.incarnation, firstN: b.firstN, count: b.count})
	p.sizeHint = min(max(len(b.entry)+len(b.entry)/4, batchBytesMin), p.batchBytesMax)
	b.sent = p.uptime()
	b.asked, b.carried = false, true
	b.outcome = p.route.carry(b.entry)
}

// connect gives the proposer a way to the leader: all that is not known to be in the log is carried again, in order.
func (p *proposer) connect(r route) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.route = r
	p.resendLocked()
	p.proposeLocked(false)
}

// disconnect takes the way to the leader away: what waits goes on waiting.
func (p *proposer) disconnect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.route = nil
}

func (p *proposer) resend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resendLocked()
}

func (p *proposer) resendLocked() {
	if p.route == nil || p.stopped {
		return
	}
	for _, b := range p.unfolded[p.committed:] {
		p.sendLocked(b)
	}
}

// sawCommitted says that the own facts firstN to lastN came next in the log. It is called before they are folded: what has gathered
// meanwhile goes to the disk while the fold works. A repeat, and what came too early, is not what comes next: the fold will drop it.
func (p *proposer) sawCommitted(firstN uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.committed < len(p.unfolded) && p.unfolded[p.committed].firstN == firstN {
		p.committed++
		p.proposeLocked(false)
	}
}

// awaited returns the oldest batch without outcome, nil when there is none. The fold's goroutine alone takes batches away, so it may read the batch without the lock.
func (p *proposer) awaited() *batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.unfolded) == 0 {
		return nil
	}
	return p.unfolded[0]
}

// folded takes the oldest batch away: its outcomes are out. One that an eviction took away meanwhile is gone already.
func (p *proposer) folded(b *batch) {
	p.mu.Lock()
	if len(p.unfolded) == 0 || p.unfolded[0] != b {
		p.mu.Unlock()
		return
	}
	n := copy(p.unfolded, p.unfolded[1:])
	p.unfolded[n] = nil
	p.unfolded = p.unfolded[:n]
	p.committed = max(p.committed-1, 0)
	weight := b.pending
	p.checkDrainedLocked()
	if len(p.idle) < batchesIdleMax && cap(b.tickets) <= ticketsIdleMax {
		clear(b.tickets)
		*b = batch{tickets: b.tickets[:0]}
		p.idle = append(p.idle, b)
	}
	p.mu.Unlock()
	if weight > 0 {
		p.pending.Release(weight)
	}
}

// oldest returns the oldest proposal that should long have been committed and that nobody has asked yet.
func (p *proposer) oldest() outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.committed >= len(p.unfolded) || p.stopped {
		return nil
	}
	b := p.unfolded[p.committed]
	if b.outcome == nil || b.asked || p.uptime()-b.sent < proposalOldTime {
		return nil
	}
	b.asked = true
	return b.outcome
}

// waiting is how many entries are on their way, and how many commands wait for their outcome.
func (p *proposer) waiting() (entries int, commands uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.open {
		commands += uint64(b.count)
	}
	for _, b := range p.unfolded {
		commands += uint64(b.count)
	}
	return p.onTheWayLocked(), commands
}

// runDelays proposes what has gathered for delayMax behind an entry that takes longer.
func (p *proposer) runDelays(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.delay.C:
			p.mu.Lock()
			p.proposeLocked(true)
			p.mu.Unlock()
		}
	}
}
