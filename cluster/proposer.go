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
)

// batch is one Raft entry in the making, and on its way: the facts, and the tickets that wait for their outcomes.
type batch struct {
	entry    []byte // entryHeadBytes to be filled, then the facts; not changed any more once proposed
	tickets  []Ticket
	firstN   uint64
	count    uint32
	pending  int64 // bytes to give back to the pending limit when it was folded
	silent   bool  // the node's own fact: nobody waits for its outcome
	proposed time.Duration
	outcome  outcome
	asked    bool // somebody waits for outcome
}

func (b *batch) lastN() uint64 { return b.firstN + uint64(b.count) - 1 }

// outcome is what became of one proposal: nil once it was committed and folded, else the reason why that is not known.
type outcome interface{ Error() error }

// proposer gathers submissions and proposes them. Nothing waits for a timer while nothing is on its way: the submission itself proposes.
// While an entry is on its way facts gather, until it is committed (the fold's goroutine then proposes what has gathered), they fill an
// entry, or delayMax has passed. A proposal leaves unfolded only when the fold has met its facts in the log; after a change of
// leadership what is left is proposed again, in order, and the fold drops what it had already seen.
//
// Goroutines: none of its own; Node runs runDelays.
type proposer struct {
	batchBytesMax int
	delayMax      time.Duration
	inFlightMax   int
	pendingMax    int64
	node          broker.NodeID
	incarnation   uint64
	propose       func(entry []byte) outcome // hands an entry to Raft; must not block for the disk
	stamp         func() broker.Instant
	uptime        func() time.Duration
	mayPropose    func() bool // false while the store has too much to write

	pending *semaphore.Weighted // bytes submitted and not folded

	mu        sync.Mutex // guards all below
	open      []*batch   // not proposed; all but the last are full
	unfolded  []*batch   // proposed, oldest first; the first committed of them are known to be in the log
	committed int        // how many of unfolded
	idle      []*batch   // for reuse
	nextN     uint64
	sizeHint  int // of the entry before: the next one will be like it
	leading   bool
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
	b := p.newBatchLocked(len(facts))
	b.silent, b.count = true, 1
	b.entry = append(b.entry, facts...)
	p.nextN++
	p.open = append(p.open, b)
}

// submit takes facts and their tickets, one each, and copies both. It blocks while too much waits for its outcome.
func (p *proposer) submit(ctx context.Context, facts []byte, tickets []Ticket) error {
	if len(tickets) == 0 {
		return nil
	}
	if len(facts) > entryBytesMax-entryHeadBytes {
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, len(facts))
	}
	weight := min(int64(len(facts)), p.pendingMax) // one that is larger than the limit goes alone
	if !p.pending.TryAcquire(weight) {
		if err := p.pending.Acquire(ctx, weight); err != nil {
			return fmt.Errorf("wait for earlier commands: %w", err)
		}
	}
	p.mu.Lock()
	if p.draining || p.stopped {
		p.mu.Unlock()
		p.pending.Release(weight)
		return ErrStopped
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

// openBatchLocked returns the batch that takes the next facts.
func (p *proposer) openBatchLocked(bytes int) *batch {
	if n := len(p.open); n > 0 {
		b := p.open[n-1]
		if !b.silent && len(b.entry)-entryHeadBytes+bytes <= p.batchBytesMax {
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
	b.firstN = p.nextN
	return b
}

// proposeLocked proposes what may go: all that fits when nothing is on its way or force is set, else only full batches.
func (p *proposer) proposeLocked(force bool) {
	for p.leading && !p.stopped && len(p.open) > 0 {
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

// sendLocked stamps a batch and hands it to Raft.
func (p *proposer) sendLocked(b *batch) {
	if b.outcome != nil || cap(b.entry)-len(b.entry) > len(b.entry)/4+entrySlackMax {
		b.entry = append(make([]byte, 0, len(b.entry)), b.entry...) // Raft still holds the bytes of the first proposal; the ring would hold the unused ones
	}
	putEntryHead(b.entry, p.stamp(), envelope{node: p.node, incarnation: p.incarnation, firstN: b.firstN, count: b.count})
	p.sizeHint = min(max(len(b.entry)+len(b.entry)/4, batchBytesMin), p.batchBytesMax)
	b.proposed = p.uptime()
	b.asked = false
	b.outcome = p.propose(b.entry)
}

// lead says that this node leads from now on: all that the fold has not answered is proposed again, in order.
func (p *proposer) lead() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leading = true
	p.resendLocked()
	p.proposeLocked(false)
}

// follow says that this node does not lead any more: what waits goes on waiting.
func (p *proposer) follow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leading = false
}

func (p *proposer) resend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resendLocked()
}

func (p *proposer) resendLocked() {
	if !p.leading || p.stopped {
		return
	}
	for _, b := range p.unfolded[p.committed:] {
		p.sendLocked(b)
	}
}

// sawCommitted says that all own facts up to lastN are in the log. It is called before they are folded: what has gathered meanwhile goes to the disk while the fold works.
func (p *proposer) sawCommitted(lastN uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.committed < len(p.unfolded) && p.unfolded[p.committed].lastN() <= lastN {
		p.committed++
	}
	p.proposeLocked(false)
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

// folded takes the oldest batch away: its outcomes are out.
func (p *proposer) folded(b *batch) {
	p.mu.Lock()
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

// leads says whether this node may propose.
func (p *proposer) leads() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.leading
}

// oldest returns the oldest proposal that should long have been committed and that nobody has asked yet.
func (p *proposer) oldest() outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.committed >= len(p.unfolded) || !p.leading || p.stopped {
		return nil
	}
	b := p.unfolded[p.committed]
	if b.asked || p.uptime()-b.proposed < proposalOldTime {
		return nil
	}
	b.asked = true
	return b.outcome
}

// waiting is how many bytes wait for their outcome, and how many entries are on their way.
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
