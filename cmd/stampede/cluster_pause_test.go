package main

// cluster_pause_test.go: a node that stands still and then goes on. Variables of the environment: STAMPEDE_CLUSTER_PAUSES is how often one
// does, the leader and others in turn; STAMPEDE_CLUSTER_PAUSE for how many seconds.

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"stampede/stomp"
)

const (
	clusterPausesEnv = "STAMPEDE_CLUSTER_PAUSES"
	clusterPauseEnv  = "STAMPEDE_CLUSTER_PAUSE"
	pauseDefault     = 12 // seconds: a node is given up after ten
)

// wantCode checks that a client's end was the ERROR that it had to be.
func wantCode(t *testing.T, who string, err error, codes ...string) {
	t.Helper()
	refused, ok := errors.AsType[*brokerError](err)
	if !ok || !slices.Contains(codes, refused.code) {
		t.Errorf("%s: %v, want ERROR %v", who, err, codes)
	}
}

// toldOfPause are the first words of a node that stood still to who had something waiting; no-quorum if it had not left the node.
var toldOfPause = []string{stomp.CodeResumeElsewhere, stomp.CodeOutcomeUnknown, stomp.CodeNoQuorum}

// checkRefused checks that a SEND that surely had no effect has none.
func checkRefused(t *testing.T, p *crashPublisher, came []delivery) {
	t.Helper()
	refused, ok := errors.AsType[*brokerError](p.err)
	if !ok || refused.code != stomp.CodeNoQuorum {
		return
	}
	for _, d := range came {
		if d.from == p.name && strconv.Itoa(d.number) == refused.receiptID {
			t.Errorf("%v came; its SEND was answered %s", d, refused.code)
		}
	}
}

// pausing is a cluster of which one node after the other stands still.
type pausing struct {
	testCluster
	pause time.Duration
	moved []time.Duration // from the stop of a leader until another leads
}

// round lets a node stand still under load and then go on.
func (c *pausing) round(t *testing.T, round int, paused *crashBroker, led bool) {
	t.Helper()
	others := slices.DeleteFunc(slices.Clone(c.testCluster), func(b *crashBroker) bool { return b == paused })
	topic, queue, end := fmt.Sprintf("/topic/pause-%d", round), fmt.Sprintf("/queue/pause-%d", round), fmt.Sprintf("end-%d", round)
	toTopic := []*crashPublisher{{name: "topic-1", url: others[0].tcp, destination: topic}, {name: "topic-2", url: others[1].tcp, destination: topic}}
	toQueue := []*crashPublisher{{name: "queue-1", url: others[0].tcp, destination: queue}, {name: "queue-2", url: others[1].tcp, destination: queue}}
	still := []*crashPublisher{{name: "still-topic", url: paused.tcp, destination: topic}, {name: "still-queue", url: paused.tcp, destination: queue}}
	var followers []*topicFollower
	for _, b := range others {
		followers = append(followers, startFollower(t, &topicFollower{url: b.tcp, topic: topic, marker: end, last: 1}))
	}
	held := startLocalConsumer(t, queueConsumer{URL: paused.tcp, Queue: queue, Mode: oneByOne, Credit: 50, HoldEvery: 5}, nil)
	working := []*localConsumer{
		startLocalConsumer(t, queueConsumer{URL: others[0].tcp, Queue: queue, Mode: oneByOne, Credit: 50}, nil),
		startLocalConsumer(t, queueConsumer{URL: others[1].tcp, Queue: queue, Mode: cumulative, Credit: 50}, nil),
	}
	listener := openClient(t, paused.tcp)
	living := slices.Concat(toTopic, toQueue)
	for _, p := range slices.Concat(living, still) { // steady, so that the queue is not filled for its own sake
		p.pace = 5 * time.Millisecond
	}
	for _, p := range still {
		p.patience = c.pause
	}
	startPublishers(t, slices.Concat(living, still))
	held.awaitCounts(t, 20, 10)

	paused.node.signal(t, syscall.SIGSTOP)
	stopped := time.Now()
	others.leader(t)
	if led {
		c.moved = append(c.moved, time.Since(stopped))
	}
	<-time.After(c.pause)
	before, _ := held.counts() // it has read long ago what was on the way when its node stood still
	settled := map[uint64]bool{}
	for _, w := range working {
		w.addSettled(settled)
	}
	paused.node.signal(t, syscall.SIGCONT)

	<-held.ended
	for _, d := range held.got[before:] {
		if settled[d.offset] {
			t.Errorf("round %d: %v came from the node that stood still, after another had acknowledged it with a receipt", round, d)
		}
	}
	wantCode(t, "consumer of the node that stood still", held.err, toldOfPause...)
	for _, p := range still { // what they have a receipt for, and what was refused, is looked for below
		<-p.ended
		wantCode(t, "publisher of the node that stood still", p.err, toldOfPause...)
	}
	listener.interruptAfter(crashSilenceMax)
	_, err := listener.read()
	wantCode(t, "listener of the node that stood still", err, stomp.CodeResumeElsewhere)
	paused.awaitReady(t)
	working = append(working, startLocalConsumer(t, queueConsumer{URL: paused.tcp, Queue: queue, Mode: oneByOne, Credit: 50}, nil))
	for _, p := range living {
		p.finishing.Store(true)
	}
	awaitPublishers(t, living)
	(&crashPublisher{name: end, url: paused.tcp, destination: topic}).publish(t, 1)
	for _, f := range followers {
		checkSent(t, slices.DeleteFunc(slices.Clone(f.await(t)), func(d delivery) bool { return d.from == end }), append(toTopic, still[0]))
		checkFollowed(t, followers[0].came, f)
		if len(f.came) != len(followers[0].came) {
			t.Errorf("round %d: one subscriber was given %d messages, another %d", round, len(f.came), len(followers[0].came))
		}
	}
	checkRefused(t, still[0], followers[0].came)
	c.checkQueue(t, queue, end, held, working, append(toQueue, still[1]))
}

// checkQueue empties the queue of a round and checks what became of its messages.
func (c *pausing) checkQueue(t *testing.T, queue, end string, held *localConsumer, working []*localConsumer, publishers []*crashPublisher) {
	t.Helper()
	anyNode := c.testCluster[0]
	(&crashPublisher{name: end, url: anyNode.tcp, destination: queue}).publish(t, 10) // completes the last group of who settles ten at once
	await(t, "the queue to be empty", func() bool { return anyNode.queue(t, queue).Messages <= settledTogether[cumulative] })
	var journals []*journal
	refusing := publishers[len(publishers)-1]
	checkRefused(t, refusing, held.got)
	for _, w := range working {
		w.close()
		checkRefused(t, refusing, w.got)
		if w.err != nil {
			t.Errorf("%s: consumer: %v", queue, w.err)
		}
		journals = append(journals, w.journal)
	}
	rest := startLocalConsumer(t, queueConsumer{URL: anyNode.tcp, Queue: queue, Mode: oneByOne, Credit: 50}, nil)
	await(t, "the queue to be empty", func() bool { return anyNode.queue(t, queue).Messages == 0 })
	await(t, "the last receipts", func() bool { got, settled := rest.counts(); return got == settled })
	rest.close()
	checkRefused(t, refusing, rest.got)
	checkLives(t, [][]*journal{{held.journal}, journals, {rest.journal}}, publishers)
}

func TestClusterPause(t *testing.T) {
	skipShort(t)
	t.Parallel() // it mostly waits
	c := &pausing{testCluster: newTestCluster(t), pause: time.Duration(numberOf(t, clusterPauseEnv, pauseDefault)) * time.Second}
	defer c.tellAtFailure(t)
	c.start(t)
	for round := range numberOf(t, clusterPausesEnv, 1) {
		leader, others := c.leader(t)
		paused := others[0]
		if round%2 == 0 {
			paused = leader
		}
		c.round(t, round, paused, paused == leader)
		c.awaitAgreement(t)
	}
	figure(t, "leader stopped: until all others know another", c.moved)
	c.stopAndVerify(t)
}
