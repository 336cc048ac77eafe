package main

// cluster_outage_test.go: what the last node of three still does, and what it says about what it cannot. STAMPEDE_CLUSTER_OUTAGE is how many
// seconds there is no majority; when it is set, all kinds of outages are tried.

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stampede/stomp"
)

const (
	clusterOutageEnv = "STAMPEDE_CLUSTER_OUTAGE"
	outageDefault    = 17      // seconds: a command is answered after fifteen
	waitingFrames    = 1000    // what a session may have waiting while its other frames pass: so many, or
	waitingBytes     = 1 << 20 // so much; beyond it it is not read
	outageTopic      = "/topic/outage"
	liveTopic        = "/topic/live"
	outageBody       = 20 * 1024 // bytes of a frame of which a few are too many
)

// sendFrame writes a SEND; its answer comes later.
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

// outage is a cluster with one node that goes on and two that do not.
type outage struct {
	testCluster
	survivor *crashBroker
	gone     testCluster
}

// awaitRefusals reads the answers of a session up to a receipt, if it names one, else of all of these, and gives the codes by receipt.
func awaitRefusals(t *testing.T, s *client, until string, all int) (codes map[string]string, unnamed int) {
	t.Helper()
	codes = map[string]string{}
	for until != "" || len(codes) < all {
		s.interruptAfter(crashSilenceMax)
		f, err := s.read()
		refused, isRefusal := errors.AsType[*brokerError](err)
		switch {
		case isRefusal:
			wantCode(t, "SEND without a majority", err, stomp.CodeNoQuorum, stomp.CodeOutcomeUnknown)
			if refused.receiptID == "" {
				unnamed++
				continue
			}
			if codes[refused.receiptID] != "" {
				t.Errorf("%s was answered twice", refused.receiptID)
			}
			codes[refused.receiptID] = refused.code
		case err != nil:
			t.Fatalf("a session without a majority: %v", err)
		case f.Value("receipt-id") == until && until != "":
			return codes, unnamed
		default:
			t.Fatalf("got %s %q without a majority", f.Command, f.Value("receipt-id"))
		}
	}
	return codes, unnamed
}

// hear gives what comes of a topic that is not logged.
func hear(t *testing.T, url string) <-chan string {
	t.Helper()
	heard, listener := make(chan string, 10_000), openClient(t, url)
	if err := listener.subscribe(liveTopic, "0", "auto", nil); err != nil {
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
	return heard
}

// live sends what is not logged, with receipts, and asks for the health, until the time is up.
func (o *outage) live(t *testing.T, heard <-chan string, over <-chan time.Time) {
	t.Helper()
	publisher := openClient(t, o.survivor.tcp)
	for sent := 0; over != nil; sent++ {
		id := strconv.Itoa(sent)
		sendFrame(t, publisher, liveTopic, id, id, "persistent", "false")
		awaitReceipt(t, publisher, id)
		select {
		case got := <-heard:
			if got != id {
				t.Errorf("got %q, want %q", got, id)
			}
		case <-time.After(crashSilenceMax):
			t.Fatal("a message that was not logged did not come")
		}
		code, body := fetch(t, http.MethodGet, o.survivor.health)
		var health struct {
			Status  string
			Cluster struct{ Leader *string }
		}
		if err := json.Unmarshal([]byte(body), &health); err != nil || code != http.StatusOK || health.Status != "degraded" || health.Cluster.Leader != nil {
			t.Errorf("health = %d %s, %v, want 200, degraded and no leader", code, body, err)
		}
		select {
		case <-over:
			over = nil
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// run takes the majority away, looks at who is left, and gives it back.
func (o *outage) run(t *testing.T, take, giveBack func(*crashBroker)) {
	t.Helper()
	logged := openClient(t, o.survivor.tcp)
	sendFrame(t, logged, outageTopic, "before", "before")
	awaitReceipt(t, logged, "before")
	heard := hear(t, o.survivor.tcp)
	for _, b := range o.gone {
		take(b)
	}
	const early, late = 5, 5
	for i := range early { // a leader may not know yet
		sendFrame(t, logged, outageTopic, "early "+strconv.Itoa(i), "early "+strconv.Itoa(i))
	}
	await(t, "the survivor to miss its leader", func() bool { return o.survivor.status(t).Leader == "" })
	over := time.After(time.Duration(numberOf(t, clusterOutageEnv, outageDefault)) * time.Second)
	for i := range late {
		sendFrame(t, logged, outageTopic, "late "+strconv.Itoa(i), "late "+strconv.Itoa(i))
	}
	many, large := o.fill(t, heard)
	o.live(t, heard, over)

	codes, _ := awaitRefusals(t, logged, "", early+late)
	for i := range late {
		if id := "late " + strconv.Itoa(i); codes[id] != stomp.CodeNoQuorum {
			t.Errorf("%s: %q, want %s: the node knew of no leader", id, codes[id], stomp.CodeNoQuorum)
		}
	}
	// A session that had too much waiting was not read: what it sent behind is answered when there is room again.
	if _, refused := awaitRefusals(t, many, "behind", 0); refused < 1 {
		t.Error("a frame behind a thousand that wait was read")
	}
	if _, refused := awaitRefusals(t, large, "behind", 0); refused < 1 {
		t.Error("a frame behind 1 MiB that waits was read")
	}
	for _, b := range o.gone {
		giveBack(b)
	}
	for _, b := range o.testCluster {
		b.awaitReady(t)
	}
	o.leader(t)
	sendFrame(t, logged, outageTopic, "after", "after") // the same session goes on
	awaitReceipt(t, logged, "after")
	o.checkOutcomes(t, codes)
}

// fill gives sessions that have more waiting than they may, each with a frame behind it that waits for nothing but to be read. One that has
// almost as much has such a frame answered at once.
func (o *outage) fill(t *testing.T, heard <-chan string) (many, large *client) {
	t.Helper()
	almost := openClient(t, o.survivor.tcp)
	for range waitingFrames - 5 { // the session itself is one
		sendFrame(t, almost, "/topic/filled", "lost", "")
	}
	sendFrame(t, almost, liveTopic, "passes", "passes", "persistent", "false")
	awaitReceipt(t, almost, "passes")
	if got := <-heard; got != "passes" {
		t.Errorf("got %q, want what passed", got)
	}
	many, large = openClient(t, o.survivor.tcp), openClient(t, o.survivor.tcp)
	for range waitingFrames + 5 {
		sendFrame(t, many, "/topic/filled", "lost", "")
	}
	for range waitingBytes/outageBody + 5 {
		sendFrame(t, large, "/topic/filled", strings.Repeat("x", outageBody), "")
	}
	for _, s := range []*client{many, large} {
		sendFrame(t, s, "/topic/behind", "behind", "behind", "persistent", "false")
	}
	return many, large
}

// checkOutcomes reads the topic: what was refused surely is not there, what is unknown may be, what was receipted is.
func (o *outage) checkOutcomes(t *testing.T, codes map[string]string) {
	t.Helper()
	got := runBinary(t, nil, "sub", outageTopic, "--url="+o.gone[0].tcp, "--from=first", "--count=1")
	if got.stdout != "before\n" {
		t.Errorf("the topic begins with %q, want what was receipted", got.stdout)
	}
	reader := openClient(t, o.gone[1].tcp)
	if err := reader.subscribe(outageTopic, "0", "auto", []string{"x-stream-offset", "first"}); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for body := ""; body != "after"; {
		reader.interruptAfter(crashSilenceMax)
		f, err := reader.read()
		if err != nil {
			t.Fatalf("read the topic up to what was sent after: %v; it has %v", err, seen)
		}
		body = string(f.Body)
		seen[body]++
		if code, sent := codes[body]; seen[body] > 1 || sent && code != stomp.CodeOutcomeUnknown {
			t.Errorf("%q is in the topic %d times; its SEND was answered %q", body, seen[body], code)
		}
	}
	unknown, there := 0, 0
	for body, code := range codes {
		if code == stomp.CodeOutcomeUnknown {
			unknown, there = unknown+1, there+seen[body]
		}
	}
	t.Logf("of %d whose outcome was unknown %d took effect", unknown, there)
}

func newOutage(t *testing.T, leaderSurvives bool) *outage {
	t.Helper()
	o := &outage{testCluster: newTestCluster(t)}
	o.start(t)
	leader, followers := o.leader(t)
	o.survivor = followers[0]
	if leaderSurvives {
		o.survivor = leader
	}
	o.gone = slices.DeleteFunc(slices.Clone(o.testCluster), func(b *crashBroker) bool { return b == o.survivor })
	return o
}

func TestClusterOutage(t *testing.T) {
	skipShort(t)
	kill := func(t *testing.T) func(*crashBroker) { return func(b *crashBroker) { b.kill(t) } }
	launch := func(t *testing.T) func(*crashBroker) { return func(b *crashBroker) { b.launch(t) } }
	signal := func(s syscall.Signal) func(*testing.T) func(*crashBroker) {
		return func(t *testing.T) func(*crashBroker) { return func(b *crashBroker) { b.node.signal(t, s) } }
	}
	_, whole := os.LookupEnv(clusterOutageEnv)
	for _, c := range []struct {
		name           string
		leaderSurvives bool
		take, giveBack func(*testing.T) func(*crashBroker)
		always         bool // the others are for long runs
	}{
		{"a_follower_is_left_by_two_that_were_killed", false, kill, launch, true},
		{"the_leader_is_left_by_two_that_were_killed", true, kill, launch, false},
		{"a_follower_is_left_by_two_that_stand_still", false, signal(syscall.SIGSTOP), signal(syscall.SIGCONT), false},
		{"the_leader_is_left_by_two_that_stand_still", true, signal(syscall.SIGSTOP), signal(syscall.SIGCONT), true},
	} {
		if !c.always && !whole {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			o := newOutage(t, c.leaderSurvives)
			defer o.tellAtFailure(t)
			o.run(t, c.take(t), c.giveBack(t))
			o.stopAndVerify(t)
		})
	}
}
