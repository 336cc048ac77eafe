package cluster

// This file holds how a node without a log finds its cluster, or founds it with the others.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/hashicorp/raft"

	"stampede/broker"
)

const (
	// foundingPause lies between two rounds of questions, with as much again at random.
	foundingPause = 100 * time.Millisecond
	// foundingSettle is how long the picture must stay the same when some seeds do not answer, and on loopback.
	foundingSettle         = 5 * time.Second
	foundingSettleLoopback = time.Second
	// foundingWarn is how often a node that does not get on says why.
	foundingWarn = 10 * time.Second
)

// Why a promise is not given.
var (
	errFounded  = errors.New("this node is of a cluster already")
	errPromised = errors.New("this node has promised itself to another candidate")
	errNotNamed = errors.New("this node is not among the founders, or expects something else")
)

// pledge is a promise that a node has given, on disk before it was told: it will be founded by this candidate together with these, and by no
// other. Only a cluster that it learns of ends it.
type pledge struct {
	Candidate string    `json:"candidate"`
	Founders  []founder `json:"founders"`
}

func (p *pledge) equal(o pledge) bool {
	return p.Candidate == o.Candidate && slices.Equal(p.Founders, o.Founders)
}

// seedsHash names the set of seeds.
func (c *Config) seedsHash() string {
	seeds := slices.Clone(c.Seeds)
	slices.Sort(seeds)
	return fmt.Sprintf("%016x", xxhash.Sum64String(strings.Join(seeds, ",")))
}

// begin makes sure that this node's log begins as its cluster's does: at once where it is alone or has a log, else with the others.
func (n *Node) begin(ctx context.Context, address raft.ServerAddress) error {
	id := n.self.now()
	last, err := n.log.LastIndex()
	if err != nil {
		return fmt.Errorf("found cluster: %w", err)
	}
	switch {
	case last > 0:
		return nil
	case len(n.cfg.Seeds) == 0:
		return n.foundAs([]founder{{id.Node, string(address)}})
	case id.Cluster != "" && id.Pledge != nil && id.Pledge.Candidate == id.Node:
		return n.foundAs(id.Pledge.Founders) // a crash came between the cluster's name and its first entry
	case id.Cluster != "":
		return nil // the leader brings the log
	}
	return n.findCluster(ctx)
}

// foundAs begins the log with the founders as voters. A crash in the middle is mended by the next start.
func (n *Node) foundAs(founders []founder) error {
	if n.self.now().Cluster == "" {
		if err := n.self.change(func(id *identity) error { return id.mintCluster(time.Now()) }); err != nil {
			return fmt.Errorf("found cluster: %w", err)
		}
	}
	if err := found(n.log, founders); err != nil {
		return err
	}
	return n.remember()
}

// remember notes that the log has begun: from now on an empty one is refused.
func (n *Node) remember() error {
	if n.self.now().Founded {
		return nil
	}
	return n.self.change(func(id *identity) error { id.Founded = true; return nil })
}

// picture is what one round of questions has shown.
type picture struct {
	peers   []peerStatus // distinct, this node among them, by node id
	missing []string     // seeds that did not answer
}

// findCluster asks the seeds until there is a cluster that this node is a member of.
func (n *Node) findCluster(ctx context.Context) error {
	n.logger.Info("looking for the cluster", "seeds", strings.Join(n.cfg.Seeds, ","), "expect", n.cfg.Expect)
	s := &search{node: n, warned: time.Now()}
	for {
		done, err := s.round(ctx)
		if err != nil || done {
			return err
		}
		select {
		case <-time.After(foundingPause + rand.N(foundingPause)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// search is a node's way to its cluster.
type search struct {
	node    *Node
	seen    string    // the picture of the last round
	since   time.Time // when it was seen first
	warned  time.Time
	waiting string // what for, for people
}

// round asks everybody once and does what follows. It is done when this node may start.
func (s *search) round(ctx context.Context) (done bool, err error) {
	n := s.node
	view := n.look(ctx)
	for _, p := range view.peers {
		if p.Cluster != "" && len(p.Members) > 0 && p.Node != n.self.now().Node {
			return s.belong(ctx, p)
		}
	}
	founders, ready := s.founders(view)
	if ready && founders[0].Node == n.self.now().Node {
		done, err = s.found(ctx, founders)
	} else if ready {
		s.waiting = "for " + founders[0].Node + " at " + founders[0].Addr + " to found the cluster"
	}
	s.warn()
	return done, err
}

// warn says what a node waits for that does not get on.
func (s *search) warn() {
	if time.Since(s.warned) < foundingWarn {
		return
	}
	s.warned = time.Now()
	attrs := []any{"waiting", s.waiting}
	if p := s.node.self.now().Pledge; p != nil {
		attrs = append(attrs, "promised", p.Candidate,
			"mend", "bring that node back; if its disk is gone for good, empty the data directories of all nodes that have promised themselves to it: there is no log in them yet")
	}
	s.node.logger.Warn("no cluster yet", attrs...)
}

// look asks all seeds at once who they are.
func (n *Node) look(ctx context.Context) picture {
	answers := make([]*peerStatus, len(n.cfg.Seeds))
	var asking sync.WaitGroup
	for i, seed := range n.cfg.Seeds {
		asking.Go(func() {
			r, err := n.ask(ctx, seed, question{Ask: askStatus}, membershipTimeout)
			switch {
			case err == nil:
				answers[i] = &r.Status
			case errors.Is(err, errSelf):
				self := n.peerStatus()
				answers[i] = &self
			}
		})
	}
	asking.Wait()
	view := picture{peers: []peerStatus{n.peerStatus()}}
	for i, a := range answers {
		if a == nil {
			view.missing = append(view.missing, n.cfg.Seeds[i])
		} else {
			view.peers = append(view.peers, *a)
		}
	}
	slices.SortFunc(view.peers, func(a, b peerStatus) int { return cmp.Compare(a.Node, b.Node) })
	view.peers = slices.CompactFunc(view.peers, func(a, b peerStatus) bool { return a.Node == b.Node })
	return view
}

// founders says who would found the cluster by what was seen, the candidate first, and whether they may.
func (s *search) founders(view picture) (founders []founder, ready bool) {
	n := s.node
	if p := n.self.now().Pledge; p != nil && p.Candidate == n.self.now().Node {
		return p.Founders, true // begun before
	}
	var names []string
	for _, p := range view.peers {
		if p.Cluster == "" && p.Expect == n.cfg.Expect && p.Seeds == n.cfg.seedsHash() {
			founders = append(founders, founder{p.Node, p.Addr})
			names = append(names, p.Node)
		}
	}
	if seen := strings.Join(names, ","); seen != s.seen {
		s.seen, s.since = seen, time.Now()
	}
	if len(founders) < n.cfg.Expect {
		s.waiting = fmt.Sprintf("for %d nodes that agree, %d are here; no answer from: %s", n.cfg.Expect, len(founders), strings.Join(view.missing, " "))
		return nil, false
	}
	if len(view.missing) > 0 && time.Since(s.since) < n.cfg.settle() {
		return nil, false
	}
	return founders[:n.cfg.Expect], true
}

// settle is how long to wait for seeds that do not answer.
func (c *Config) settle() time.Duration {
	for _, seed := range c.Seeds {
		if !strings.HasPrefix(seed, "127.") && !strings.HasPrefix(seed, "localhost:") && !strings.HasPrefix(seed, "[::1]:") {
			return foundingSettle
		}
	}
	return foundingSettleLoopback
}

// found asks all founders for their promise, and begins the cluster when all have given it.
func (s *search) found(ctx context.Context, founders []founder) (done bool, err error) {
	n := s.node
	own := pledge{Candidate: n.self.now().Node, Founders: founders}
	if err := n.self.change(func(id *identity) error { return id.give(own) }); err != nil {
		if errors.Is(err, errPromised) {
			s.waiting = "for the candidate that this node has promised itself to"
			return false, nil
		}
		return false, fmt.Errorf("found cluster: %w", err)
	}
	for _, f := range founders {
		if f.Node == own.Candidate {
			continue
		}
		r, err := n.ask(ctx, f.Addr, question{Ask: askPromise, Founders: founders}, membershipTimeout)
		switch {
		case err != nil:
			s.waiting = "for the promise of " + f.Addr + ": " + err.Error()
			return false, nil
		case !r.Yes:
			s.waiting = "for the promise of " + f.Addr + ": " + r.Reason
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

// promise gives this node's promise to a candidate, or says why not.
func (n *Node) promise(q question) error {
	self := n.self.now().Node
	named := slices.ContainsFunc(q.Founders, func(f founder) bool { return f.Node == self })
	if !named || q.From.Expect != n.cfg.Expect || len(q.Founders) != n.cfg.Expect || q.From.Seeds != n.cfg.seedsHash() {
		return errNotNamed
	}
	if last, err := n.log.LastIndex(); err != nil || last > 0 {
		return errors.Join(errFounded, err)
	}
	return n.self.change(func(id *identity) error { return id.give(pledge{Candidate: q.From.Node, Founders: q.Founders}) })
}

// give notes a promise, unless there is another one or a cluster.
func (id *identity) give(p pledge) error {
	switch {
	case id.Cluster != "":
		return errFounded
	case id.Pledge != nil && !id.Pledge.equal(p):
		return errPromised
	case id.Pledge != nil:
		return errUnchanged
	}
	id.Pledge = &p
	return nil
}

// belong makes this node one of the cluster of a peer: at once where it is a member already, else by asking the leader.
func (s *search) belong(ctx context.Context, p peerStatus) (done bool, err error) {
	n := s.node
	cluster, err := broker.ParseNodeID(p.Cluster)
	if err != nil {
		return false, fmt.Errorf("cluster of %s: %w", p.Addr, err)
	}
	self := n.self.now().Node
	if slices.ContainsFunc(p.Members, func(f founder) bool { return f.Node == self }) {
		err := n.self.change(func(id *identity) error { id.Cluster, id.cluster = p.Cluster, cluster; return nil })
		if err != nil {
			return false, fmt.Errorf("join cluster: %w", err)
		}
		n.port.belong(cluster)
		n.logger.Info("cluster found", "cluster", p.Cluster, "through", p.Addr)
		return true, nil
	}
	leader := p.Leader
	if leader == "" {
		s.waiting = "for the cluster of " + p.Addr + " to have a leader"
		return false, nil
	}
	r, err := n.ask(ctx, leader, question{Ask: askJoin}, joinTimeout)
	switch {
	case err != nil:
		s.waiting = "to be admitted by " + leader + ": " + err.Error()
	case !r.Yes:
		s.waiting = "to be admitted by " + leader + ": " + r.Reason
	}
	s.warn()
	return false, nil
}
