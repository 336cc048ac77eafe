package cluster

// This file holds how a node becomes a member, and how the members learn where it is to be found: it asks the leader, and asks again until
// its own log says so.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// announcePause lies between two looks at whether the members know this node and where it is, with as much again at random.
	announcePause = 500 * time.Millisecond
)

// Why a node is not admitted.
var (
	errJoinBusy    = errors.New("another node is being admitted")
	errNotThere    = errors.New("who asks is not found at the address that it gives")
	errNoLeaderYet = errors.New("no leader is known")
)

// askToJoin asks the leader that these peers name to make this node a member, or to take note of its address.
func (n *Node) askToJoin(ctx context.Context, peers []peerStatus) error {
	var asked []string
	err := errNoLeaderYet
	for _, p := range peers {
		if p.Leader == "" || slices.Contains(asked, p.Leader) {
			continue
		}
		asked = append(asked, p.Leader)
		var r reply
		r, err = n.ask(ctx, p.Leader, question{Ask: askJoin}, joinTimeout)
		switch {
		case err != nil:
		case r.Yes:
			return nil
		default:
			err = fmt.Errorf("%s: %s", p.Leader, r.Reason)
		}
	}
	return err
}

// admit takes a node into the cluster as a member without a vote, or takes note of the new address of a member. Only a leader can, and it asks
// at that address first: nobody takes the place of a member that is there.
func (n *Node) admit(who peerStatus) error {
	c := n.consensus.Load()
	if c == nil || !n.leads.Load() {
		return errNotLeader
	}
	if knows(c.standing(), who.Node, who.Addr) {
		c.located(who.Node, who.Addr) // it may have come back to where it was
		return nil
	}
	if !n.admitting.TryLock() {
		return errJoinBusy
	}
	defer n.admitting.Unlock()
	ctx := context.Background() // each question has its own end
	if who.Node != n.self.now().Node {
		there, err := n.askStatus(ctx, who.Addr)
		if err != nil || there.Node != who.Node {
			return errors.Join(fmt.Errorf("%w: %s", errNotThere, who.Addr), err)
		}
	}
	for _, m := range c.standing().members {
		if m.Addr == who.Addr && m.ID != who.Node {
			if err := n.makeRoom(ctx, c, m); err != nil {
				return err
			}
		}
	}
	if err := c.admit(who.Node, who.Addr); err != nil {
		return err
	}
	n.logger.Info("member admitted", "member", who.Node, "addr", who.Addr)
	return nil
}

// makeRoom takes the address of a member that is not there any more. One that moved stays a member, under its id until it says where it is;
// one that is nowhere is gone, and leaves the members.
func (n *Node) makeRoom(ctx context.Context, c *consensus, m Member) error {
	if n.look(ctx).has(m.ID) {
		return c.admit(m.ID, m.ID)
	}
	n.logger.Warn("member removed, another node is at its address", "member", m.ID, "addr", m.Addr, "voter", m.Voter)
	return c.expel(m.ID)
}

// knows tells whether a node is a member at an address.
func knows(at standing, node, addr string) bool {
	return slices.ContainsFunc(at.members, func(m Member) bool { return m.ID == node && m.Addr == addr })
}

// runAnnounce sees to it that the members know this node and where it is. While no leader is known it finds out where the others are, in
// case that they have moved.
func (n *Node) runAnnounce(ctx context.Context) error {
	if len(n.cfg.Seeds) == 0 {
		return nil
	}
	warned := time.Now()
	for {
		if text := n.announce(ctx); text == "" {
			n.waiting.Store(nil)
			warned = time.Now()
		} else {
			n.waiting.Store(&text)
			if time.Since(warned) >= foundingWarn {
				warned = time.Now()
				n.logger.Warn("not at home in the cluster", "waiting", text)
			}
		}
		select {
		case <-time.After(announcePause + rand.N(announcePause)):
		case <-ctx.Done():
			return nil
		}
	}
}

// announce tells the leader where this node is if the members do not know, and says what it waits for then.
func (n *Node) announce(ctx context.Context) (waiting string) {
	c, self := n.consensus.Load(), n.peerStatus()
	at := c.standing()
	known := knows(at, self.Node, self.Addr)
	if known && at.leader != "" {
		return ""
	}
	var err error
	if n.leads.Load() {
		err = n.admit(self)
	} else {
		peers := []peerStatus{{Leader: at.leaderAddr}}
		for _, p := range n.look(ctx).peers {
			if p.Cluster == self.Cluster && p.Node != self.Node {
				c.located(p.Node, p.Addr)
				peers = append(peers, p)
			}
		}
		err = n.askToJoin(ctx, peers)
	}
	switch {
	case err != nil && known:
		return "a leader: " + err.Error()
	case err != nil:
		return "the members to know this node at " + self.Addr + ": " + err.Error()
	}
	return "the log to come"
}

// admit makes a node a member without a vote, or changes the address of one that is a member.
func (r *raftReplicator) admit(node, addr string) error {
	add := r.raft.AddNonvoter
	for _, s := range r.raft.GetConfiguration().Configuration().Servers {
		if string(s.ID) != node {
			continue
		}
		if s.Suffrage == raft.Voter {
			add = r.raft.AddVoter // keeps its vote
		}
		r.transport.move(s.ID, s.Address)
		defer r.transport.stay(s.ID)
	}
	if err := add(raft.ServerID(node), raft.ServerAddress(addr), 0, joinTimeout).Error(); err != nil {
		return fmt.Errorf("add %s at %s: %w", node, addr, err)
	}
	return nil
}

// expel takes a node out of the members.
func (r *raftReplicator) expel(node string) error {
	if err := r.raft.RemoveServer(raft.ServerID(node), 0, joinTimeout).Error(); err != nil {
		return fmt.Errorf("remove %s: %w", node, err)
	}
	return nil
}

// located says where a member answers, in case that the configuration does not know yet.
func (r *raftReplicator) located(node, addr string) {
	for _, s := range r.raft.GetConfiguration().Configuration().Servers {
		if string(s.ID) == node {
			r.transport.locate(s.ID, s.Address, raft.ServerAddress(addr))
		}
	}
}
