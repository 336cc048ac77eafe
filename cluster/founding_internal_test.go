package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"stampede/internal/loopback"
)

// seedConfigs are nodes with empty disks that know each other's addresses.
func seedConfigs(t *testing.T, n, expect int) []Config {
	t.Helper()
	addrs := loopback.Addrs(t, n)
	cfgs := make([]Config, n)
	for i := range cfgs {
		cfgs[i] = dirConfig(t)
		cfgs[i].Addr, cfgs[i].Seeds, cfgs[i].Expect = addrs[i], addrs, expect
		cfgs[i].Name = fmt.Sprint("n", i+1)
		cfgs[i].RaftTimeout = 150 * time.Millisecond
	}
	return cfgs
}

// awaitVoters waits until every node names the same cluster with so many voters and members.
func awaitVoters(t *testing.T, nodes []*running, voters, members int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(5 * time.Millisecond) {
		good := 0
		for _, n := range nodes {
			s := n.Status()
			count := 0
			for _, m := range s.Members {
				if m.Voter {
					count++
				}
			}
			if s.Cluster != "" && s.Cluster == nodes[0].Status().Cluster && count == voters && len(s.Members) == members {
				good++
			}
		}
		if good == len(nodes) {
			return
		}
		if time.Now().After(deadline) {
			for _, n := range nodes {
				t.Logf("%s: %+v", n.cfg.Name, n.Status())
			}
			t.Fatalf("no cluster of %d voters and %d members", voters, members)
		}
	}
}

func stopAll(t *testing.T, nodes []*running) {
	t.Helper()
	for _, n := range nodes {
		n.stop(t)
	}
}

func TestFounding(t *testing.T) {
	t.Run("makes voters of all founders, whatever comes first", func(t *testing.T) {
		cfgs := seedConfigs(t, 3, 3)
		last := startNode(t, cfgs[2])
		first := startNode(t, cfgs[0])
		for last.Status().Role != "founding" || first.Status().Role != "founding" {
			<-time.After(time.Millisecond)
		}
		nodes := []*running{last, first, startNode(t, cfgs[1])}
		for _, n := range nodes {
			n.awaitReady(t)
		}
		awaitVoters(t, nodes, 3, 3)
		for _, n := range nodes {
			n.send(t, n.cfg.Name)
		}
		wantSame(t, nodes, 3)
		stopAll(t, nodes)

		// All of them, in another order: the log says who they are, and the seeds are not asked.
		nodes = []*running{startNode(t, cfgs[1]), startNode(t, cfgs[2])}
		awaitLeader(t, nodes)
		nodes = append(nodes, startNode(t, cfgs[0]))
		for _, n := range nodes {
			n.awaitReady(t)
		}
		for _, n := range nodes {
			n.send(t, "again "+n.cfg.Name)
		}
		wantSame(t, nodes, 3)
		stopAll(t, nodes)
	})

	t.Run("takes a node that is not needed as a member without a vote", func(t *testing.T) {
		cfgs := seedConfigs(t, 4, 3)
		var nodes []*running
		for _, cfg := range cfgs {
			nodes = append(nodes, startNode(t, cfg))
		}
		for _, n := range nodes {
			n.awaitReady(t)
		}
		awaitVoters(t, nodes, 3, 4)
		stopAll(t, nodes)
	})

	t.Run("does not wait for a seed that stays away when there are enough", func(t *testing.T) {
		cfgs := seedConfigs(t, 3, 2)
		nodes := []*running{startNode(t, cfgs[0]), startNode(t, cfgs[2])}
		for _, n := range nodes {
			n.awaitReady(t)
		}
		awaitVoters(t, nodes, 2, 2)
		stopAll(t, nodes)
	})

	t.Run("takes an empty disk at a known address for a new node", func(t *testing.T) {
		cfgs := seedConfigs(t, 3, 3)
		var nodes []*running
		for _, cfg := range cfgs {
			nodes = append(nodes, startNode(t, cfg))
		}
		for _, n := range nodes {
			n.awaitReady(t)
		}
		_, followers := awaitLeader(t, nodes)
		gone := followers[0]
		id := gone.ID()
		gone.stop(t)
		cfg := gone.cfg
		cfg.DataDir = t.TempDir()
		again := startNode(t, cfg)
		again.awaitReady(t)
		if again.ID() == id {
			t.Error("the empty disk has the id of the one before")
		}
		for i, n := range nodes {
			if n == gone {
				nodes[i] = again
			}
		}
		awaitVoters(t, nodes, 2, 3)
		stopAll(t, nodes)
	})
}

// openNode opens a node that does not run, with its port open.
func openListening(t *testing.T, cfg Config) *Node {
	t.Helper()
	n, err := Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(n.port.Close(), n.Close()); err != nil {
			t.Error(err)
		}
	})
	return n
}

func TestPromise(t *testing.T) {
	cfgs := seedConfigs(t, 3, 3)
	a, b, c := openListening(t, cfgs[0]), openListening(t, cfgs[1]), openListening(t, cfgs[2])
	founders := []founder{}
	for _, n := range []*Node{a, b, c} {
		founders = append(founders, founder{n.self.now().Node, n.port.advertise.String()})
	}
	ask := func(from, to *Node, founders []founder) reply {
		t.Helper()
		r, err := from.ask(context.Background(), to.port.advertise.String(), question{Ask: askPromise, Founders: founders}, membershipTimeout)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, q := range []struct {
		name     string
		from     *Node
		founders []founder
		want     bool
	}{
		{"is not given for a set without the node", a, founders[:2], false},
		{"is given to the first candidate", a, founders, true},
		{"is given again to the same", a, founders, true},
		{"is not given to another", b, founders, false},
		{"is given to the same candidate with another founder", a, []founder{founders[0], {Node: nodeID(7).String(), Addr: "127.0.0.1:1"}, founders[2]}, true},
	} {
		t.Run(q.name, func(t *testing.T) {
			if r := ask(q.from, c, q.founders); r.Yes != q.want {
				t.Errorf("promise = %v (%s), want %v", r.Yes, r.Reason, q.want)
			}
		})
	}
	t.Run("is on disk before it is told", func(t *testing.T) {
		id, err := readIdentity(c.disk)
		if err != nil || id.Pledge == nil || id.Pledge.Candidate != a.self.now().Node {
			t.Errorf("identity on disk = %+v, %v, want the promise", id, err)
		}
	})
}

// A founding that a crash of the candidate cut short, at each of its steps, is finished when it comes back.
func TestFoundingOutlivesACrashOfTheCandidate(t *testing.T) {
	for _, step := range []string{"after its own promise", "after all promises", "after the cluster has its name"} {
		t.Run(step, func(t *testing.T) {
			cfgs := seedConfigs(t, 3, 3)
			var founders []founder
			var ids []identity
			for _, cfg := range cfgs { // identities as a first start makes them
				n, err := Open(cfg, slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, *n.self.now())
				founders = append(founders, founder{n.self.now().Node, cfg.Addr})
				if err := n.Close(); err != nil {
					t.Fatal(err)
				}
			}
			low := 0
			for i := range founders {
				if founders[i].Node < founders[low].Node {
					low = i
				}
			}
			given := &pledge{Candidate: founders[low].Node, Founders: founders}
			for i := range ids {
				if i == low || step != "after its own promise" {
					ids[i].Pledge = given
				}
				if i == low && step == "after the cluster has its name" {
					if err := ids[i].mintCluster(time.Now()); err != nil {
						t.Fatal(err)
					}
				}
				disk, err := OpenDir(cfgs[i].DataDir)
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(ids[i].save(disk), disk.Close()); err != nil {
					t.Fatal(err)
				}
			}
			var nodes []*running
			for _, cfg := range cfgs {
				nodes = append(nodes, startNode(t, cfg))
			}
			for _, n := range nodes {
				n.awaitReady(t)
			}
			awaitVoters(t, nodes, 3, 3)
			if c := ids[low].Cluster; c != "" && nodes[0].Status().Cluster != c {
				t.Errorf("cluster = %s, want %s", nodes[0].Status().Cluster, c)
			}
			stopAll(t, nodes)
		})
	}
}

func TestConfigOfFounders(t *testing.T) {
	cfg := DefaultConfig()
	cfg.DataDir = "x"
	for _, c := range []struct {
		seeds, expect int
		good          bool
	}{{0, 0, true}, {3, 3, true}, {3, 2, true}, {3, 1, false}, {4, 2, false}, {4, 3, true}, {3, 4, false}, {2, 2, true}, {2, 1, false}} {
		cfg.Expect, cfg.Seeds = c.expect, make([]string, c.seeds)
		if err := cfg.Validate(); (err == nil) != c.good {
			t.Errorf("%d of %d: %v, want good %v", c.expect, c.seeds, err, c.good)
		}
	}
}

// One node more than is expected, in any order and with any pauses: three found one cluster, the fourth becomes a member of it.
func TestFoundingOfMoreThanExpected(t *testing.T) {
	for range 2 {
		var nodes []*running
		cfgs := seedConfigs(t, 4, 3)
		for _, i := range rand.Perm(len(cfgs)) {
			<-time.After(rand.N(500 * time.Millisecond))
			nodes = append(nodes, startNode(t, cfgs[i]))
		}
		for _, n := range nodes {
			n.awaitReady(t)
		}
		awaitVoters(t, nodes, 3, 4)
		stopAll(t, nodes)
	}
}
