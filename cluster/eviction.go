package cluster

// This file holds how the cluster gives a node up that is silent, and how a node goes on that was given up.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stampede/broker"
)

// lostAfter is how long a node may be silent before the leader gives it up: its sessions are closed, what they had goes back.
const lostAfter = 10 * time.Second

// lostTicks is lostAfter, counted in ticks of the leader: a clock that stands still with the leader's process.
const lostTicks = int(lostAfter / tickInterval)

// silence counts, for each node, the leader's ticks in a row without an answer. It belongs to runTicks.
type silence struct {
	ticks   map[broker.NodeID]int
	answers map[broker.NodeID]uint64
}

// hear takes how many answers a node has given the leader since it leads, and tells whether it has been silent for too long.
func (s *silence) hear(node broker.NodeID, answers uint64) bool {
	if s.ticks == nil {
		s.ticks, s.answers = make(map[broker.NodeID]int), make(map[broker.NodeID]uint64)
	}
	if answers != s.answers[node] {
		s.answers[node] = answers
		s.ticks[node] = 0
		return false
	}
	s.ticks[node]++
	return s.ticks[node] >= lostTicks
}

// proposeLosses gives the nodes up that were silent for too long. What is proposed again before it is folded changes nothing.
func (n *Node) proposeLosses(heard *silence) {
	type life struct {
		node        broker.NodeID
		incarnation uint64
	}
	var others []life
	err := n.fold.inspect(func(s *broker.State) {
		s.Nodes(func(i broker.NodeInfo) bool {
			if !i.Lost && i.Node != n.ID() {
				others = append(others, life{i.Node, i.Incarnation})
			}
			return true
		})
	})
	if err != nil {
		return // the node is stopping
	}
	c := n.consensus.Load()
	for _, o := range others {
		if heard.hear(o.node, c.answers(o.node.String())) {
			n.logger.Warn("node is silent and given up", "lost", o.node.String(), "incarnation", o.incarnation)
			n.proposeOwn(broker.NodeLost{Node: o.node, Incarnation: o.incarnation})
		}
	}
}

// evictLocked ends this node's incarnation: all that waits is in doubt, all sessions have to be closed, and a new incarnation begins.
// It runs under the fold's lock.
func (f *fold) evictLocked() {
	for _, u := range f.proposer.evict() {
		f.performer.Unanswered(u.ticket, u.inDoubt)
	}
	f.adrift.Store(true)
	f.performer.Evicted()
	f.performer.Flush()
	select {
	case f.evicted <- struct{}{}:
	default: // it is known already
	}
}

// runRebirth begins a new incarnation each time that one has ended: on disk first, then in the log.
func (n *Node) runRebirth(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.fold.evicted:
		}
		if err := n.self.change(func(id *identity) error { id.Incarnation++; return nil }); err != nil {
			err = fmt.Errorf("begin a new incarnation: %w", err)
			n.fail(err)
			return err
		}
		incarnation := n.Incarnation()
		n.logger.Warn("incarnation has ended, its sessions are closed and another begins", "incarnation", incarnation)
		n.fold.begin(incarnation, n.firstFact())
	}
}

// begin makes the fold and the proposer know the new incarnation as this node's, unless it has ended already: then the next one begins, and nothing
// was submitted in between.
func (f *fold) begin(incarnation uint64, facts []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.evicted) > 0 {
		return
	}
	f.incarnation.Store(incarnation)
	f.proposer.begin(incarnation, facts)
}

// firstFact is what a node says first in each incarnation.
func (n *Node) firstFact() []byte {
	return broker.AppendFact(nil, broker.NodeStarted{Name: n.name(), Version: broker.FoldVersion})
}

// giveUp tells those who wait that there is no outcome for them, under the fold's lock like all that the performer is told.
func (f *fold) giveUp() {
	given := f.proposer.giveUp()
	if len(given) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, u := range given {
		f.performer.Unanswered(u.ticket, u.inDoubt)
	}
	f.performer.Flush()
}

// errNoLeader says that there is nobody to hand the leadership over to.
var errNoLeader = errors.New("no other voter takes the leadership")

// Resign hands the leadership over if this node has it: before a drain, so that nobody waits for an election. It returns when another
// node leads, or with an error when none took over before ctx ended.
func (n *Node) Resign(ctx context.Context) error {
	c := n.consensus.Load()
	if c == nil || !n.leads.Load() || len(c.standing().members) < 2 {
		return nil // there is nothing to hand over
	}
	var err error
	for ctx.Err() == nil {
		handed := make(chan error, 1)
		go awaitFate(c.transfer(), handed)
		select {
		case err = <-handed:
		case <-ctx.Done():
		}
		if leader := c.standing().leader; leader != "" && leader != n.self.now().Node && !n.leads.Load() {
			return nil
		}
		select {
		case <-time.After(resignPause):
		case <-ctx.Done():
		}
	}
	return errors.Join(errNoLeader, err)
}

// resignPause lies between two tries to hand the leadership over.
const resignPause = 10 * time.Millisecond
