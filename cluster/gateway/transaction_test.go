package gateway_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"stampede/broker"
	"stampede/stomp"
)

func TestTransaction(t *testing.T) {
	r := start(t)
	t.Run("takes effect as one, at COMMIT", func(t *testing.T) {
		c, s := r.connect(t, "login", "ada"), r.connect(t)
		s.subscribe("t", "/topic/tx")
		s.subscribe("q", "/queue/tx")
		c.subscribe("u", "/user/queue/tx")
		c.publish("/queue/tx-source", "work")
		c.subscribe("w", "/queue/tx-source", "ack", "client-individual")
		work := c.message()
		c.ask(stomp.CommandBegin, "transaction", "1")
		c.publish("/topic/tx", "t1", "transaction", "1")
		c.publish("/queue/tx", "q1", "transaction", "1")
		c.publish("/user/ada/queue/tx", "u1", "transaction", "1")
		c.publish("/topic/tx", "t2", "transaction", "1")
		c.ask(stomp.CommandAck, "id", work.Value("ack"), "transaction", "1")
		check(t, "before COMMIT", s.pending(), "")
		c.do(stomp.CommandCommit, "transaction", "1", "receipt", "committed")
		got := map[string]bool{}
		for range 2 {
			f := c.read()
			got[f.Value("receipt-id")+string(f.Body)] = true
		}
		if !got["committed"] || !got["u1"] {
			t.Errorf("the committer got %v, want its receipt and its message", got)
		}
		of := map[string]string{}
		for _, m := range s.messages(3) {
			of[m.Value("subscription")] += string(m.Body)
		}
		check(t, "messages of the topic", of["t"], "t1t2")
		check(t, "messages of the queue", of["q"], "q1")
		c.close()
		again := r.connect(t)
		again.subscribe("w", "/queue/tx-source")
		check(t, "acked work", again.pending(), "")
	})
	t.Run("leaves nothing behind after ABORT or the end of the session", func(t *testing.T) {
		c, s := r.connect(t), r.connect(t)
		s.subscribe("q", "/queue/aborted")
		c.do(stomp.CommandBegin, "transaction", "1")
		c.send("/queue/aborted", "x", "transaction", "1")
		c.ask(stomp.CommandAbort, "transaction", "1")
		c.do(stomp.CommandBegin, "transaction", "1") // the id is free again
		c.send("/queue/aborted", "y", "transaction", "1")
		c.ask(stomp.CommandDisconnect)
		check(t, "messages", s.pending(), "")
	})
	t.Run("changes nothing when one of its actions is refused", func(t *testing.T) {
		c := r.connect(t)
		policy := broker.Policy{Set: broker.PolicyMaxDepth, MaxDepth: 1}
		if err := r.gateway.SetPolicy(t.Context(), "/queue/tx-full", &policy); err != nil {
			t.Fatal(err)
		}
		c.publish("/queue/tx-full", "first")
		c.publish("/queue/tx-work", "work")
		c.subscribe("w", "/queue/tx-work", "ack", "client-individual")
		work := c.message()
		c.do(stomp.CommandBegin, "transaction", "1")
		c.send("/topic/tx-none", "x", "transaction", "1")
		c.do(stomp.CommandAck, "id", work.Value("ack"), "transaction", "1")
		c.send("/queue/tx-full", "x", "transaction", "1")
		c.do(stomp.CommandCommit, "transaction", "1", "receipt", "refused")
		check(t, "receipt-id", c.expectError(stomp.CodeQueueFull, false).Value("receipt-id"), "refused")
		c.subscribe("t", "/topic/tx-none", "x-stream-offset", "first")
		check(t, "sent", c.pending(), "")
		c.ask(stomp.CommandAck, "id", work.Value("ack")) // it is owned still
	})
	t.Run("is refused whole for a stale ACK, with a receipt", func(t *testing.T) {
		c := r.connect(t)
		c.publish("/queue/tx-stale", "work")
		c.subscribe("w", "/queue/tx-stale", "ack", "client")
		work := c.message()
		c.ask(stomp.CommandAck, "id", work.Value("ack"))
		c.do(stomp.CommandBegin, "transaction", "1")
		c.send("/queue/tx-stale-out", "x", "transaction", "1")
		c.do(stomp.CommandAck, "id", work.Value("ack"), "transaction", "1")
		c.do(stomp.CommandCommit, "transaction", "1", "receipt", "stale")
		c.expectError(stomp.CodeDeliveryGone, false)
		c.subscribe("out", "/queue/tx-stale-out")
		check(t, "sent", c.pending(), "")
		c.do(stomp.CommandBegin, "transaction", "2")
		c.send("/queue/tx-stale-out", "y", "transaction", "2")
		c.do(stomp.CommandAck, "id", work.Value("ack"), "transaction", "2")
		c.do(stomp.CommandCommit, "transaction", "2")
		check(t, "without a receipt the ACK is ignored", c.bodies(1), "y")
	})
	t.Run("holds 1,000 actions and no more", func(t *testing.T) {
		c, s := r.connect(t), r.connect(t)
		s.subscribe("t", "/topic/tx-large")
		c.do(stomp.CommandBegin, "transaction", "1")
		for i := 1; i <= 1000; i++ {
			c.send("/topic/tx-large", "m"+strconv.Itoa(i), "transaction", "1")
		}
		c.ask(stomp.CommandCommit, "transaction", "1")
		check(t, "messages", s.bodies(1000), numbered("m", 1, 1000))
		c.do(stomp.CommandBegin, "transaction", "2")
		for range 1001 {
			c.send("/topic/tx-large", "x", "transaction", "2")
		}
		c.expect(stomp.CommandError)
		check(t, "messages of the one too large", s.pending(), "")
	})
	t.Run("may be as large as 15 MiB", func(t *testing.T) {
		c, s := r.connect(t), r.connect(t)
		s.subscribe("t", "/topic/tx-heavy")
		body := strings.Repeat("x", 1<<20)
		c.do(stomp.CommandBegin, "transaction", "1")
		for i := range 15 {
			c.send("/topic/tx-heavy", fmt.Sprintf("m%d %s", i, body), "transaction", "1")
		}
		c.ask(stomp.CommandCommit, "transaction", "1")
		check(t, "messages", firstWords(s, 15), numbered("m", 0, 14))
	})
	t.Run("is committed empty", func(t *testing.T) {
		c := r.connect(t)
		c.do(stomp.CommandBegin, "transaction", "1")
		c.ask(stomp.CommandCommit, "transaction", "1")
	})
	t.Run("gives credit of topics back", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("s", "/topic/tx-credit", "ack", "client", "prefetch-count", "1")
		c.send("/topic/tx-credit", "m1")
		c.send("/topic/tx-credit", "m2")
		m := c.message()
		c.do(stomp.CommandBegin, "transaction", "1")
		c.do(stomp.CommandAck, "id", m.Value("ack"), "transaction", "1")
		check(t, "before COMMIT", c.pending(), "")
		c.do(stomp.CommandCommit, "transaction", "1")
		check(t, "after COMMIT", c.bodies(1), "m2")
	})
}
