package gateway_test

// This file holds three nodes with their gateways and STOMP servers in one process.

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"stampede/broker"
	"stampede/cluster"
	"stampede/internal/loopback"
	"stampede/stomp"
	"stampede/stomp/server"
)

// startThree founds a cluster of three, whose nodes are linked.
func startThree(t *testing.T, options ...func(*server.Config)) []*running {
	t.Helper()
	nodes := foundThree(t, func(int, *cluster.Config) {}, options...)
	for _, n := range nodes {
		await(t, "links of "+n.dir, func() bool { return n.node.MeshStats().Links == 2 })
	}
	return nodes
}

// foundThree founds a cluster of three whose configurations are changed before.
func foundThree(t *testing.T, change func(i int, cfg *cluster.Config), options ...func(*server.Config)) []*running {
	t.Helper()
	addrs := loopback.Addrs(t, 3)
	nodes := make([]*running, 3)
	started := make(chan struct{})
	for i := range nodes {
		cfg := cluster.DefaultConfig()
		cfg.DataDir, cfg.Name, cfg.RingEventsMax = t.TempDir(), fmt.Sprint("n", i+1), 1<<14
		cfg.Addr, cfg.Seeds, cfg.Expect, cfg.RaftTimeout = addrs[i], addrs, 3, 200*time.Millisecond
		change(i, &cfg)
		go func() {
			nodes[i] = startNode(t, cfg, options...)
			started <- struct{}{}
		}()
	}
	for range nodes {
		<-started
	}
	for _, n := range nodes {
		if n == nil {
			t.FailNow()
		}
	}
	return nodes
}

func TestUnloggedMessagesOfOtherNodes(t *testing.T) {
	nodes := startThree(t)

	t.Run("reach who subscribed with a receipt before they were sent, in their order", func(t *testing.T) {
		for _, pattern := range []string{"/topic/mesh.one", "/topic/mesh.*", "/topic/**"} {
			var subscribers []*client
			for _, n := range nodes {
				c := n.connect(t)
				c.subscribe("0", pattern)
				subscribers = append(subscribers, c)
			}
			publisher := nodes[0].connect(t)
			for i := range 200 {
				publisher.send("/topic/mesh.one", strconv.Itoa(i), "persistent", "false")
			}
			for i, c := range subscribers {
				check(t, fmt.Sprint("bodies at node ", i+1, " for ", pattern), c.bodies(200), numbered("", 0, 199))
				c.close()
			}
			publisher.close()
		}
	})

	t.Run("are not sent to nodes that do not want them", func(t *testing.T) {
		reader := nodes[0].connect(t)
		reader.subscribe("0", "/topic/local")
		local := nodes[0].connect(t)
		var before uint64
		await(t, "the other nodes' subscribers of everything to be forgotten", func() bool {
			before = nodes[0].node.MeshStats().Sent
			local.publish("/topic/forgotten", "x", "persistent", "false")
			return nodes[0].node.MeshStats().Sent == before
		})
		local.publish("/topic/local", "x", "persistent", "false")
		check(t, "body", string(reader.message().Body), "x")
		if got := nodes[0].node.MeshStats().Sent; got != before {
			t.Errorf("%d messages sent to other nodes, want none", got-before)
		}
		gone := nodes[1].connect(t)
		gone.subscribe("0", "/topic/gone")
		gone.ask(stomp.CommandUnsubscribe, "id", "0")
		await(t, "the other node to know", func() bool {
			before = nodes[0].node.MeshStats().Sent
			local.publish("/topic/gone", "x", "persistent", "false")
			return nodes[0].node.MeshStats().Sent == before
		})
	})

	t.Run("keep their place among the logged ones of the same session to the same destination", func(t *testing.T) {
		subscriber, other := nodes[2].connect(t), nodes[2].connect(t)
		subscriber.subscribe("0", "/topic/mixed")
		other.subscribe("0", "/topic/mixed.too")
		publisher := nodes[1].connect(t)
		for i := range 300 {
			for _, dest := range []string{"/topic/mixed", "/topic/mixed.too"} {
				if i%3 == 0 {
					publisher.send(dest, strconv.Itoa(i))
				} else {
					publisher.send(dest, strconv.Itoa(i), "persistent", "false")
				}
			}
		}
		check(t, "bodies", subscriber.bodies(300), numbered("", 0, 299))
		check(t, "bodies of the other topic", other.bodies(300), numbered("", 0, 299))
	})

	t.Run("are before a later logged one, however slow their way is", func(t *testing.T) {
		subscriber := nodes[2].connect(t)
		subscriber.subscribe("0", "/topic/slow")
		release := nodes[2].links.hold()
		defer func() { release() }()
		publisher := nodes[1].connect(t)
		for _, transaction := range []bool{false, true} {
			publisher.send("/topic/slow", "1", "persistent", "false")
			if transaction {
				publisher.do(stomp.CommandBegin, "transaction", "t")
				publisher.send("/topic/slow", "2", "transaction", "t")
				publisher.do(stomp.CommandCommit, "transaction", "t", "receipt", "done")
			} else {
				publisher.send("/topic/slow", "2", "receipt", "done")
			}
			check(t, "bodies while the way is closed", subscriber.pending(), "")
			publisher.send("/topic/quick", "", "receipt", "other")
			release()
			publisher.awaitReceipt("done")
			publisher.awaitReceipt("other")
			check(t, "bodies", subscriber.bodies(2), "1 2")
			release = nodes[2].links.hold()
		}
	})

	t.Run("are given with the publisher's time and an id of the subscriber's node that can be resumed after", func(t *testing.T) {
		subscriber := nodes[0].connect(t)
		subscriber.subscribe("0", "/topic/ids")
		publisher := nodes[1].connect(t)
		publisher.publish("/topic/ids", "one")
		publisher.publish("/topic/ids", "two", "persistent", "false")
		one, two := subscriber.message(), subscriber.message()
		if two.Value("timestamp") == "" || two.Value("message-id") == one.Value("message-id") {
			t.Errorf("unlogged message %s after %s", show(two), show(one))
		}
		again := nodes[2].connect(t)
		again.subscribe("0", "/topic/ids", "resume-after", two.Value("message-id"))
		publisher.publish("/topic/ids", "three")
		check(t, "body after the unlogged one", string(again.message().Body), "three")
	})

	t.Run("are not given to their own session with no-local, on its node alone", func(t *testing.T) {
		own := nodes[0].connect(t)
		own.subscribe("0", "/topic/own", "no-local", "true")
		other := nodes[1].connect(t)
		other.subscribe("0", "/topic/own", "no-local", "true")
		own.publish("/topic/own", "mine", "persistent", "false")
		check(t, "body at the other node", string(other.message().Body), "mine")
		other.publish("/topic/own", "theirs", "persistent", "false")
		check(t, "body at the session that sent before", string(own.message().Body), "theirs")
	})
}

func TestNoticesAreToldOnEachNode(t *testing.T) {
	nodes := startThree(t)
	var watchers []*client
	for _, n := range nodes {
		c := n.connect(t)
		c.subscribe("e", "/topic/server.events")
		c.subscribe("p", "/topic/server.presence")
		watchers = append(watchers, c)
	}
	visitor := nodes[1].connect(t, "login", "ada")
	visitor.publish("/topic/x", "the session is known")
	nodes[0].gateway.AnnounceDrain(5 * time.Second)
	for i, c := range watchers {
		opened, drains := 0, 0
		for opened == 0 || drains == 0 {
			m := c.message()
			switch body := string(m.Body); {
			case m.Value("subscription") == "e":
				drains++
			case containsAll(body, `"opened"`, `"ada"`):
				opened++
			}
		}
		if opened != 1 || drains != 1 {
			t.Errorf("node %d told %d times of the session and %d times of the drain, want once each", i+1, opened, drains)
		}
	}
}

func containsAll(text string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}

func TestQueueOverThreeNodes(t *testing.T) {
	nodes := startThree(t)
	var consumers []*client
	for _, n := range nodes {
		c := n.connect(t)
		c.subscribe("0", "/queue/three", "ack", "client-individual", "prefetch-count", "5")
		consumers = append(consumers, c)
	}
	publisher := nodes[0].connect(t)
	for i := range 30 {
		publisher.send("/queue/three", strconv.Itoa(i))
	}
	publisher.publish("/topic/other", "all are in")
	type taken struct{ consumer, body string }
	came := make(chan taken, 100)
	for i, c := range consumers {
		go func() {
			for {
				m, err := c.tryRead()
				if err != nil {
					return // the test has ended the session
				}
				c.do(stomp.CommandAck, "id", m.Value("ack"))
				came <- taken{strconv.Itoa(i), string(m.Body)}
			}
		}()
	}
	seen, takers := map[string]int{}, map[string]bool{}
	for range 30 {
		select {
		case m := <-came:
			seen[m.body]++
			takers[m.consumer] = true
		case <-time.After(patience):
			t.Fatalf("%d messages came, want 30", len(seen))
		}
	}
	if len(takers) != 3 {
		t.Errorf("%d consumers were given something, want all 3", len(takers))
	}
	for body, n := range seen {
		if n != 1 {
			t.Errorf("message %s came %d times", body, n)
		}
	}
	if len(seen) != 30 {
		t.Errorf("%d messages, want 30", len(seen))
	}
	for _, n := range nodes {
		await(t, "the queue to be empty everywhere", func() bool {
			waiting := -1
			n.inspect(t, func(s *broker.State) { waiting = s.Counts().QueueWaiting + s.Counts().Unsettled })
			return waiting == 0
		})
	}
}

func TestSessionsOfOneUserOnSeveralNodes(t *testing.T) {
	nodes := startThree(t)
	var sessions []*client
	for _, n := range nodes {
		c := n.connect(t, "login", "ada")
		c.subscribe("0", "/user/queue/private")
		sessions = append(sessions, c)
	}
	sender := nodes[0].connect(t, "login", "bob")
	sender.publish("/user/ada/queue/private", "hello")
	for i, c := range sessions {
		check(t, fmt.Sprint("body at node ", i+1), string(c.message().Body), "hello")
	}
}

func TestUnloggedMessageOfASessionThatEndsDoesNotOvertakeItsLoggedOne(t *testing.T) {
	nodes := startThree(t, func(c *server.Config) { c.HeartBeatSendMillis = 100 })
	subscriber := nodes[0].connect(t)
	subscriber.subscribe("0", "/topic/mixed")
	publisher := nodes[0].dial(t)
	publisher.version = stomp.V12
	publisher.do(stomp.CommandConnect, "accept-version", "1.2", "host", "test", "heart-beat", "0,100")
	publisher.expect(stomp.CommandConnected)
	nodes[1].kill()
	nodes[2].kill()
	publisher.send("/topic/mixed", "logged") // there is no majority: it waits
	publisher.send("/topic/mixed", "behind it", "persistent", "false")
	if err := publisher.conn.(*net.TCPConn).SetLinger(0); err != nil { // the next heart-beat finds a broken connection
		t.Fatal(err)
	}
	publisher.close()
	await(t, "the end of the session", func() bool { return nodes[0].server.Stats().ConnectionsActive.Load() == 1 })
	subscriber.send("/topic/mixed", "of another session", "persistent", "false")
	check(t, "message", string(subscriber.message().Body), "of another session")
}

func TestUnloggedMessageThatWaitsForASlowSubscriberIsNotGivenToWhoComesToAnotherNodeMeanwhile(t *testing.T) {
	nodes := startThree(t, smallOutbox)
	stuck, publisher := nodes[0].connect(t), nodes[0].connect(t)
	shrinkReceiveBuffer(t, stuck)
	stuck.subscribe("0", "/topic/burst")
	body := strings.Repeat("x", 100<<10)
	receipts := make(chan string, 1)
	read := func() { receipts <- publisher.expect(stomp.CommandReceipt).Value("receipt-id") }
	for waits := false; !waits; {
		publisher.send("/topic/burst", "waits "+body, "persistent", "false", "receipt", "sent")
		go read()
		select {
		case <-receipts:
		case <-time.After(300 * time.Millisecond):
			waits = true
		}
	}
	late := nodes[1].connect(t)
	late.subscribe("0", "/topic/burst")
	check(t, "receipt", <-receipts, "sent")
	publisher.send("/topic/burst", "later", "persistent", "false")
	check(t, "message", firstWord(late.message().Body), "later")
}

func firstWord(body []byte) string {
	word, _, _ := strings.Cut(string(body), " ")
	return word
}
