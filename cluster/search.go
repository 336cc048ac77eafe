package cluster

// This file holds how a node without a log finds its cluster: it asks the seeds who they are until there is one that it is a member of.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

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

// seedsHash names the set of seeds.
func (c *Config) seedsHash() string {
	seeds := slices.Clone(c.Seeds)
	slices.Sort(seeds)
	return fmt.Sprintf("%016x", xxhash.Sum64String(strings.Join(seeds, ",")))
}

// settle is how long to wait for seeds that do not answer.
func (c *Config) settle() time.Duration {
	for _, seed := range c.Seeds {
		host, _, err := net.SplitHostPort(seed)
		if err != nil {
			return foundingSettle
		}
		if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
			return foundingSettle
		}
	}
	return foundingSettleLoopback
}

// picture is what one round of questions has shown.
type picture struct {
	peers   []peerStatus // distinct, this node among them, by node id
	missing []string     // seeds that did not answer, with why
}

// look asks all seeds at once who they are. A seed may be where this node is.
func (n *Node) look(ctx context.Context) picture {
	answers := make([]peerStatus, len(n.cfg.Seeds))
	faults := make([]error, len(n.cfg.Seeds))
	var asking sync.WaitGroup
	for i, seed := range n.cfg.Seeds {
		if seed != n.port.advertise.String() {
			asking.Go(func() { answers[i], faults[i] = n.askStatus(ctx, seed) })
		}
	}
	asking.Wait()
	view := picture{peers: []peerStatus{n.peerStatus()}}
	for i, a := range answers {
		switch {
		case errors.Is(faults[i], errSelf):
			view.missing = append(view.missing, n.cfg.Seeds[i]+" (a node with this node's identity: one data directory is a copy of the other, or one node is listed twice)")
		case faults[i] != nil:
			view.missing = append(view.missing, n.cfg.Seeds[i])
		case a.Node != "":
			view.peers = append(view.peers, a)
		}
	}
	slices.SortFunc(view.peers, func(a, b peerStatus) int { return cmp.Compare(a.Node, b.Node) })
	view.peers = slices.CompactFunc(view.peers, func(a, b peerStatus) bool { return a.Node == b.Node })
	return view
}

func (n *Node) askStatus(ctx context.Context, addr string) (peerStatus, error) {
	r, err := n.ask(ctx, addr, question{Ask: askStatus}, membershipTimeout)
	return r.Status, err
}

// has tells whether a node is in the picture.
func (v picture) has(node string) bool {
	return slices.ContainsFunc(v.peers, func(p peerStatus) bool { return p.Node == node })
}

// findCluster asks the seeds until there is a cluster that this node is a member of.
func (n *Node) findCluster(ctx context.Context) error {
	n.logger.Info("looking for the cluster", "seeds", strings.Join(n.cfg.Seeds, ","), "expect", n.cfg.Expect)
	s := &search{node: n, warned: time.Now()}
	for {
		done, err := s.round(ctx)
		if err != nil || done {
			n.waiting.Store(nil)
			return err
		}
		if time.Since(s.warned) >= foundingWarn {
			s.warned = time.Now()
			n.logger.Warn("no cluster yet", "waiting", n.waits())
		}
		select {
		case <-time.After(foundingPause + rand.N(foundingPause)):
		case <-ctx.Done():
			return ctx.Err()
		case <-n.failed:
			return n.failure
		}
	}
}

// search is a node's way to its cluster.
type search struct {
	node   *Node
	seen   string    // who was there in the last round
	since  time.Time // when that was seen first
	warned time.Time
	met    peerStatus // the first node that had a cluster
	torn   bool       // another one had another cluster
}

// waitFor keeps what the node waits for, for people.
func (s *search) waitFor(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.node.waiting.Store(&text)
}

// round asks everybody once and does what follows. It is done when this node may start.
func (s *search) round(ctx context.Context) (done bool, err error) {
	n := s.node
	view := n.look(ctx)
	var of []peerStatus // nodes that have a cluster
	for _, p := range view.peers {
		if p.Cluster == "" {
			continue
		}
		if s.met.Cluster == "" {
			s.met = p
		}
		if p.Cluster != s.met.Cluster {
			// Once this was seen, one of the two that is away does not make the other one the right one.
			s.waitFor("other seeds, and a new start with them: %s belongs to cluster %s, %s to cluster %s, and this node joins neither",
				s.met.Addr, s.met.Cluster, p.Addr, p.Cluster)
			s.torn = true
		}
		of = append(of, p)
	}
	if s.torn {
		return false, nil
	}
	if len(of) > 0 {
		return s.join(ctx, of)
	}
	founders := s.founders(view)
	if len(founders) == 0 {
		return false, nil
	}
	return s.found(ctx, founders)
}

// join makes this node one of the cluster that these peers are of: at once where it is a member already, else by asking the leader.
func (s *search) join(ctx context.Context, peers []peerStatus) (done bool, err error) {
	n := s.node
	self, name := n.self.now().Node, peers[0].Cluster
	cluster, err := broker.ParseNodeID(name)
	if err != nil {
		return false, fmt.Errorf("cluster of %s: %w", peers[0].Addr, err)
	}
	for _, p := range peers {
		if !slices.ContainsFunc(p.Members, func(f founder) bool { return f.Node == self }) {
			continue
		}
		err := n.self.change(func(id *identity) error { id.Cluster, id.cluster = name, cluster; return nil })
		if err != nil {
			return false, fmt.Errorf("join cluster: %w", err)
		}
		n.port.belong(cluster)
		n.logger.Info("cluster found", "cluster", name, "through", p.Addr)
		return true, nil
	}
	if err := n.askToJoin(ctx, peers); err != nil {
		s.waitFor("cluster %s, which %s is of, to take this node in: %v", name, peers[0].Addr, err)
	}
	return false, nil // the members name this node in the next round
}

// founders says with whom this node may found a cluster by what was seen; none while it may not, or another is to.
func (s *search) founders(view picture) []founder {
	n := s.node
	self, pledge := n.self.now().Node, n.self.now().Pledge
	if pledge != nil && pledge.Candidate != self {
		s.waitFor("%s, to which this node has promised itself, to found the cluster: bring that node back; if its disk is gone for good, "+
			"empty the data directory of this node, and of all that wait for the same: there is no log in them yet", pledge.Candidate)
		return nil
	}
	can, rival, others := s.candidates(view)
	missing := strings.Join(append(view.missing, others...), " ")
	switch {
	case pledge != nil && len(pledge.Founders) == n.cfg.Expect && !slices.ContainsFunc(pledge.Founders, func(f founder) bool { return !slices.Contains(can, f) }):
		return pledge.Founders // begun before
	case pledge == nil && rival != "":
		s.waitFor("%s to found the cluster", rival)
		return nil
	case len(can) < n.cfg.Expect:
		s.waitFor("%d nodes that agree, %d are here; not: %s", n.cfg.Expect, len(can), missing)
		return nil
	case len(view.missing) > 0 && time.Since(s.since) < n.cfg.settle():
		s.waitFor("seeds that do not answer yet: %s", missing)
		return nil
	}
	if pledge == nil {
		if can = can[:n.cfg.Expect]; can[0].Node != self {
			s.waitFor("%s at %s to found the cluster", can[0].Node, can[0].Addr)
			return nil
		}
		return can
	}
	// A founder is gone: the candidate stays one, with the lowest of the others.
	can = slices.DeleteFunc(can, func(f founder) bool { return f.Node == self })[:n.cfg.Expect-1]
	can = append(can, founder{self, n.port.advertise.String()})
	slices.SortFunc(can, func(a, b founder) int { return cmp.Compare(a.Node, b.Node) })
	return can
}

// candidates gives the nodes that may be founded by this one, by their ids; a candidate that is there and has promises already; and who is there
// and does not agree.
func (s *search) candidates(view picture) (can []founder, rival string, others []string) {
	n := s.node
	for _, p := range view.peers {
		switch {
		case p.Expect != n.cfg.Expect || p.Seeds != n.cfg.seedsHash():
			others = append(others, fmt.Sprintf("%s (expects %d nodes, its list of seeds is %s)", p.Addr, p.Expect, sameWord(p.Seeds == n.cfg.seedsHash())))
		case p.Promised == "" || p.Promised == n.self.now().Node:
			can = append(can, founder{p.Node, p.Addr})
		case view.has(p.Promised):
			rival = p.Promised
		default:
			others = append(others, fmt.Sprintf("%s (has promised itself to %s)", p.Addr, p.Promised))
		}
	}
	if seen := fmt.Sprint(can); seen != s.seen {
		s.seen, s.since = seen, time.Now()
	}
	return can, rival, others
}

func sameWord(same bool) string {
	if same {
		return "the same"
	}
	return "another"
}
