package gateway_test

import (
	"strings"
	"testing"

	"stampede/stomp"
)

// otherAck is an ack header of the same subscription with another tag.
func otherAck(ack, tag string) string {
	sub, _, _ := strings.Cut(ack, "-")
	return sub + "-" + tag
}

func TestAck(t *testing.T) {
	r := start(t)
	publisher := r.connect(t)
	take := func(c *client, queue string) *stomp.Frame {
		c.t.Helper()
		c.subscribe(queue, queue, "ack", "client-individual")
		publisher.publish(queue, "m1")
		return c.message()
	}
	t.Run("of a settled delivery is ignored, or told when it asks for a receipt", func(t *testing.T) {
		c := r.connect(t)
		m := take(c, "/queue/settled")
		c.ask(stomp.CommandAck, "id", m.Value("ack"))
		stale := r.gateway.Stats().StaleAcks.Load()
		c.do(stomp.CommandAck, "id", m.Value("ack"))
		c.do(stomp.CommandNack, "id", m.Value("ack"))
		check(t, "answers", c.pending(), "")
		if got := r.gateway.Stats().StaleAcks.Load(); got != stale+2 {
			t.Errorf("stale ACKs = %d, want %d", got, stale+2)
		}
		c.do(stomp.CommandAck, "id", m.Value("ack"), "receipt", "late")
		check(t, "receipt-id", c.expectError(stomp.CodeDeliveryGone, false).Value("receipt-id"), "late")
	})
	t.Run("of an ended subscription likewise", func(t *testing.T) {
		c := r.connect(t)
		m := take(c, "/queue/ended")
		c.ask(stomp.CommandUnsubscribe, "id", "/queue/ended")
		c.do(stomp.CommandAck, "id", m.Value("ack"))
		check(t, "answers", c.pending(), "")
		c.do(stomp.CommandAck, "id", m.Value("ack"), "receipt", "late")
		c.expectError(stomp.CodeDeliveryGone, false)
	})
	t.Run("of another session's delivery settles nothing", func(t *testing.T) {
		c, thief := r.connect(t), r.connect(t)
		m := take(c, "/queue/owned")
		thief.do(stomp.CommandAck, "id", m.Value("ack"))
		thief.do(stomp.CommandAck, "id", m.Value("ack"), "receipt", "1")
		thief.expectError(stomp.CodeDeliveryGone, false)
		c.ask(stomp.CommandAck, "id", m.Value("ack")) // the owner still has it
	})
	t.Run("of what was never delivered is an error", func(t *testing.T) {
		c := r.connect(t)
		m := take(c, "/queue/never")
		for _, id := range []string{"nonsense", "1", "999999-1", otherAck(m.Value("ack"), "2"), otherAck(m.Value("ack"), "0"), otherAck(m.Value("ack"), "1.1"), "-", "1-x", "-1-1"} {
			c.do(stomp.CommandAck, "id", id, "receipt", "x")
			c.expectError(stomp.CodeUnknownAck, false)
		}
		c.ask(stomp.CommandAck, "id", m.Value("ack"))
	})
	t.Run("never closes a session under the strict policy when it is only late", func(t *testing.T) {
		r := start(t, strict)
		c, publisher := r.connect(t), r.connect(t)
		c.subscribe("s", "/queue/strict", "ack", "client")
		publisher.publish("/queue/strict", "m1")
		m := c.message()
		c.ask(stomp.CommandAck, "id", m.Value("ack"))
		c.do(stomp.CommandAck, "id", m.Value("ack"), "receipt", "late")
		c.expectError(stomp.CodeDeliveryGone, false)
		check(t, "the session lives", c.pending(), "")
		c.do(stomp.CommandAck, "id", "nonsense")
		c.expectError(stomp.CodeUnknownAck, true)
	})
	t.Run("with a delay is refused", func(t *testing.T) {
		c := r.connect(t)
		m := take(c, "/queue/delayed")
		c.do(stomp.CommandNack, "id", m.Value("ack"), "delay", "1000")
		c.expectError(stomp.CodeUnsupportedHeader, false)
		c.ask(stomp.CommandAck, "id", m.Value("ack"))
	})
	t.Run("is receipted when it took effect", func(t *testing.T) {
		c := r.connect(t)
		m := take(c, "/queue/receipted")
		c.ask(stomp.CommandAck, "id", m.Value("ack"))
		c.close()
		again := r.connect(t)
		again.subscribe("s", "/queue/receipted")
		check(t, "what comes again", again.pending(), "")
	})
}

func TestAckBefore12(t *testing.T) {
	r := start(t)
	publisher := r.connect(t)
	for _, version := range []string{"1.0", "1.1"} {
		t.Run("names subscription and message in "+version, func(t *testing.T) {
			queue := "/queue/old-" + version
			c := r.connect(t, "accept-version", version)
			c.subscribe("s", queue, "ack", "client-individual", "prefetch-count", "2")
			publisher.sendNumbers(queue, 1, 4)
			got := c.messages(2)
			ack := []string{"subscription", "s", "message-id", got[1].Value("message-id")}
			c.ask(stomp.CommandAck, ack...)
			check(t, "after an ACK", c.bodies(1), "m3")
			c.do(stomp.CommandAck, ack...)
			check(t, "after a repeated ACK", c.pending(), "")
			c.do(stomp.CommandAck, append(ack, "receipt", "late")...)
			c.expectError(stomp.CodeDeliveryGone, false)
			c.do(stomp.CommandAck, "subscription", "s", "message-id", "1-0-999999999")
			c.expectError(stomp.CodeUnknownAck, false)
			c.do(stomp.CommandAck, "subscription", "s", "message-id", "nonsense")
			c.expectError(stomp.CodeUnknownAck, false)
			c.do(stomp.CommandUnsubscribe, "id", "s")
			c.do(stomp.CommandAck, "subscription", "s", "message-id", got[0].Value("message-id"))
			check(t, "an ACK behind UNSUBSCRIBE", c.pending(), "")
			again := r.connect(t)
			again.subscribe("s", queue)
			check(t, "what comes again", again.bodies(3), "m1 m3 m4")
		})
	}
	t.Run("names only the message in 1.0", func(t *testing.T) {
		c := r.connect(t, "accept-version", "1.0")
		c.ask(stomp.CommandSubscribe, "destination", "/queue/oldest", "ack", "client", "prefetch-count", "2")
		c.ask(stomp.CommandSubscribe, "destination", "/queue/oldest-other", "ack", "client")
		publisher.sendNumbers("/queue/oldest", 1, 3)
		got := c.messages(2)
		check(t, "subscription", got[0].Value("subscription"), "/queue/oldest")
		c.ask(stomp.CommandAck, "message-id", got[1].Value("message-id"))
		check(t, "after an ACK", c.bodies(1), "m3")
		c.ask(stomp.CommandUnsubscribe, "destination", "/queue/oldest")
	})
	t.Run("NACKs in 1.1", func(t *testing.T) {
		c := r.connect(t, "accept-version", "1.1")
		c.subscribe("s", "/queue/nack-old", "ack", "client")
		publisher.publish("/queue/nack-old", "m1")
		c.ask(stomp.CommandNack, "subscription", "s", "message-id", c.message().Value("message-id"))
		m := c.message()
		check(t, "redelivered", m.Value("redelivered"), "true")
		c.ask(stomp.CommandAck, "subscription", "s", "message-id", m.Value("message-id"))
	})
	t.Run("can ACK again what a refused transaction did not", func(t *testing.T) {
		c := r.connect(t, "accept-version", "1.1")
		c.subscribe("s", "/queue/tx-old", "ack", "client-individual", "prefetch-count", "1")
		publisher.sendNumbers("/queue/tx-old", 1, 2)
		ack := []string{"subscription", "s", "message-id", c.message().Value("message-id")}
		c.do(stomp.CommandBegin, "transaction", "t")
		c.do(stomp.CommandAck, append(ack, "transaction", "t")...)
		c.send("/queue/*", "refused", "transaction", "t")
		c.do(stomp.CommandCommit, "transaction", "t", "receipt", "t")
		c.expectError(stomp.CodeInvalidDestination, false)
		c.do(stomp.CommandBegin, "transaction", "t")
		c.do(stomp.CommandAck, append(ack, "transaction", "t")...)
		c.do(stomp.CommandCommit, "transaction", "t")
		check(t, "after an ACK", c.bodies(1), "m2")
	})
}
