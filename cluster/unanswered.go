package cluster

// This file holds what becomes of commands that wait too long for their outcome, and of those of an incarnation that has ended.

import (
	"time"

	"stampede/broker"
)

// answerWait is how long a command waits for its outcome before its sender is told that there is none.
const answerWait = 15 * time.Second

// unanswered is a ticket that is not waited for any longer.
type unanswered struct {
	ticket  Ticket
	inDoubt bool
}

// giveUp ends the waiting of what has waited for answerWait. What no route has had leaves, but for lasting facts; what one has had stays, since
// it may be in the log and those after it need its number, and only its tickets go.
func (p *proposer) giveUp() (given []unanswered) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return nil
	}
	deadline := p.uptime() - answerWait
	for _, b := range p.unfolded[p.committed:] {
		if b.begun > deadline {
			break
		}
		if !b.silent {
			given = appendUnanswered(given, b.tickets, true)
			b.silent, b.tickets = true, nil
		}
	}
	var freed int64
	changed := false
	for _, b := range p.open {
		if b.begun > deadline {
			break
		}
		if b.silent {
			continue
		}
		changed = true
		var bytes int64
		given, bytes = b.shed(given)
		bytes = min(bytes, b.pending)
		b.pending -= bytes
		freed += bytes
	}
	if changed {
		p.renumberLocked()
	}
	if freed > 0 {
		p.pending.Release(freed)
	}
	return given
}

func appendUnanswered(given []unanswered, tickets []Ticket, inDoubt bool) []unanswered {
	for _, t := range tickets {
		given = append(given, unanswered{t, inDoubt})
	}
	return given
}

// shed drops the facts of a batch that no route has had, but for the lasting ones, whose senders are told that they are in doubt.
// bytes is what the dropped ones weighed.
func (b *batch) shed(given []unanswered) (_ []unanswered, bytes int64) {
	var decoder broker.Decoder
	facts := b.entry[entryHeadBytes:]
	entry := make([]byte, entryHeadBytes, entryHeadBytes+len(facts))
	var tickets []Ticket
	for _, t := range b.tickets {
		_, n, err := decoder.Fact(facts)
		if err != nil {
			panic(err) // the node's own encoding
		}
		if t.Lasting {
			entry = append(entry, facts[:n]...)
			tickets = append(tickets, Ticket{Lasting: true})
		} else {
			bytes += int64(n)
		}
		given = append(given, unanswered{t, t.Lasting})
		facts = facts[n:]
	}
	b.entry, b.tickets, b.count = entry, tickets, uint32(len(tickets))
	b.silent = true // all that is left was told
	return given, bytes
}

// renumberLocked numbers the facts of the batches that no route has had, and lets empty ones go.
func (p *proposer) renumberLocked() {
	next := uint64(1)
	if len(p.unfolded) > 0 {
		next = p.unfolded[len(p.unfolded)-1].lastN() + 1
	} else if len(p.open) > 0 {
		next = p.open[0].firstN
	}
	kept := p.open[:0]
	for _, b := range p.open {
		if b.count == 0 {
			continue
		}
		b.firstN = next
		next += uint64(b.count)
		kept = append(kept, b)
	}
	clear(p.open[len(kept):])
	p.open, p.nextN = kept, next
}

// evict ends the incarnation: nothing is taken until begin, and nothing that waits is carried any more. All of it is in doubt, as far as its
// senders are concerned: they have to start anew elsewhere.
func (p *proposer) evict() (given []unanswered) {
	p.mu.Lock()
	var weight int64
	for _, list := range [][]*batch{p.unfolded, p.open} {
		for _, b := range list {
			if !b.silent {
				given = appendUnanswered(given, b.tickets, true)
				b.silent = true
			}
			weight += b.pending
		}
	}
	p.open, p.unfolded, p.committed = nil, nil, 0
	p.evicted = true
	p.checkDrainedLocked()
	p.mu.Unlock()
	if weight > 0 {
		p.pending.Release(weight)
	}
	return given
}

// begin begins a new incarnation with the node's own first fact.
func (p *proposer) begin(incarnation uint64, facts []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.incarnation, p.nextN, p.evicted = incarnation, 1, false
	p.announceLocked(facts)
	p.proposeLocked(false)
}
