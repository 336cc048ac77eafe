package main

// cluster_crash_test.go: what a cluster has promised outlives the death of any of its nodes, and of all of them. Variables of the environment:
// STAMPEDE_CLUSTER_KILLS is how often the leader is killed, STAMPEDE_CLUSTER_BLACKOUTS how often all nodes are, STAMPEDE_FOUND_ROUNDS how
// many clusters are founded.

import (
	"fmt"
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
		figure(t, "cluster founded: ready after the last start", took)
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

// gaps are what a client felt of the death of nodes.
type gaps struct {
	silent []time.Duration // by publisher and kill: from the kill to the first receipt of a SEND begun after it
	moved  []time.Duration // the same for publishers of the node that died, who had to go to another
	waited []time.Duration // by publisher and kill: the longest that a SEND waited for its receipt
}

func (g *gaps) note(p *crashPublisher, moved bool) {
	if moved {
		g.moved = append(g.moved, p.gap)
	} else {
		g.silent = append(g.silent, p.gap)
	}
	g.waited = append(g.waited, p.waited)
}

// killing is a cluster whose leader is killed again and again.
type killing struct {
	testCluster
	random           *rand.Rand
	toTopic, toQueue []*crashPublisher // two at the followers, one at the leader
	marker           *crashPublisher   // ends each round in the topic
	followers        []*topicFollower  // of all rounds
	lives            [][]*journal      // of the queue's consumers
	felt             gaps
}

// round kills the leader while publishers of all nodes send and consumers of all nodes settle.
func (k *killing) round(t *testing.T) {
	t.Helper()
	leader, others := k.leader(t)
	places := []*crashBroker{others[0], others[1], leader}
	for i, b := range places {
		f := &topicFollower{url: b.tcp, topic: crashTopic, marker: k.marker.name, last: k.marker.sent + 1}
		if b == leader {
			f.refuge = others[0].tcp
		}
		k.followers = append(k.followers, startFollower(t, f))
		for _, p := range []*crashPublisher{k.toTopic[i], k.toQueue[i]} {
			p.url, p.refuge, p.gap = b.tcp, f.refuge, 0
			p.struck.Store(0)
		}
	}
	victim := startLocalConsumer(t, queueConsumer{URL: leader.tcp, Queue: crashQueue, Mode: oneByOne, Credit: 50, HoldEvery: 5}, nil)
	survivors := []*localConsumer{
		startLocalConsumer(t, queueConsumer{URL: others[0].tcp, Queue: crashQueue, Mode: oneByOne, Credit: 50}, nil),
		startLocalConsumer(t, queueConsumer{URL: others[1].tcp, Queue: crashQueue, Mode: oneByOne, Credit: 50}, nil),
	}
	all := slices.Concat(k.toTopic, k.toQueue)
	startPublishers(t, all)
	<-time.After(between(k.random, crashLoadMin, crashLoadMax))
	for _, p := range all {
		p.struck.Store(time.Now().UnixNano())
	}
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
		k.felt.note(p, p == k.toTopic[2] || p == k.toQueue[2])
	}
	leader.start(t)
	k.endRound(t, leader, victim, survivors)
}

// endRound waits until all that was sent has come, and the queue is empty.
func (k *killing) endRound(t *testing.T, killed *crashBroker, victim *localConsumer, survivors []*localConsumer) {
	t.Helper()
	k.marker.url = killed.tcp
	k.marker.publish(t, 1)
	for _, f := range k.followers[len(k.followers)-len(k.testCluster):] {
		f.await(t)
	}
	await(t, "an empty queue", func() bool { return killed.queue(t, crashQueue).Messages == 0 })
	if <-victim.ended; !brokenOff(victim.err) {
		t.Errorf("the consumer of the killed node: %v", victim.err)
	}
	var life []*journal
	for _, s := range survivors {
		await(t, "the last receipts", func() bool { got, settled := s.counts(); return got == settled })
		if s.close(); s.err != nil {
			t.Errorf("a consumer of a node that lives: %v", s.err)
		}
		life = append(life, s.journal)
	}
	k.lives = append(k.lives, []*journal{victim.journal}, life)
}

func TestClusterCrash(t *testing.T) {
	skipShort(t)
	t.Run("receipted_survives_the_leader", func(t *testing.T) {
		k := &killing{testCluster: newTestCluster(t), random: crashRandom(t), marker: &crashPublisher{name: "marker", destination: crashTopic}}
		defer k.tellAtFailure(t)
		k.start(t)
		for i := range k.testCluster {
			k.toTopic = append(k.toTopic, &crashPublisher{name: fmt.Sprintf("topic-%d", i+1), destination: crashTopic})
			k.toQueue = append(k.toQueue, &crashPublisher{name: fmt.Sprintf("queue-%d", i+1), destination: crashQueue, pace: time.Millisecond})
		}
		for range numberOf(t, clusterKillsEnv, 2) {
			k.round(t)
		}
		t.Logf("%d receipts", receipts(k.toTopic)+receipts(k.toQueue))
		figure(t, "leader killed: first receipt of a SEND begun after, session of another node", k.felt.silent)
		figure(t, "leader killed: the same, session of the leader, reconnected to another node", k.felt.moved)
		figure(t, "leader killed: the longest from SEND to RECEIPT", k.felt.waited)
		k.awaitAgreement(t)
		log := k.checkTopic(t, k.marker, k.toTopic)
		for _, f := range k.followers {
			checkFollowed(t, log, f)
			checkNoneMissedBetween(t, log, f)
		}
		rest := k.testCluster[0].drain(t, crashQueue)
		checkLives(t, append(k.lives, []*journal{rest}), k.toQueue)
		k.stopAndVerify(t)
	})

	t.Run("receipted_survives_all_nodes_at_once", func(t *testing.T) {
		random, c := crashRandom(t), newTestCluster(t)
		defer c.tellAtFailure(t)
		c.start(t)
		var toTopic, toQueue []*crashPublisher
		for i, b := range c {
			toTopic = append(toTopic, &crashPublisher{name: fmt.Sprintf("topic-%d", i+1), url: b.tcp, destination: crashTopic})
			toQueue = append(toQueue, &crashPublisher{name: fmt.Sprintf("queue-%d", i+1), url: b.tcp, destination: crashQueue, pace: time.Millisecond})
		}
		var followers []*topicFollower
		var lives [][]*journal
		var back []time.Duration
		for range numberOf(t, clusterBlackoutsEnv, 1) {
			followed, life := c.blackout(t, random, toTopic, toQueue)
			followers, lives = append(followers, followed...), append(lives, life)
			begun := time.Now()
			c.start(t)
			back = append(back, time.Since(begun))
		}
		t.Logf("%d receipts", receipts(toTopic)+receipts(toQueue))
		figure(t, "all nodes killed: from the start to all ready", back)
		c.awaitAgreement(t)
		log := c.checkTopic(t, &crashPublisher{name: "marker", destination: crashTopic}, toTopic)
		for _, f := range followers {
			checkFollowed(t, log, f)
		}
		rest := c[1].drain(t, crashQueue)
		checkLives(t, append(lives, []*journal{rest}), toQueue)
		c.stopAndVerify(t)
	})
}

// blackout kills all nodes under load, and gives what subscribers and consumers had been given.
func (c testCluster) blackout(t *testing.T, random *rand.Rand, toTopic, toQueue []*crashPublisher) (followed []*topicFollower, life []*journal) {
	t.Helper()
	all := slices.Concat(toTopic, toQueue)
	var consumers []*localConsumer
	for i, b := range c {
		followed = append(followed, startFollower(t, &topicFollower{url: b.tcp, topic: crashTopic}))
		mode := []string{oneByOne, cumulative, inTransactions}[i]
		consumers = append(consumers, startLocalConsumer(t, queueConsumer{URL: b.tcp, Queue: crashQueue, Mode: mode, Credit: 50}, nil))
	}
	startPublishers(t, all)
	<-time.After(between(random, crashLoadMin, crashLoadMax))
	for _, b := range c {
		b.strike()
	}
	for _, b := range c {
		b.awaitKilled(t)
	}
	awaitPublishers(t, all)
	for _, f := range followed {
		if <-f.ended; !brokenOff(f.err) {
			t.Errorf("the subscriber at %s: %v", f.url, f.err)
		}
	}
	for _, l := range consumers {
		if <-l.ended; !brokenOff(l.err) {
			t.Errorf("a consumer: %v", l.err)
		}
		life = append(life, l.journal)
	}
	return followed, life
}
