package gateway_test

import (
	"strconv"
	"testing"

	"stampede/stomp"
)

// messages reads n of them.
func (c *client) messages(n int) []*stomp.Frame {
	c.t.Helper()
	all := make([]*stomp.Frame, 0, n)
	for range n {
		all = append(all, c.message())
	}
	return all
}

// sendNumbers sends m<first> to m<last> and waits until they took effect.
func (c *client) sendNumbers(destination string, first, last int) {
	c.t.Helper()
	for i := first; i <= last; i++ {
		c.send(destination, "m"+strconv.Itoa(i))
	}
	c.publish("/topic/nobody", "")
}

func TestTopicCredit(t *testing.T) {
	r := start(t)
	publisher := r.connect(t)
	t.Run("of client-individual is given back one by one", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("s", "/topic/individual", "ack", "client-individual", "prefetch-count", "3")
		publisher.sendNumbers("/topic/individual", 1, 10)
		first := c.messages(3)
		check(t, "beyond the credit", c.pending(), "")
		c.do(stomp.CommandAck, "id", first[2].Value("ack"))
		check(t, "after an ACK of the last", c.bodies(1), "m4")
		c.do(stomp.CommandAck, "id", first[2].Value("ack")) // a second one gives nothing
		check(t, "after a repeated ACK", c.pending(), "")
		c.do(stomp.CommandNack, "id", first[0].Value("ack"))
		check(t, "after a NACK of the first", c.bodies(1), "m5")
		c.do(stomp.CommandAck, "id", first[1].Value("ack"))
		check(t, "after all three", c.bodies(1), "m6")
	})
	t.Run("of client is given back up to the message [STOMP12 §SUBSCRIBE ack Header]", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("s", "/topic/cumulative", "ack", "client", "activemq.prefetchSize", "4")
		publisher.sendNumbers("/topic/cumulative", 1, 12)
		first := c.messages(4)
		check(t, "beyond the credit", c.pending(), "")
		c.do(stomp.CommandAck, "id", first[2].Value("ack"))
		check(t, "after an ACK of the third", c.bodies(3), "m5 m6 m7")
		check(t, "beyond the credit", c.pending(), "")
		c.do(stomp.CommandAck, "id", first[3].Value("ack"))
		check(t, "after an ACK of the fourth", c.bodies(1), "m8")
	})
	t.Run("in bytes is given back like that in messages, one at a time for 0", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("s", "/topic/bytes", "ack", "client-individual", "prefetch-bytes", "0")
		publisher.sendNumbers("/topic/bytes", 1, 4)
		for i := 1; i <= 4; i++ {
			m := c.message()
			check(t, "the next", string(m.Body), "m"+strconv.Itoa(i))
			check(t, "beyond the credit", c.pending(), "")
			c.do(stomp.CommandAck, "id", m.Value("ack"))
		}
	})
	t.Run("goes over many messages, live and from the log", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("s", "/topic/many", "ack", "client", "prefetch-count", "7")
		done := make(chan struct{})
		go publishNumbers(publisher, "/topic/many", 500, done)
		for i := 1; i <= 500; i++ {
			m := c.message()
			check(t, "message", string(m.Body), "m"+strconv.Itoa(i))
			if i%5 == 0 {
				c.do(stomp.CommandAck, "id", m.Value("ack"))
			}
		}
		<-done
	})
	t.Run("is 100 when nothing was asked for", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("s", "/topic/default", "ack", "client")
		publisher.sendNumbers("/topic/default", 1, 120)
		c.messages(100)
		check(t, "beyond the credit", c.pending(), "")
	})
	t.Run("counts by message-id before STOMP 1.2", func(t *testing.T) {
		c := r.connect(t, "accept-version", "1.1")
		c.subscribe("s", "/topic/old", "ack", "client", "prefetch-count", "2")
		publisher.sendNumbers("/topic/old", 1, 5)
		first := c.messages(2)
		if first[0].Has("ack") {
			t.Errorf("%s has an ack header, want none in STOMP 1.1", show(first[0]))
		}
		c.do(stomp.CommandAck, "subscription", "s", "message-id", first[1].Value("message-id"))
		check(t, "after an ACK", c.bodies(2), "m3 m4")
		// Repeated: settled already, and nobody's fault.
		c.do(stomp.CommandAck, "subscription", "s", "message-id", first[1].Value("message-id"))
		check(t, "after a repeated ACK", c.pending(), "")
	})
	t.Run("needs a mode that has ACKs", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("s", "/topic/auto")
		publisher.publish("/topic/auto", "x")
		if m := c.message(); m.Has("ack") {
			t.Errorf("%s has an ack header, want none in auto mode", show(m))
		}
	})
	t.Run("that is no number is refused", func(t *testing.T) {
		c := r.connect(t)
		for _, h := range [][2]string{
			{"prefetch-count", "0"}, {"prefetch-count", "-1"}, {"prefetch-count", "x"}, {"activemq.prefetchSize", ""},
			{"prefetch-bytes", "-2"}, {"consumer-window-size", "x"},
		} {
			c.do(stomp.CommandSubscribe, "id", "x", "destination", "/queue/x", "ack", "client", h[0], h[1])
			c.expectError(stomp.CodeInvalidHeader, false)
		}
	})
}

func TestUnloggedCredit(t *testing.T) {
	for _, version := range []string{"1.0", "1.1", "1.2"} {
		for _, mode := range []string{"client", "client-individual"} {
			t.Run("is not needed in "+mode+" of "+version, func(t *testing.T) {
				r := start(t)
				publisher := r.connect(t)
				c := r.connect(t, "accept-version", version)
				ack := func(m *stomp.Frame) {
					if version == "1.2" {
						c.do(stomp.CommandAck, "id", m.Value("ack"))
					} else {
						c.do(stomp.CommandAck, "subscription", "s", "message-id", m.Value("message-id"))
					}
				}
				c.subscribe("s", "/topic/mixed", "ack", mode, "prefetch-count", "2")
				for i := range 10 {
					publisher.publish("/topic/mixed", "u"+strconv.Itoa(i), "persistent", "false")
				}
				for _, m := range c.messages(10) {
					ack(m)
				}
				check(t, "answers to ACKs of unlogged messages", c.pending(), "")
				publisher.publish("/topic/mixed", "l1")
				publisher.publish("/topic/mixed", "u", "persistent", "false")
				publisher.publish("/topic/mixed", "l2")
				publisher.publish("/topic/mixed", "u", "persistent", "false")
				publisher.publish("/topic/mixed", "l3") // waits for credit
				got := c.messages(4)
				check(t, "beyond the credit", c.pending(), "")
				if mode == "client" {
					ack(got[3]) // an unlogged one, behind both logged ones
					check(t, "after an ACK of an unlogged message", c.bodies(1), "l3")
					return
				}
				ack(got[1])
				ack(got[3])
				check(t, "after ACKs of unlogged messages", c.pending(), "")
				ack(got[0])
				check(t, "after an ACK of a logged message", c.bodies(1), "l3")
			})
		}
	}
}
