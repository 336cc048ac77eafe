package cluster

// This file holds how a log begins: by one node alone, by the founders of a cluster together, or not here, since a leader brings it.
// DESIGN.md says why no two clusters can come of it.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

// Why a promise is not given, and why a node does not begin alone.
var (
	errFounded  = errors.New("this node is of a cluster already")
	errPromised = errors.New("this node has promised itself to another candidate")
	errNotNamed = errors.New("this node is not among the founders, or expects another number of them, or has other seeds")
	errNoSeeds  = errors.New("this node began with seeds and has no log yet: start it with its seeds again, or with an empty data directory")
)

// pledge is a promise that a node has given, on disk before it was told: it will be founded by this candidate and by no other. Only a
// cluster that it learns of ends it. A candidate has promised itself to itself, and keeps with whom; it may take another in the place of a founder
// that is gone, as long as the cluster has no name.
type pledge struct {
	Candidate string    `json:"candidate"`
	Founders  []founder `json:"founders,omitempty"` // the candidate's own
}

// give notes a promise, unless there is another one or a cluster.
func (id *identity) give(p pledge) error {
	switch {
	case id.Cluster != "":
		return errFounded
	case id.Pledge != nil && id.Pledge.Candidate != p.Candidate:
		return errPromised
	case id.Pledge != nil && slices.Equal(id.Pledge.Founders, p.Founders):
		return errUnchanged
	}
	id.Pledge = &p
	return nil
}

// begin makes sure that this node's log begins as its cluster's does: at once where it is alone or has a log, else with the others.
func (n *Node) begin(ctx context.Context) error {
	id := n.self.now()
	last, err := n.log.LastIndex()
	if err != nil {
		return fmt.Errorf("found cluster: %w", err)
	}
	switch {
	case last > 0:
		return n.noteBegun()
	case id.Founded:
		return nil // it has voted, or its state was received and the log before it cut
	case id.Cluster != "" && id.Pledge != nil && id.Pledge.Candidate == id.Node:
		return n.foundAs(id.Pledge.Founders) // a crash came between the cluster's name and its first entry
	case len(n.cfg.Seeds) > 0 && id.Cluster != "":
		return nil // the leader brings the log
	case len(n.cfg.Seeds) > 0:
		return n.findCluster(ctx)
	case id.Cluster != "" || id.Pledge != nil:
		return errNoSeeds // a second cluster would come of it
	}
	return n.foundAs([]founder{{id.Node, string(n.address())}})
}

// foundAs names the cluster and begins its log with the founders as voters. A crash in the middle is mended by the next start.
func (n *Node) foundAs(founders []founder) error {
	err := n.self.change(func(id *identity) error {
		if id.Cluster != "" {
			return errUnchanged
		}
		id.Pledge = &pledge{Candidate: id.Node, Founders: founders}
		return id.mintCluster(time.Now())
	})
	if err != nil {
		return fmt.Errorf("found cluster: %w", err)
	}
	if err := found(n.log, founders); err != nil {
		return err
	}
	return n.noteBegun()
}

// found begins the log of a new cluster with these as its voters.
func found(log LogStore, founders []founder) error {
	var members raft.Configuration
	for _, f := range founders {
		members.Servers = append(members.Servers, raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(f.Node), Address: raft.ServerAddress(f.Addr)})
	}
	first := raft.Log{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(members)}
	if err := log.SetUint64([]byte(raftTermKey), first.Term); err != nil {
		return fmt.Errorf("found cluster: %w", err)
	}
	if err := log.StoreLog(&first); err != nil {
		return fmt.Errorf("found cluster: %w", err)
	}
	return nil
}

// found asks all founders for their promise, one after the other, and begins the cluster when all have given it. All candidates ask in the
// order of the ids and stop at the first no: so no two of them ever hold what the other one waits for.
func (s *search) found(ctx context.Context, founders []founder) (done bool, err error) {
	n := s.node
	self := n.self.now().Node
	if err := n.self.change(func(id *identity) error { return id.give(pledge{self, founders}) }); err != nil {
		if errors.Is(err, errPromised) {
			return false, nil // since it was looked at: the next round says to whom
		}
		return false, fmt.Errorf("found cluster: %w", err)
	}
	for _, f := range founders {
		if f.Node == self {
			continue
		}
		r, err := n.ask(ctx, f.Addr, question{Ask: askPromise, Founders: founders}, membershipTimeout)
		switch {
		case err != nil:
			s.waitFor("the promise of %s: %v", f.Addr, err)
			return false, nil
		case !r.Yes:
			s.waitFor("the promise of %s: %s", f.Addr, r.Reason)
			return false, nil
		}
	}
	if err := n.foundAs(founders); err != nil {
		return false, err
	}
	n.port.belong(n.self.now().cluster)
	n.logger.Info("cluster founded", "cluster", n.self.now().Cluster, "voters", len(founders))
	return true, nil
}

// promise gives this node's promise to the candidate that asks, or says why not.
func (n *Node) promise(q question) error {
	self := n.self.now().Node
	named := slices.ContainsFunc(q.Founders, func(f founder) bool { return f.Node == self })
	if !named || q.From.Expect != n.cfg.Expect || len(q.Founders) != n.cfg.Expect || q.From.Seeds != n.cfg.seedsHash() {
		return errNotNamed
	}
	return n.self.change(func(id *identity) error { return id.give(pledge{Candidate: q.From.Node}) })
}
