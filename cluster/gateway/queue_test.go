package gateway_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"stampede/broker"
	"stampede/stomp"
)

func TestQueue(t *testing.T) {
	r := start(t)
	publisher := r.connect(t)
	t.Run("gives each message to one subscription, fairly", func(t *testing.T) {
		one, two := r.connect(t), r.connect(t)
		one.subscribe("s", "/queue/fair")
		two.subscribe("s", "/queue/fair")
		publisher.sendNumbers("/queue/fair", 1, 100)
		seen := map[string]int{}
		a, b := strings.Fields(one.pending()), strings.Fields(two.pending())
		for _, body := range append(a, b...) {
			seen[body]++
		}
		if len(seen) != 100 || len(a)+len(b) != 100 {
			t.Errorf("%d and %d messages, %d different, want 100 once each", len(a), len(b), len(seen))
		}
		if len(a) < 30 || len(b) < 30 {
			t.Errorf("one got %d, the other %d, want about half each", len(a), len(b))
		}
	})
	t.Run("keeps messages while there is nobody, in order", func(t *testing.T) {
		publisher.sendNumbers("/queue/waiting", 1, 50)
		c := r.connect(t)
		c.subscribe("s", "/queue/waiting")
		check(t, "messages", c.bodies(50), numbered("m", 1, 50))
	})
	t.Run("settles in auto mode what the socket took", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("s", "/queue/auto", "prefetch-count", "1")
		done := make(chan struct{})
		go publishNumbers(publisher, "/queue/auto", 1000, done)
		check(t, "messages with a credit of one", c.bodies(1000), numbered("m", 1, 1000))
		<-done
		await(t, "an empty queue", func() bool { return r.unsettled(t) == 0 })
		c.close()
		again := r.connect(t)
		again.subscribe("s", "/queue/auto")
		check(t, "what comes again", again.pending(), "")
	})
	t.Run("acks one by one in client-individual mode", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("s", "/queue/individual", "ack", "client-individual", "prefetch-count", "3")
		publisher.sendNumbers("/queue/individual", 1, 6)
		first := c.messages(3)
		check(t, "beyond the credit", c.pending(), "")
		c.ask(stomp.CommandAck, "id", first[1].Value("ack"))
		check(t, "after an ACK", c.bodies(1), "m4")
		c.close()
		again := r.connect(t)
		again.subscribe("s", "/queue/individual", "ack", "client-individual")
		check(t, "after the session was lost", again.bodies(5), "m1 m3 m4 m5 m6")
	})
	t.Run("acks up to the message in client mode, of that subscription only", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("a", "/queue/cumulative.a", "ack", "client")
		c.subscribe("b", "/queue/cumulative.b", "ack", "client")
		publisher.sendNumbers("/queue/cumulative.a", 1, 4)
		publisher.sendNumbers("/queue/cumulative.b", 1, 2)
		var third string
		for _, m := range c.messages(6) {
			if m.Value("subscription") == "a" && string(m.Body) == "m3" {
				third = m.Value("ack")
			}
		}
		c.ask(stomp.CommandAck, "id", third)
		c.close()
		again := r.connect(t)
		again.subscribe("a", "/queue/cumulative.a")
		check(t, "of a", again.bodies(1), "m4")
		again.subscribe("b", "/queue/cumulative.b")
		check(t, "of b", again.bodies(2), "m1 m2")
	})
	t.Run("bounds deliveries by bytes", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("s", "/queue/bytes", "ack", "client", "prefetch-bytes", "0")
		publisher.sendNumbers("/queue/bytes", 1, 3)
		first := c.message()
		check(t, "one at a time", c.pending(), "")
		c.do(stomp.CommandAck, "id", first.Value("ack"))
		check(t, "after an ACK", c.bodies(1), "m2")
	})
	t.Run("gives a slow consumer everything", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("s", "/queue/slow", "prefetch-count", "5000")
		body := strings.Repeat("x", 3000)
		for i := 1; i <= 3000; i++ {
			publisher.send("/queue/slow", fmt.Sprintf("m%d %s", i, body))
		}
		publisher.publish("/topic/nobody", "")
		check(t, "messages", firstWords(c, 3000), numbered("m", 1, 3000))
	})
}

// unsettled counts the deliveries that nobody has settled.
func (r *running) unsettled(t *testing.T) (n int) {
	t.Helper()
	r.inspect(t, func(s *broker.State) { n = s.Counts().Unsettled })
	return n
}

func TestQueueReturns(t *testing.T) {
	r := start(t)
	publisher := r.connect(t)
	t.Run("unacked messages of a lost session in their old places", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("s", "/queue/lost", "ack", "client", "prefetch-count", "3")
		publisher.sendNumbers("/queue/lost", 1, 5)
		for _, m := range c.messages(3) {
			if m.Has("redelivered") || m.Has("delivery-count") {
				t.Errorf("%s is marked at its first delivery", show(m))
			}
		}
		c.close()
		await(t, "the end of the session", func() bool { return r.unsettled(t) == 0 })
		again := r.connect(t)
		again.subscribe("s", "/queue/lost", "ack", "client")
		for i, m := range again.messages(5) {
			check(t, "message", string(m.Body), "m"+strconv.Itoa(i+1))
			redelivered, count := "", ""
			if i < 3 {
				redelivered, count = "true", "2"
			}
			check(t, "redelivered of "+string(m.Body), m.Value("redelivered"), redelivered)
			check(t, "delivery-count of "+string(m.Body), m.Value("delivery-count"), count)
		}
	})
	t.Run("what UNSUBSCRIBE left unacked", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("s", "/queue/left", "ack", "client-individual")
		publisher.sendNumbers("/queue/left", 1, 3)
		got := c.messages(3)
		c.ask(stomp.CommandAck, "id", got[1].Value("ack"))
		c.ask(stomp.CommandUnsubscribe, "id", "s")
		c.subscribe("again", "/queue/left")
		check(t, "messages", c.bodies(2), "m1 m3")
	})
	t.Run("what DISCONNECT left unacked", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("s", "/queue/disconnected", "ack", "client")
		publisher.publish("/queue/disconnected", "m1")
		c.message()
		c.ask(stomp.CommandDisconnect)
		again := r.connect(t)
		again.subscribe("s", "/queue/disconnected")
		check(t, "messages", again.bodies(1), "m1")
	})
	t.Run("a NACKed message, counted", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("s", "/queue/nacked", "ack", "client-individual")
		publisher.publish("/queue/nacked", "m1")
		c.ask(stomp.CommandNack, "id", c.message().Value("ack"))
		again := c.message()
		check(t, "redelivered", again.Value("redelivered"), "true")
		check(t, "delivery-count", again.Value("delivery-count"), "2")
	})
}

func TestQueueDeadLetters(t *testing.T) {
	r := start(t)
	publisher := r.connect(t)
	t.Run("get what was NACKed max-deliveries times", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("s", "/queue/poison", "ack", "client-individual")
		c.subscribe("dlq", "/queue/dlq.poison")
		publisher.publish("/queue/poison", "m1", "note", "kept")
		for i := 1; i <= 5; i++ {
			m := c.message()
			check(t, "subscription", m.Value("subscription"), "s")
			if i > 1 {
				check(t, "delivery-count", m.Value("delivery-count"), strconv.Itoa(i))
				check(t, "redelivered", m.Value("redelivered"), "true")
			}
			c.do(stomp.CommandNack, "id", m.Value("ack"))
		}
		m := c.message()
		for name, want := range map[string]string{
			"subscription": "dlq", "destination": "/queue/dlq.poison", "dead-letter-reason": "max-deliveries",
			"dead-letter-destination": "/queue/poison", "delivery-count": "5", "note": "kept",
		} {
			check(t, name, m.Value(name), want)
		}
		check(t, "body", string(m.Body), "m1")
		check(t, "more", c.pending(), "")
	})
	t.Run("get at once what was NACKed with requeue:false", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("s", "/queue/rejected", "ack", "client")
		publisher.sendNumbers("/queue/rejected", 1, 2)
		got := c.messages(2)
		c.ask(stomp.CommandAck, "id", got[0].Value("ack"))
		c.ask(stomp.CommandNack, "id", got[1].Value("ack"), "requeue", "false")
		c.subscribe("dlq", "/queue/dlq.rejected", "ack", "client")
		m := c.message()
		check(t, "body", string(m.Body), "m2")
		check(t, "dead-letter-reason", m.Value("dead-letter-reason"), "rejected")
		check(t, "dead-letter-destination", m.Value("dead-letter-destination"), "/queue/rejected")
		check(t, "delivery-count", m.Value("delivery-count"), "1")
		if m.Has("redelivered") {
			t.Errorf("%s is redelivered, want its first delivery as a dead letter", show(m))
		}
		// Nothing leaves a dead-letter queue by itself.
		c.ask(stomp.CommandNack, "id", m.Value("ack"), "requeue", "false")
		again := c.message()
		check(t, "a rejected dead letter", again.Value("destination")+" "+string(again.Body), "/queue/dlq.rejected m2")
	})
}

func TestQueueFull(t *testing.T) {
	r := start(t)
	c := r.connect(t)
	policy := broker.Policy{Set: broker.PolicyMaxDepth, MaxDepth: 2}
	if err := r.gateway.SetPolicy(t.Context(), "/queue/small.*", &policy); err != nil {
		t.Fatal(err)
	}
	c.publish("/queue/small.a", "m1")
	c.publish("/queue/small.a", "m2")
	c.send("/queue/small.a", "m3", "receipt", "full")
	check(t, "receipt-id", c.expectError(stomp.CodeQueueFull, false).Value("receipt-id"), "full")
	c.publish("/queue/small.b", "another queue")
	c.subscribe("s", "/queue/small.a")
	check(t, "messages", c.bodies(2), "m1 m2")
	await(t, "the queue to empty", func() bool { return r.unsettled(t) == 0 })
	c.send("/queue/small.a", "m4")
	check(t, "after it was emptied", c.bodies(1), "m4")
}
