package cluster

// This file holds what a node says about itself.

import (
	"cmp"
	"context"
	"time"

	"stampede/broker"
	"stampede/storage"
)

// Member is one server of the cluster.
type Member struct {
	ID, Addr      string
	Voter, Leader bool
}

// Status is a node's own view of itself and of the cluster.
type Status struct {
	Node        broker.NodeID
	Name        string
	Cluster     string
	Incarnation uint64
	Version     string // of the program
	FoldVersion uint32

	Adrift     bool   // the cluster gave the node up, and its next incarnation is not in the log yet: it takes no sessions
	Addr       string // where other nodes find it; "" for one that stays alone
	Role       string // leader, candidate, follower, founding, starting, stopped
	Leader     string // node id of the leader, "" when none is known
	LeaderAddr string
	Orphaned   time.Duration // how long no leader has been known; 0 while one is
	Term       uint64
	Members    []Member
	Waiting    string // what keeps the node out of its cluster; "" when nothing does

	LastIndex    uint64     // of the log
	AppliedIndex uint64     // folded
	AppliedSeq   broker.Seq // folded
	Lag          uint64     // entries in the log that are not folded

	// The state at one place in the log, the last one handed to the store: equal on all nodes at equal DigestSeq.
	DigestSeq   broker.Seq
	DigestIndex uint64
	Digest      uint64
	Chain       uint64
	Counts      broker.Counts

	EntriesInFlight int    // proposed, not committed
	CommandsWaiting uint64 // submitted, without outcome

	// Submissions of other nodes, taken while this node led: streams open now, and what came on all of them since the start.
	ForwardStreams                 int
	ForwardedEntries, ForwardBytes uint64
}

// Status reports where the node stands. It is cheap and never waits for the cluster.
func (n *Node) Status() Status {
	sum := n.fold.summary.Load()
	s := Status{
		Node: n.self.now().node, Name: n.name(), Cluster: n.self.now().Cluster, Incarnation: n.self.now().Incarnation, Version: n.cfg.Version, FoldVersion: sum.version,
		Role:         "starting",
		Adrift:       n.fold.adrift.Load(),
		AppliedIndex: n.fold.index.Load(), AppliedSeq: n.Applied(),
		DigestSeq: broker.Seq(sum.position.Seq), DigestIndex: sum.position.Index, Digest: sum.position.Digest, Chain: sum.position.Chain,
		Counts: sum.counts,
	}
	s.EntriesInFlight, s.CommandsWaiting = n.proposer.waiting()
	s.ForwardStreams, s.ForwardedEntries, s.ForwardBytes = n.forwards.stats()
	if len(n.cfg.Seeds) > 0 && s.Cluster == "" {
		s.Role = "founding"
	}
	if n.cfg.Addr != "" {
		s.Addr = cmp.Or(n.cfg.Advertise, n.cfg.Addr)
	}
	s.Waiting = n.waits()
	if c := n.consensus.Load(); c != nil {
		at := c.standing()
		s.Role, s.Leader, s.LeaderAddr, s.Term, s.Members, s.LastIndex = at.role, at.leader, at.leaderAddr, at.term, at.members, at.lastIndex
		s.Orphaned = at.orphaned
		if at.leader != "" && knows(at, n.self.now().Node, s.Addr) {
			s.Waiting = "" // it is over, though nobody has looked yet
		}
		if s.LastIndex > s.AppliedIndex {
			s.Lag = s.LastIndex - s.AppliedIndex
		}
	}
	return s
}

// ID returns the node's id.
func (n *Node) ID() broker.NodeID { return n.self.now().node }

// Incarnation returns how manieth time this node runs.
func (n *Node) Incarnation() uint64 { return n.self.now().Incarnation }

// Ready is closed once the node has folded its own NodeStarted: it has caught up with all that was in the log when it started.
func (n *Node) Ready() <-chan struct{} { return n.fold.ready }

// Done is closed when the node has ended its part in the cluster: no outcome comes any more.
func (n *Node) Done() <-chan struct{} { return n.ended }

// Submit takes encoded facts, as many as tickets and in their order, and copies both. Outcomes come to the Performer in the order of
// submission. It blocks while more than PendingBytesMax wait for theirs, until ctx ends; if no leader is known it is ErrNoQuorum instead, but for
// submissions with a lasting fact. A nil error says that the facts will be proposed, unless no leader is found for answerWait, nothing more;
// ErrStopped and ErrEvicted that they were not taken.
func (n *Node) Submit(ctx context.Context, facts []byte, tickets []Ticket) error {
	return n.SubmitAs(ctx, n.Incarnation(), facts, tickets)
}

// SubmitAs is Submit for what belongs to an incarnation of this node; ErrEvicted says that it has ended.
func (n *Node) SubmitAs(ctx context.Context, incarnation uint64, facts []byte, tickets []Ticket) error {
	return n.proposer.submit(ctx, incarnation, facts, tickets)
}

// Inspect runs fn on the state between two batches of entries; while it runs, nothing is folded. fn must not keep the state.
func (n *Node) Inspect(ctx context.Context, fn func(*broker.State)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return n.fold.inspect(fn)
}

// LogStats returns the figures of the log.
func (n *Node) LogStats() storage.LogStats { return n.log.Stats() }

// StoreStats returns the figures of the state's store.
func (n *Node) StoreStats() storage.StoreStats { return n.states.now().Stats() }

// SnapshotStats returns the figures of states that travel between nodes.
func (n *Node) SnapshotStats() SnapshotStats { return n.snapshots.figures() }

// waits says what keeps the node out of its cluster, "" when nothing does.
func (n *Node) waits() string {
	if text := n.waiting.Load(); text != nil {
		return *text
	}
	return ""
}
