package cluster

import (
	"errors"
	"slices"
	"testing"
	"time"

	"stampede/internal/loopback"
)

// awaitAddrs waits until every node has the members at these addresses, with so many voters.
func awaitAddrs(t *testing.T, nodes []*running, voters int, addrs ...string) {
	t.Helper()
	awaitVoters(t, nodes, voters, len(addrs))
	addrs = slices.Sorted(slices.Values(addrs)) // the caller's may be a node's own
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(5 * time.Millisecond) {
		var got [][]string
		same := 0
		for _, n := range nodes {
			var at []string
			for _, m := range n.Status().Members {
				at = append(at, m.Addr)
			}
			slices.Sort(at)
			got = append(got, at)
			if slices.Equal(at, addrs) {
				same++
			}
		}
		if same == len(nodes) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("members at %v, want %v on each node", got, addrs)
		}
	}
}

// startReady starts nodes and waits until all are ready.
func startReady(t *testing.T, cfgs []Config) (nodes []*running) {
	t.Helper()
	for _, cfg := range cfgs {
		nodes = append(nodes, startNode(t, cfg))
	}
	for _, n := range nodes {
		n.awaitReady(t)
	}
	return nodes
}

func TestMembersLearnWhereANodeIs(t *testing.T) {
	t.Run("that has moved while the others stayed", func(t *testing.T) {
		cfgs := seedConfigs(t, 3, 3)
		nodes := startReady(t, cfgs)
		leader, followers := awaitLeader(t, nodes)
		moved := followers[0]
		moved.stop(t)
		cfg := moved.cfg
		cfg.Addr = loopback.Addr(t)
		cfg.Seeds = []string{leader.cfg.Addr, followers[1].cfg.Addr, cfg.Addr}
		nodes = []*running{leader, followers[1], startNode(t, cfg)}
		awaitAddrs(t, nodes, 3, cfg.Seeds...)
		nodes[2].awaitReady(t)
		stopAll(t, nodes)
	})
	t.Run("when all have moved at once", func(t *testing.T) {
		cfgs := seedConfigs(t, 3, 3)
		stopAll(t, startReady(t, cfgs))
		addrs := loopback.Addrs(t, 3)
		for i := range cfgs {
			cfgs[i].Addr, cfgs[i].Seeds = addrs[i], addrs
		}
		nodes := startReady(t, cfgs)
		awaitAddrs(t, nodes, 3, addrs...)
		stopAll(t, nodes)
	})
	t.Run("when all have changed places", func(t *testing.T) {
		cfgs := seedConfigs(t, 3, 3)
		stopAll(t, startReady(t, cfgs))
		addrs := cfgs[0].Seeds
		for i := range cfgs {
			cfgs[i].Addr = addrs[(i+1)%3]
		}
		nodes := startReady(t, cfgs)
		at := func(n *running) string {
			for _, m := range nodes[0].Status().Members {
				if m.ID == n.ID().String() {
					return m.Addr
				}
			}
			return ""
		}
		for deadline := time.Now().Add(30 * time.Second); ; <-time.After(5 * time.Millisecond) {
			if at(nodes[0]) == cfgs[0].Addr && at(nodes[1]) == cfgs[1].Addr && at(nodes[2]) == cfgs[2].Addr {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("members %+v, want each where it is", nodes[0].Status().Members)
			}
		}
		awaitVoters(t, nodes, 3, 3)
		stopAll(t, nodes)
	})
	t.Run("that was alone before", func(t *testing.T) {
		cfgs := seedConfigs(t, 2, 2)
		alone := cfgs[0]
		alone.Addr, alone.Seeds, alone.Expect = "", nil, 0
		first := startNode(t, alone)
		first.awaitReady(t)
		first.send(t, "before")
		first.await(t, "outcome", func() bool { return len(first.outcomes) == 1 })
		first.stop(t)
		nodes := startReady(t, cfgs)
		awaitAddrs(t, nodes, 1, cfgs[0].Addr, cfgs[1].Addr)
		if got := nodes[1].Applied(); got < 3 {
			t.Errorf("the new member has folded up to %d, want what the first had alone", got)
		}
		stopAll(t, nodes)
	})
}

// Whoever asks to be a member at an address has to answer there: a slip in a configuration must not take a voter out.
func TestNobodyTakesThePlaceOfAMember(t *testing.T) {
	nodes := startReady(t, seedConfigs(t, 3, 3))
	leader, followers := awaitLeader(t, nodes)
	for _, addr := range []string{followers[0].cfg.Addr, leader.cfg.Addr, loopback.Addr(t)} {
		who := peerStatus{Node: nodeID(7).String(), Addr: addr}
		if err := leader.admit(who); !errors.Is(err, errNotThere) {
			t.Errorf("admit somebody at %s = %v, want %v", addr, err, errNotThere)
		}
	}
	if err := followers[0].admit(followers[0].peerStatus()); !errors.Is(err, errNotLeader) {
		t.Errorf("admit at a follower = %v, want %v", err, errNotLeader)
	}
	awaitVoters(t, nodes, 3, 3)
	stopAll(t, nodes)
}
