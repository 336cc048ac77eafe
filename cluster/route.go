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
	known  string             // the leader that was told last
	leader string             // node id that the stream, or the dial under way, goes to; "" neither
	stream *forwardStream     // nil while none is open
	dialed chan dialResult    // of capacity 1: of the dial under way
	cancel context.CancelFunc // ends the dial under way; nil when none is
	retry  *time.Timer
	again  time.Time // no dial before it

	dead     string // the leader at whose address nobody listened when it was dialed last
	refusals int    // how often in a row
}

// dialResult is what became of a dial.
type dialResult struct {
	stream  *forwardStream // nil when there is none
	refused bool           // nobody listens at the leader's address: its process is gone
}

// runRoute follows the changes of leadership. A new route carries again what was not answered; what was carried in vain is met again by
// the fold, or not at all.
func (n *Node) runRoute(ctx context.Context) error {
	r := &routing{node: n, c: n.consensus.Load(), dialed: make(chan dialResult, 1), retry: time.NewTimer(time.Hour)}
	defer r.close()
	for {
		r.follow(ctx)
		select {
		case <-ctx.Done():
			return nil
		case leads := <-r.c.leadership():
			r.lead(leads)
		case <-r.c.changes():
		case result := <-r.dialed:
			r.dialEnded(result)
		case <-r.stream.ended():
			n.logger.Info("stream to the leader ended", "leader", r.leader)
			r.leave()
			r.pause()
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
	if leader == "" || r.stream != nil || r.cancel != nil || time.Now().Before(r.again) {
		return
	}
	r.leader = leader
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	r.cancel = cancel
	go r.node.dialLeader(dialing, at.leaderAddr, leader, r.dialed)
}

// pause lets dialPause pass before the next dial.
func (r *routing) pause() {
	r.again = time.Now().Add(dialPause)
	r.retry.Reset(dialPause)
}

// dialEnded takes the stream that a dial brought, if it brought one.
func (r *routing) dialEnded(result dialResult) {
	r.cancel()
	r.cancel = nil
	r.mourn(result.refused)
	switch s := result.stream; {
	case s == nil:
		r.leader = ""
		r.pause()
	case r.leads || s.leader != r.leader:
		s.end()
	default:
		r.stream = s
		r.node.logger.Info("stream to the leader opened", "leader", r.leader)
		r.node.proposer.connect(s)
	}
}

const (
	// refusalsMax is how often in a row nobody listens at the leader's address before a follower takes its process for dead.
	refusalsMax = 2
	// refusalsApart is how many refusals later the next follower stands, so that they do not stand against each other.
	refusalsApart = 3
)

// mourn counts how often nobody listened where the leader was. A follower that is sure stands for election at once, instead of waiting for the heart-beats that
// will not come. A leader that lives and is cut off is found by its silence, as ever; for safety it makes no difference who stands when.
func (r *routing) mourn(refused bool) {
	if !refused || r.leader == "" || r.leader != r.dead {
		r.refusals = 0
		r.dead = r.leader
	}
	if !refused {
		return
	}
	r.refusals++
	if rank := r.rank(); rank >= 0 && r.refusals == refusalsMax+rank*refusalsApart {
		r.node.logger.Info("nobody listens where the leader was, standing for election", "leader", r.leader)
		go r.node.stand()
	}
}

// rank is this node's place among the voters that are left, by id; -1 when it has no vote.
func (r *routing) rank() int {
	self, rank, votes := r.node.self.now().Node, 0, false
	for _, m := range r.c.standing().members {
		switch {
		case !m.Voter || m.ID == r.leader:
		case m.ID == self:
			votes = true
		case m.ID < self:
			rank++
		}
	}
	if !votes {
		return -1
	}
	return rank
}

// stand makes this node a candidate.
func (n *Node) stand() {
	if err := n.consensus.Load().stand(); err != nil {
		n.logger.Debug("did not stand for election", "error", err) // Raft's own timeouts go on
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
		if result := <-r.dialed; result.stream != nil {
			result.stream.end()
		}
	}
	r.retry.Stop()
}
