package cluster

// This file holds how the proposer ends.

// drain takes nothing more, proposes what has gathered, and returns a channel that is closed when all of it was folded.
func (p *proposer) drain() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draining = true
	if p.drained == nil {
		p.drained = make(chan struct{})
	}
	p.proposeLocked(true)
	p.checkDrainedLocked()
	return p.drained
}

func (p *proposer) checkDrainedLocked() {
	if p.draining && len(p.open) == 0 && len(p.unfolded) == 0 {
		select {
		case <-p.drained:
		default:
			close(p.drained)
		}
	}
}

// stop ends the proposer. Whoever waits in submit, and later comes, gets ErrStopped.
func (p *proposer) stop() {
	p.mu.Lock()
	p.stopped = true
	p.delay.Stop()
	var weight int64
	for _, list := range [][]*batch{p.open, p.unfolded} {
		for _, b := range list {
			weight += b.pending
			b.pending = 0
		}
	}
	p.mu.Unlock()
	if weight > 0 {
		p.pending.Release(weight) // each waiter that wakes meets stopped and wakes the next
	}
}
