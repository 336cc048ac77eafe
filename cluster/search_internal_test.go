package cluster

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// openSorted opens nodes that listen and do not run, by their ids.
func openSorted(t *testing.T, cfgs []Config) []*Node {
	t.Helper()
	var nodes []*Node
	for _, cfg := range cfgs {
		nodes = append(nodes, openListening(t, cfg))
	}
	slices.SortFunc(nodes, func(a, b *Node) int { return strings.Compare(a.self.now().Node, b.self.now().Node) })
	return nodes
}

func (n *Node) asFounder() founder { return founder{n.self.now().Node, n.port.advertise.String()} }

func foundersOf(nodes ...*Node) (founders []founder) {
	for _, n := range nodes {
		founders = append(founders, n.asFounder())
	}
	return founders
}

func newSearch(n *Node) *search { return &search{node: n, warned: time.Now()} }

// wantWaiting checks that a round does not find a cluster, and says why.
func wantWaiting(t *testing.T, s *search, words ...string) {
	t.Helper()
	done, err := s.round(t.Context())
	if done || err != nil {
		t.Fatalf("round = %v, %v, want to go on waiting", done, err)
	}
	for _, word := range words {
		if got := s.node.waits(); !strings.Contains(got, word) {
			t.Errorf("waits for %q, want %q in it", got, word)
		}
	}
}

func TestSearch(t *testing.T) {
	t.Run("leaves it to the lowest id to found the cluster", func(t *testing.T) {
		nodes := openSorted(t, seedConfigs(t, 3, 3))
		wantWaiting(t, newSearch(nodes[1]), nodes[0].self.now().Node, "to found the cluster")
		if done, err := newSearch(nodes[0]).round(t.Context()); !done || err != nil {
			t.Fatalf("round of the lowest = %v, %v, want the cluster founded", done, err)
		}
		if got, want := nodes[0].self.now().Pledge.Founders, foundersOf(nodes...); !slices.Equal(got, want) {
			t.Errorf("founders = %v, want %v", got, want)
		}
	})
	t.Run("waits for nodes that are missing and names them", func(t *testing.T) {
		cfgs := seedConfigs(t, 3, 3)
		nodes := openSorted(t, cfgs[:2])
		wantWaiting(t, newSearch(nodes[0]), "3 nodes that agree, 2 are here", cfgs[2].Addr)
	})
	t.Run("counts nobody who expects something else and names it", func(t *testing.T) {
		cfgs := seedConfigs(t, 3, 3)
		cfgs[2].Expect = 2
		cfgs[1].Seeds = append([]string{"127.0.0.1:1"}, cfgs[1].Seeds...)
		nodes := []*Node{openListening(t, cfgs[0]), openListening(t, cfgs[1]), openListening(t, cfgs[2])}
		wantWaiting(t, newSearch(nodes[0]), "1 are here", cfgs[1].Addr+" (expects 3 nodes, its list of seeds is another)", cfgs[2].Addr+" (expects 2 nodes")
	})
	t.Run("waits a while for a seed that is not needed", func(t *testing.T) {
		cfgs := seedConfigs(t, 3, 2)
		nodes := openSorted(t, cfgs[:2])
		s := newSearch(nodes[0])
		wantWaiting(t, s, "seeds that do not answer yet: "+cfgs[2].Addr)
		s.since = s.since.Add(-foundingSettleLoopback)
		if done, err := s.round(t.Context()); !done || err != nil {
			t.Errorf("round after a while = %v, %v, want the cluster founded", done, err)
		}
	})
	t.Run("founds nothing beside a cluster that a seed is of", func(t *testing.T) {
		cfgs := seedConfigs(t, 3, 2)
		old, nodes := openListening(t, cfgs[2]), openSorted(t, cfgs[:2])
		if err := old.self.change(func(id *identity) error { return id.mintCluster(time.Now()) }); err != nil {
			t.Fatal(err)
		}
		wantWaiting(t, newSearch(nodes[0]), "cluster "+old.self.now().Cluster, cfgs[2].Addr, "no leader is known")
		if got := nodes[0].self.now().Cluster; got != "" {
			t.Errorf("cluster = %s, want none: nobody has taken the node in", got)
		}
	})
	t.Run("joins neither of two clusters, nor the one that is left", func(t *testing.T) {
		cfgs := seedConfigs(t, 3, 2)
		fresh := openListening(t, cfgs[0])
		for i, addr := range fresh.cfg.Seeds[1:] {
			cfg := dirConfig(t)
			cfg.Addr, cfg.Seeds, cfg.Expect, cfg.Name = addr, []string{addr}, 1, fresh.cfg.Seeds[1+i]
			other := startNode(t, cfg)
			other.awaitReady(t)
			defer other.stop(t)
		}
		s := newSearch(fresh)
		wantWaiting(t, s, "other seeds", cfgs[1].Addr, cfgs[2].Addr)
		fresh.cfg.Seeds = fresh.cfg.Seeds[:2]
		wantWaiting(t, s, "other seeds")
		if done, err := newSearch(fresh).round(t.Context()); done || err != nil {
			t.Fatalf("first round after a start with one of them = %v, %v, want to have asked", done, err)
		}
		if done, err := newSearch(fresh).round(t.Context()); !done || err != nil {
			t.Errorf("second round = %v, %v, want to be a member", done, err)
		}
	})
	t.Run("tells a copy of its own data directory from itself", func(t *testing.T) {
		cfgs := seedConfigs(t, 2, 2)
		first := openListening(t, cfgs[0])
		id, err := first.disk.Identity()
		if err != nil {
			t.Fatal(err)
		}
		disk, err := OpenDir(cfgs[1].DataDir)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(disk.SaveIdentity(id), disk.Close()); err != nil {
			t.Fatal(err)
		}
		openListening(t, cfgs[1])
		wantWaiting(t, newSearch(first), cfgs[1].Addr+" (a node with this node's identity")
	})
}

func TestCandidates(t *testing.T) {
	t.Run("of two with a founder in common one founds", func(t *testing.T) {
		nodes := openSorted(t, seedConfigs(t, 3, 2))
		results := make(chan bool, 2)
		for _, n := range nodes[:2] {
			go func() { // they do not see each other, as if the network between them were cut
				done, err := newSearch(n).found(t.Context(), foundersOf(n, nodes[2]))
				if err != nil {
					t.Error(err)
				}
				results <- done
			}()
		}
		if one, two := <-results, <-results; one == two {
			t.Errorf("founded = %v and %v, want one of them", one, two)
		}
		clusters := 0
		for _, n := range nodes {
			if n.self.now().Cluster != "" {
				clusters++
			}
		}
		if clusters != 1 {
			t.Errorf("%d clusters were named, want 1", clusters)
		}
	})
	t.Run("of which one has promises are waited for", func(t *testing.T) {
		nodes := openSorted(t, seedConfigs(t, 4, 3))
		late, founders := nodes[0], foundersOf(nodes[1:]...) // the lowest id comes when another one has begun
		for _, n := range nodes[1:3] {
			if err := n.self.change(func(id *identity) error { return id.give(pledge{Candidate: founders[0].Node}) }); err != nil {
				t.Fatal(err)
			}
		}
		wantWaiting(t, newSearch(late), founders[0].Node+" to found the cluster")
		if late.self.now().Pledge != nil {
			t.Error("the node has promised itself to itself beside a candidate that has begun")
		}
		if done, err := newSearch(nodes[1]).round(t.Context()); !done || err != nil {
			t.Errorf("round of the candidate = %v, %v, want the cluster founded", done, err)
		}
	})
	t.Run("that are gone with their disk do not stand in the way of enough others", func(t *testing.T) {
		nodes := openSorted(t, seedConfigs(t, 5, 3))
		for _, n := range nodes[:2] {
			if err := n.self.change(func(id *identity) error { return id.give(pledge{Candidate: nodeID(1).String()}) }); err != nil {
				t.Fatal(err)
			}
		}
		wantWaiting(t, newSearch(nodes[0]), nodeID(1).String(), "empty the data directory")
		if done, err := newSearch(nodes[2]).round(t.Context()); !done || err != nil {
			t.Errorf("round = %v, %v, want the cluster founded by those that have promised nothing", done, err)
		}
	})
	t.Run("take another founder when one has lost its disk before the cluster had its name", func(t *testing.T) {
		cfgs := seedConfigs(t, 3, 3)
		first, second := openListening(t, cfgs[0]), openListening(t, cfgs[1])
		if first.self.now().Node > second.self.now().Node {
			first, second = second, first
		}
		old := founder{nodeID(250).String(), cfgs[2].Addr}
		given := pledge{first.self.now().Node, append(foundersOf(first, second), old)}
		if err := errors.Join(
			first.self.change(func(id *identity) error { return id.give(given) }),
			second.self.change(func(id *identity) error { return id.give(pledge{Candidate: given.Candidate}) }),
		); err != nil {
			t.Fatal(err)
		}
		wantWaiting(t, newSearch(first), "3 nodes that agree, 2 are here")
		third := openListening(t, cfgs[2])
		if done, err := newSearch(first).round(t.Context()); !done || err != nil {
			t.Fatalf("round = %v, %v (%s), want the cluster founded", done, err, first.waits())
		}
		for _, f := range first.self.now().Pledge.Founders {
			if f == old {
				t.Errorf("founders = %v, want %v in the place of %v", first.self.now().Pledge.Founders, third.asFounder(), old)
			}
		}
	})
}

// A node asks and answers under its own name only: a promise could else be had for somebody else.
func TestQuestionsOfImpostorsAreRefused(t *testing.T) {
	nodes := openSorted(t, seedConfigs(t, 3, 3))
	conn, _, err := nodes[1].port.dial(t.Context(), nodes[2].port.advertise.String(), streamMembership)
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(t, conn)
	var r reply
	q := question{Ask: askPromise, From: nodes[0].peerStatus(), Founders: foundersOf(nodes...)}
	if err := errors.Join(writeMessage(conn, q), readMessage(conn, &r)); err != nil {
		t.Fatal(err)
	}
	if r.Yes || nodes[2].self.now().Pledge != nil {
		t.Errorf("reply = %+v, want no promise", r)
	}
}
