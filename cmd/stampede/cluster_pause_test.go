package main

// cluster_pause_test.go: a node that stands still, and a cluster without a majority. Variables of the environment: STAMPEDE_CLUSTER_PAUSES is
// how often a node stands still, STAMPEDE_CLUSTER_PAUSE for how many seconds, STAMPEDE_CLUSTER_OUTAGE how many seconds there is no majority.

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
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
	clusterOutageEnv = "STAMPEDE_CLUSTER_OUTAGE"
	pauseDefault     = 12 // seconds: a node is given up after ten
	outageDefault    = 18 // seconds: a command is answered after fifteen
)

// wantCode checks that a client's end was the ERROR that it had to be.
func wantCode(t *testing.T, who string, err error, codes ...string) {
	t.Helper()
	refused, ok := errors.AsType[*brokerError](err)
	if !ok || !slices.Contains(codes, refused.code) {
		t.Errorf("%s: %v, want ERROR %v", who, err, codes)
	}
}

// awaitTopic reads a topic in the background until a marker comes, and gives what came.
func awaitTopic(t *testing.T, url, topic, marker string) <-chan []delivery {
	t.Helper()
	subscribed, result := make(chan struct{}), make(chan []delivery, 1)
	go func() {
		var all []delivery
		err := readTopic(t.Context(), url, topic, func() { close(subscribed) }, func(d delivery) bool {
			all = append(all, d)
			return d.from == marker
		})
		if err != nil {
			t.Errorf("subscriber at %s: %v", url, err)
		}
		result <- all
	}()
	<-subscribed
	return result
}

// roundOfPause lets a node stand still under load and then go on.
func (c testCluster) roundOfPause(t *testing.T, round int, paused *crashBroker, pause time.Duration) {
	t.Helper()
	others := slices.DeleteFunc(slices.Clone(c), func(b *crashBroker) bool { return b == paused })
	topic, queue, end := fmt.Sprintf("/topic/pause-%d", round), fmt.Sprintf("/queue/pause-%d", round), fmt.Sprintf("end-%d", round)
	toTopic := []*crashPublisher{{name: "topic-1", url: others[0].tcp, destination: topic}, {name: "topic-2", url: others[1].tcp, destination: topic}}
	toQueue := []*crashPublisher{{name: "queue-1", url: others[0].tcp, destination: queue}, {name: "queue-2", url: others[1].tcp, destination: queue}}
	var shown []<-chan []delivery
	for _, b := range others {
		shown = append(shown, awaitTopic(t, b.tcp, topic, end))
	}
	held := startLocalConsumer(t, queueConsumer{URL: paused.tcp, Queue: queue, Mode: oneByOne, Credit: 50, HoldEvery: 5}, nil)
	working := []*localConsumer{
		startLocalConsumer(t, queueConsumer{URL: others[0].tcp, Queue: queue, Mode: oneByOne, Credit: 50}, nil),
		startLocalConsumer(t, queueConsumer{URL: others[1].tcp, Queue: queue, Mode: cumulative, Credit: 50}, nil),
	}
	listener, err := ClientFlags{URL: paused.tcp}.connect(t.Context(), 0, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.conn.Close() }() // the broker has closed it
	all := slices.Concat(toTopic, toQueue)
	for _, p := range all { // steady, so that the queue is not filled for its own sake
		p.pace = 5 * time.Millisecond
	}
	startPublishers(t, all)
	held.awaitCounts(t, 20, 10)

	paused.node.signal(t, syscall.SIGSTOP)
	others.leader(t)
	<-time.After(pause)
	paused.node.signal(t, syscall.SIGCONT)

	<-held.ended
	wantCode(t, "consumer of the node that stood still", held.err, stomp.CodeResumeElsewhere, stomp.CodeOutcomeUnknown)
	listener.interruptAfter(crashSilenceMax)
	_, err = listener.read()
	wantCode(t, "listener of the node that stood still", err, stomp.CodeResumeElsewhere)
	paused.awaitReady(t)
	working = append(working, startLocalConsumer(t, queueConsumer{URL: paused.tcp, Queue: queue, Mode: oneByOne, Credit: 50}, nil))
	for _, p := range all {
		p.finishing.Store(true)
	}
	awaitPublishers(t, all)
	(&crashPublisher{name: end, url: paused.tcp, destination: topic}).publish(t, 1)

	for i, came := range shown {
		deliveries := <-came
		checkSent(t, slices.DeleteFunc(deliveries, func(d delivery) bool { return d.from == end }), toTopic)
		if want := receipts(toTopic); len(deliveries) != want+1 {
			t.Errorf("round %d: subscriber %d was given %d messages, want %d", round, i+1, len(deliveries)-1, want)
		}
	}
	(&crashPublisher{name: end, url: others[0].tcp, destination: queue}).publish(t, 10) // completes the last group of who settles ten at once
	await(t, "the queue to be empty", func() bool { return paused.queue(t, queue).Messages <= settledTogether[cumulative] })
	journals := []*journal{}
	for _, w := range working {
		w.close()
		if w.err != nil {
			t.Errorf("round %d: consumer: %v", round, w.err)
		}
		journals = append(journals, w.journal)
	}
	rest := startLocalConsumer(t, queueConsumer{URL: others[1].tcp, Queue: queue, Mode: oneByOne, Credit: 50}, nil)
	await(t, "the queue to be empty", func() bool { return paused.queue(t, queue).Messages == 0 })
	rest.close()
	checkLives(t, [][]*journal{{held.journal}, journals, {rest.journal}}, toQueue)
}

func TestClusterPause(t *testing.T) {
	skipShort(t)
	c := newTestCluster(t)
	c.start(t)
	pause := time.Duration(numberOf(t, clusterPauseEnv, pauseDefault)) * time.Second
	for round := range numberOf(t, clusterPausesEnv, 1) {
		leader, others := c.leader(t)
		paused := others[0]
		if round%2 == 0 {
			paused = leader
		}
		c.roundOfPause(t, round, paused, pause)
		c.awaitAgreement(t)
	}
	c.stopAndVerify(t)
}

// send writes a SEND; its answer comes later.
func sendFrame(t *testing.T, s *client, destination, body, receipt string, headers ...string) {
	t.Helper()
	headers = append(headers, "destination", destination)
	if receipt != "" {
		headers = append(headers, "receipt", receipt)
	}
	f := stomp.NewFrame(stomp.CommandSend, headers...)
	f.Body = []byte(body)
	if err := s.write(f); err != nil {
		t.Fatal(err)
	}
}

func openClient(t *testing.T, url string) *client {
	t.Helper()
	s, err := ClientFlags{URL: url}.connect(t.Context(), 0, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.conn.Close() }) // nothing of it is awaited
	return s
}

func awaitReceipt(t *testing.T, s *client, id string) {
	t.Helper()
	s.interruptAfter(crashSilenceMax)
	if f, err := s.read(); err != nil || f.Value("receipt-id") != id {
		t.Fatalf("got %v, %v, want RECEIPT %s", f, err, id)
	}
}

// TestClusterOutage takes the majority away for a while and looks at who is left.
func TestClusterOutage(t *testing.T) {
	skipShort(t)
	c := newTestCluster(t)
	c.start(t)
	_, followers := c.leader(t)
	survivor := followers[0]
	gone := slices.DeleteFunc(slices.Clone(c), func(b *crashBroker) bool { return b == survivor })
	before := openClient(t, survivor.tcp)
	sendFrame(t, before, "/topic/outage", "before", "r")
	awaitReceipt(t, before, "r")
	heard := make(chan string, 10_000)
	listener := openClient(t, survivor.tcp)
	if err := listener.subscribe("/topic/live", "0", "auto", nil); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			f, err := listener.read()
			if err != nil {
				return
			}
			heard <- string(f.Body)
		}
	}()
	for _, b := range gone {
		b.kill(t)
	}
	await(t, "the survivor to miss its leader", func() bool { return survivor.status(t).Leader == "" })

	logged := openClient(t, survivor.tcp)
	for i := range 5 {
		sendFrame(t, logged, "/topic/outage", "lost", strconv.Itoa(i))
	}
	full := openClient(t, survivor.tcp) // has as much waiting as one may have; its other frames pass
	for range 998 {
		sendFrame(t, full, "/topic/outage", "lost", "")
	}
	sendFrame(t, full, "/topic/live", "full", "passes", "persistent", "false")
	awaitReceipt(t, full, "passes")

	live, sent := openClient(t, survivor.tcp), 1
	for outage := time.After(time.Duration(numberOf(t, clusterOutageEnv, outageDefault)) * time.Second); outage != nil; {
		id := strconv.Itoa(sent)
		sendFrame(t, live, "/topic/live", id, id, "persistent", "false")
		awaitReceipt(t, live, id)
		sent++
		code, body := fetch(t, http.MethodGet, survivor.health)
		var health struct {
			Status  string
			Cluster struct{ Leader *string }
		}
		if err := json.Unmarshal([]byte(body), &health); err != nil || code != http.StatusOK || health.Status != "degraded" || health.Cluster.Leader != nil {
			t.Errorf("health = %d %s, %v, want 200, degraded and no leader", code, body, err)
		}
		select {
		case <-outage:
			outage = nil
		case <-time.After(200 * time.Millisecond):
		}
	}
	for range sent {
		select {
		case <-heard:
		case <-time.After(crashSilenceMax):
			t.Fatal("a message that was not logged did not come")
		}
	}
	for i := range 5 {
		logged.interruptAfter(crashSilenceMax)
		_, err := logged.read()
		wantCode(t, "SEND without a majority", err, stomp.CodeNoQuorum)
		if refused, ok := errors.AsType[*brokerError](err); ok && refused.receiptID != strconv.Itoa(i) {
			t.Errorf("ERROR for %q, want %d", refused.receiptID, i)
		}
	}
	for _, b := range gone {
		b.launch(t)
	}
	for _, b := range c {
		b.awaitReady(t)
	}
	c.leader(t)
	sendFrame(t, logged, "/topic/outage", "after", "after") // the same session goes on
	awaitReceipt(t, logged, "after")
	got := runBinary(t, nil, "sub", "/topic/outage", "--url="+gone[0].tcp, "--from=first", "--count=2")
	if got.stdout != "before\nafter\n" {
		t.Errorf("the topic holds %q, want what was receipted alone", got.stdout)
	}
	c.stopAndVerify(t)
}
