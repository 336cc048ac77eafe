package cluster

// This file holds the way of what this node submits: into its own Raft while it leads, else over a stream to the leader.

import (
	"context"
	"time"
)

const (
	// dialPause is how long a node waits after a leader could not be reached, or was none.
	dialPause = 50 * time.Millisecond
	// dialTimeout is how long a leader has to answer.
	dialTimeout = 3 * time.Second
)

// Watcher hears who leads. A Performer that is one is told, from a goroutine of the node's; it must not block.
type Watcher interface {
	LeaderChanged(node string) // "" while none is known
}

// ownRoute proposes to this node's own Raft: it leads.
type ownRoute struct{ node *Node }

func (r ownRoute) carry(entry []byte) outcome {
	putEntryHeader(entry, r.node.stamp())
	return r.node.propose(entry)
}

// routing keeps the proposer connected to whoever leads. It belongs to runRoute's goroutine.
type routing struct {
	node   *Node
	c      *consensus
	leads  bool
	known  string              // the leader that was told last
	leader string              // node id that the stream, or the dial under way, goes to; "" neither
	stream *forwardStream      // nil while none is open
	dialed chan *forwardStream // of capacity 1: the result of the dial under way, nil when it failed
	cancel context.CancelFunc  // ends the dial under way; nil when none is
	retry  *time.Timer
}

// runRoute follows the changes of leadership. A new route carries again what was not answered; what was carried in vain is met again by
// the fold, or not at all.
func (n *Node) runRoute(ctx context.Context) error {
	r := &routing{node: n, c: n.consensus.Load(), dialed: make(chan *forwardStream, 1), retry: time.NewTimer(time.Hour)}
	defer r.close()
	for {
		r.follow(ctx)
		select {
		case <-ctx.Done():
			return nil
		case leads := <-r.c.leadership():
			r.lead(leads)
		case <-r.c.changes():
		case s := <-r.dialed:
			r.dialEnded(s)
		case <-r.stream.ended():
			n.logger.Info("stream to the leader ended", "leader", r.leader)
			r.leave()
			r.retry.Reset(dialPause)
		case <-r.retry.C:
		}
	}
}

// lead takes note that this node begins or ceases to lead.
func (r *routing) lead(leads bool) {
	n := r.node
	n.logger.Info("leadership changed", "leads", leads, "term", r.c.standing().term)
	r.leads = leads
	n.leads.Store(leads)
	if !leads {
		n.proposer.disconnect()
		n.forwards.shut()
		r.c.resigned()
		return
	}
	r.leave()
	n.forwards.open()
	n.proposer.connect(ownRoute{n})
	n.proposeLeaderFacts()
}

// follow leaves a leader that leads no more and begins to dial the one that does.
func (r *routing) follow(ctx context.Context) {
	at := r.c.standing()
	leader := at.leader
	if leader != r.known {
		r.known = leader
		if r.node.watcher != nil {
			r.node.watcher.LeaderChanged(leader)
		}
	}
	if r.leads || r.node.port == nil {
		return
	}
	if leader == r.node.self.now().Node {
		leader = "" // it is told by leadership when it may propose
	}
	if leader != r.leader {
		r.leave()
	}
	if leader == "" || r.stream != nil || r.cancel != nil {
		return
	}
	r.leader = leader
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	r.cancel = cancel
	go r.node.dialLeader(dialing, at.leaderAddr, leader, r.dialed)
}

// dialEnded takes the stream that a dial brought, if it brought one.
func (r *routing) dialEnded(s *forwardStream) {
	r.cancel()
	r.cancel = nil
	switch {
	case s == nil:
		r.leader = ""
		r.retry.Reset(dialPause)
	case r.leads || s.leader != r.leader:
		s.end()
	default:
		r.stream = s
		r.node.logger.Info("stream to the leader opened", "leader", r.leader)
		r.node.proposer.connect(s)
	}
}

// leave ends the stream, and lets a dial under way end in vain.
func (r *routing) leave() {
	if r.stream != nil {
		r.node.proposer.disconnect()
		r.stream.end()
		r.stream = nil
	}
	if r.cancel != nil {
		r.cancel()
	}
	r.leader = ""
}

// close ends what is open and waits for the dial under way.
func (r *routing) close() {
	r.leave()
	if r.cancel != nil {
		if s := <-r.dialed; s != nil {
			s.end()
		}
	}
	r.retry.Stop()
}
