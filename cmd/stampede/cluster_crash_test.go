package main

// cluster_crash_test.go: what a cluster has promised outlives the death of any of its nodes, and of all of them. Variables of the environment:
// STAMPEDE_CLUSTER_KILLS is how often the leader is killed, STAMPEDE_CLUSTER_BLACKOUTS how often all nodes are, STAMPEDE_FOUND_ROUNDS how
// many clusters are founded.

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

const (
	clusterKillsEnv     = "STAMPEDE_CLUSTER_KILLS"
	clusterBlackoutsEnv = "STAMPEDE_CLUSTER_BLACKOUTS"
	foundRoundsEnv      = "STAMPEDE_FOUND_ROUNDS"
	afterKillReceipts   = 200 // each publisher gets so many more receipts before the next node is killed
)

func skipShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: starts and breaks clusters of processes")
	}
}

func TestClusterFounding(t *testing.T) {
	skipShort(t)
	t.Run("makes_one_cluster_whatever_starts_first", func(t *testing.T) {
		random := crashRandom(t)
		var took []time.Duration
		for range numberOf(t, foundRoundsEnv, 2) {
			took = append(took, roundOfFounding(t, random))
		}
		slices.Sort(took)
		t.Logf("ready after the last start: p50 %v, max %v of %d", percentile(took, 50), took[len(took)-1], len(took))
	})

	t.Run("brings_a_message_from_any_node_to_any_other", func(t *testing.T) {
		const each = 20
		c := newTestCluster(t)
		c.start(t)
		var publishers []*crashPublisher
		ended := make(chan error, len(c))
		for i, b := range c {
			publishers = append(publishers, &crashPublisher{name: "node-" + string(rune('1'+i)), url: b.tcp, destination: crashTopic})
			subscribed, came := make(chan struct{}), 0
			go func() {
				ended <- readTopic(t.Context(), b.tcp, crashTopic, func() { close(subscribed) }, func(delivery) bool { came++; return came == len(c)*each })
			}()
			<-subscribed
		}
		for _, p := range publishers {
			p.publish(t, each)
		}
		for range c {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		c.checkTopic(t, &crashPublisher{name: "marker", destination: crashTopic}, publishers)
		c.stopAndVerify(t)
	})
}

// roundOfFounding starts the nodes of a new cluster in any order, with pauses, and gives how long after the last start all were ready.
func roundOfFounding(t *testing.T, random *rand.Rand) time.Duration {
	t.Helper()
	c := newTestCluster(t)
	defer c.tellAtFailure(t)
	random.Shuffle(len(c), func(i, j int) { c[i], c[j] = c[j], c[i] })
	var begun time.Time
	for _, b := range c {
		<-time.After(time.Duration(random.Int64N(int64(1500 * time.Millisecond))))
		begun = time.Now()
		b.launch(t)
	}
	c.awaitReady(t)
	took := time.Since(begun)
	c.wantWhole(t)
	c.awaitAgreement(t)
	for _, b := range c {
		b.kill(t)
	}
	return took
}

// roundOfKill kills the leader while publishers of the others send, and gives how long each of them had no receipt.
func (c testCluster) roundOfKill(t *testing.T, random *rand.Rand, toTopic, toQueue []*crashPublisher) (longest []time.Duration) {
	t.Helper()
	leader, others := c.leader(t)
	all := slices.Concat(toTopic, toQueue)
	for i := range others {
		toTopic[i].url, toQueue[i].url = others[i].tcp, others[i].tcp
	}
	for _, p := range all {
		p.limit.Store(0)
		p.finishing.Store(false)
	}
	startPublishers(t, all)
	<-time.After(between(random, crashLoadMin, crashLoadMax))
	leader.strike()
	for _, p := range all {
		had := p.count.Load()
		await(t, "receipts after the leader's death", func() bool { return p.count.Load() >= had+afterKillReceipts })
		p.finishing.Store(true)
	}
	awaitPublishers(t, all)
	leader.awaitKilled(t)
	for _, p := range all {
		if p.err != nil {
			t.Errorf("publisher %s: %v", p.name, p.err)
		}
		longest = append(longest, p.longest)
	}
	leader.start(t)
	return longest
}

func TestClusterCrash(t *testing.T) {
	skipShort(t)
	t.Run("receipted_messages_survive_the_leader", func(t *testing.T) {
		random, c := crashRandom(t), newTestCluster(t)
		c.start(t)
		toTopic := []*crashPublisher{{name: "topic-1", destination: crashTopic}, {name: "topic-2", destination: crashTopic}}
		toQueue := []*crashPublisher{{name: "queue-1", destination: crashQueue}, {name: "queue-2", destination: crashQueue}}
		var longest []time.Duration
		for range numberOf(t, clusterKillsEnv, 2) {
			longest = append(longest, c.roundOfKill(t, random, toTopic, toQueue)...)
		}
		slices.Sort(longest)
		t.Logf("without receipts: p50 %v, p99 %v, max %v; %d receipts", percentile(longest, 50), percentile(longest, 99), longest[len(longest)-1],
			receipts(toTopic)+receipts(toQueue))
		c.awaitAgreement(t)
		c.checkTopic(t, &crashPublisher{name: "marker", destination: crashTopic}, toTopic)
		drained := c[0].drain(t, crashQueue)
		checkSent(t, drained.got[:len(drained.got)-1], toQueue)
		c.stopAndVerify(t)
	})

	t.Run("receipted_messages_survive_all_nodes_at_once", func(t *testing.T) {
		random, c := crashRandom(t), newTestCluster(t)
		c.start(t)
		var toTopic, toQueue []*crashPublisher
		for i, b := range c {
			toTopic = append(toTopic, &crashPublisher{name: "topic-" + string(rune('1'+i)), url: b.tcp, destination: crashTopic})
			toQueue = append(toQueue, &crashPublisher{name: "queue-" + string(rune('1'+i)), url: b.tcp, destination: crashQueue})
		}
		all := slices.Concat(toTopic, toQueue)
		for range numberOf(t, clusterBlackoutsEnv, 1) {
			startPublishers(t, all)
			<-time.After(between(random, crashLoadMin, crashLoadMax))
			for _, b := range c {
				b.strike()
			}
			for _, b := range c {
				b.awaitKilled(t)
			}
			awaitPublishers(t, all)
			c.start(t)
		}
		t.Logf("%d receipts", receipts(all))
		c.awaitAgreement(t)
		c.checkTopic(t, &crashPublisher{name: "marker", destination: crashTopic}, toTopic)
		drained := c[1].drain(t, crashQueue)
		checkSent(t, drained.got[:len(drained.got)-1], toQueue)
		c.stopAndVerify(t)
	})
}
