package gateway_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"stampede/broker"
	"stampede/stomp"
)

func TestTopic(t *testing.T) {
	r := start(t)
	t.Run("gives every subscriber every message in the order of sending", func(t *testing.T) {
		publisher := r.connect(t)
		var all []*client
		for range 5 {
			c := r.connect(t)
			c.subscribe("s", "/topic/fan")
			all = append(all, c)
		}
		for i := 1; i <= 200; i++ {
			publisher.send("/topic/fan", "m"+strconv.Itoa(i))
		}
		for i, c := range all {
			check(t, fmt.Sprintf("subscriber %d", i), c.bodies(200), numbered("m", 1, 200))
		}
	})
	t.Run("gives all subscribers one order of what several sessions send", func(t *testing.T) {
		one, two := r.connect(t), r.connect(t)
		one.subscribe("s", "/topic/one-order")
		two.subscribe("s", "/topic/one-order")
		publishers := []*client{r.connect(t), r.connect(t), r.connect(t)}
		for i := range 100 {
			for p, c := range publishers {
				c.send("/topic/one-order", fmt.Sprintf("%d-%d", p, i))
			}
		}
		first := one.bodies(300)
		check(t, "the second subscriber", two.bodies(300), first)
		for p := range publishers {
			next := 0
			for _, body := range strings.Fields(first) {
				if n, ok := strings.CutPrefix(body, fmt.Sprintf("%d-", p)); ok {
					check(t, "order of one publisher", n, strconv.Itoa(next))
					next++
				}
			}
		}
	})
	t.Run("gives one session a message once for each of its subscriptions", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("a", "/topic/twice")
		c.subscribe("b", "/topic/*")
		c.send("/topic/twice", "x")
		got := c.message().Value("subscription") + c.message().Value("subscription")
		if got != "ab" && got != "ba" {
			t.Errorf("subscriptions = %q, want a and b", got)
		}
	})
	t.Run("keeps from a session what it sent itself with no-local", func(t *testing.T) {
		c, other := r.connect(t), r.connect(t)
		c.subscribe("a", "/topic/no-local", "no-local", "true")
		c.subscribe("b", "/topic/no-local-too", "activemq.noLocal", "true")
		c.publish("/topic/no-local", "mine")
		c.publish("/topic/no-local-too", "mine")
		c.publish("/topic/no-local", "mine", "persistent", "false")
		other.publish("/topic/no-local", "hers")
		other.publish("/topic/no-local-too", "hers, too")
		check(t, "messages", c.bodies(2), "hers hers, too")
		c.subscribe("c", "/topic/no-local", "no-local", "true", "x-stream-offset", "first")
		check(t, "messages from the log", c.bodies(1), "hers")
		check(t, "more", c.pending(), "")
	})
	t.Run("gives nothing more after UNSUBSCRIBE", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("a", "/topic/left")
		c.publish("/topic/other", "x")
		c.ask(stomp.CommandUnsubscribe, "id", "a")
		c.publish("/topic/left", "late")
		c.publish("/topic/left", "late", "persistent", "false")
		check(t, "messages", c.pending(), "")
	})
	t.Run("does not give a message whose time is over", func(t *testing.T) {
		c := r.connect(t)
		c.publish("/topic/mortal", "dead", "expires", "1")
		c.publish("/topic/mortal", "alive", "expiration", "600000")
		c.subscribe("a", "/topic/mortal", "x-stream-offset", "first")
		check(t, "messages", c.bodies(1), "alive")
		check(t, "more", c.pending(), "")
	})
	t.Run("refuses wildcards in SEND and keeps the session of a service", func(t *testing.T) {
		c := r.connect(t)
		for _, d := range []string{"/topic/*", "/topic/a.**", "/topic/a/#", "/topic/>.b"} {
			c.send(d, "x", "receipt", "1")
			if got := c.expectError(stomp.CodeInvalidDestination, false).Value("receipt-id"); got != "1" {
				t.Errorf("%s: receipt-id = %q, want 1", d, got)
			}
		}
		c.publish("/topic/star*inside", "no wildcard")
	})
}

func TestTopicWildcards(t *testing.T) {
	r := start(t)
	sent := []string{"/topic/a", "/topic/a.b", "/topic/a/b", "/topic/a.b.c", "/topic/a/b.c", "/topic/b", "/topic/b.a"}
	for i, c := range []struct{ pattern, want string }{
		{"/topic/*", "/topic/a /topic/b"},
		{"/topic/a.*", "/topic/a.b"}, // a separator that is written stands for itself
		{"/topic/a/*", "/topic/a/b"},
		{"/topic/*.b", "/topic/a.b"},
		{"/topic/a.**", "/topic/a /topic/a.b /topic/a/b /topic/a.b.c /topic/a/b.c"},
		{"/topic/a.#", "/topic/a /topic/a.b /topic/a/b /topic/a.b.c /topic/a/b.c"},
		{"/topic/a/>", "/topic/a /topic/a.b /topic/a/b /topic/a.b.c /topic/a/b.c"},
		{"/topic/**.c", "/topic/a.b.c /topic/a/b.c"},
		{"/topic/a.b", "/topic/a.b"},
		{"/exchange/amq.topic/a.*", "/topic/a.b"},
	} {
		t.Run("pattern "+c.pattern, func(t *testing.T) {
			for _, unlogged := range []bool{false, true} {
				s := r.connect(t)
				s.subscribe("s", c.pattern)
				for _, d := range sent {
					if unlogged {
						s.send(d, d, "persistent", "false")
					} else {
						s.send(d, d)
					}
				}
				check(t, fmt.Sprintf("case %d, unlogged %v", i, unlogged), s.pending(), c.want)
				s.close()
			}
		})
	}
	t.Run("reads the log by a pattern", func(t *testing.T) {
		c := r.connect(t)
		c.publish("/topic/log.one", "1")
		c.publish("/topic/elsewhere", "x")
		c.publish("/topic/log.two", "2")
		c.subscribe("s", "/topic/log.*", "x-stream-offset", "first")
		check(t, "messages", c.bodies(2), "1 2")
	})
	t.Run("refuses wildcards on queues, direct exchanges and user destinations", func(t *testing.T) {
		c := r.connect(t, "login", "ada")
		for _, d := range []string{"/queue/*", "/queue/a.#", "/user/queue/*", "/exchange/amq.direct/*"} {
			c.do(stomp.CommandSubscribe, "id", "x", "destination", d)
			c.expectError(stomp.CodeInvalidDestination, false)
		}
	})
}

func TestTopicOfTheBroker(t *testing.T) {
	r := start(t)
	t.Run("matches only patterns that name it", func(t *testing.T) {
		c := r.connect(t)
		c.publish("/topic/nobody", "its own opening is over")
		for i, d := range []string{"/topic/**", "/topic/*.presence", "/topic/#", "/topic/server/**"} {
			c.subscribe("all-"+strconv.Itoa(i), d)
		}
		c.subscribe("exact", "/topic/server.presence")
		c.subscribe("pattern", "/topic/server.*")
		r.connect(t, "login", "ada")
		got := map[string]int{}
		for range 2 {
			m := c.message()
			got[m.Value("subscription")]++
			for _, want := range []string{`"type":"opened"`, `"user":"ada"`} {
				if !strings.Contains(string(m.Body), want) {
					t.Errorf("notice %s has no %s", m.Body, want)
				}
			}
			check(t, "content-type", m.Value("content-type"), "application/json")
		}
		if got["exact"] != 1 || got["pattern"] != 1 {
			t.Errorf("notices = %v, want one for exact and one for pattern", got)
		}
		check(t, "more", c.pending(), "")
	})
	t.Run("refuses SEND", func(t *testing.T) {
		c := r.connect(t)
		for _, d := range []string{"/topic/server.events", "/topic/server.x", "/exchange/amq.topic/server.events"} {
			c.send(d, "x")
			c.expectError(stomp.CodeForbiddenDestination, false)
		}
		c.publish("/topic/serverless", "x")
	})
	t.Run("announces a drain", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("s", "/topic/server.events")
		r.gateway.AnnounceDrain(7e9)
		if got := string(c.message().Body); !strings.Contains(got, `"type":"drain"`) || !strings.Contains(got, `"reconnectInSeconds":7`) {
			t.Errorf("notice = %s, want a drain in 7 seconds", got)
		}
	})
}

func TestTopicBodies(t *testing.T) {
	r := start(t)
	for name, pairs := range map[string][]string{"logged": nil, "unlogged": {"persistent", "false"}} {
		t.Run("of all sizes come whole: "+name, func(t *testing.T) {
			c, publisher := r.connect(t), r.connect(t)
			topic := "/topic/bodies-" + name
			c.subscribe("s", topic)
			const count = 400 // large ones are kept by reference in the outbox until the socket takes them
			body := func(i int) string {
				return strings.Repeat(string(rune('a'+i%26)), []int{9000, 20, 40_000, 300}[i%4])
			}
			for i := range count {
				publisher.send(topic, body(i), append(pairs, "n", strconv.Itoa(i))...)
			}
			publisher.publish(topic, "end")
			got := 0
			for m := c.message(); string(m.Body) != "end"; m = c.message() {
				n, _ := strconv.Atoi(m.Value("n"))
				if want := body(n); string(m.Body) != want {
					t.Fatalf("body %d has %d bytes of %.5s, want %d of %.5s", n, len(m.Body), m.Body, len(want), want)
				}
				got++
			}
			if name == "logged" && got != count {
				t.Errorf("%d messages, want %d", got, count)
			}
		})
	}
}

func TestTopicSlowSubscriber(t *testing.T) {
	const count, size = 4000, 2000 // 8 MB: more than the socket's buffers and the outbox take
	r := start(t, smallOutbox)
	slow, quick, publisher := r.connect(t), r.connect(t), r.connect(t)
	shrinkReceiveBuffer(t, slow)
	slow.subscribe("s", "/topic/slow")
	quick.subscribe("s", "/topic/slow")
	filler := strings.Repeat("x", size)
	read := make(chan string, 1)
	go func() { read <- firstWords(quick, count) }()
	for i := 1; i <= count; i++ {
		publisher.send("/topic/slow", fmt.Sprintf("m%d %s", i, filler))
	}
	publisher.publish("/topic/nobody", "all were taken while the slow one read nothing")
	check(t, "the quick subscriber", <-read, numbered("m", 1, count))
	check(t, "the slow subscriber, from the log", firstWords(slow, count), numbered("m", 1, count))
	publisher.publish("/topic/slow", "live again")
	check(t, "the slow subscriber, caught up", slow.bodies(1), "live again")
	if dropped := r.gateway.Stats().Dropped.Load(); dropped != 0 {
		t.Errorf("%d messages were dropped, want none", dropped)
	}
}

// firstWords reads n messages and gives the first word of each body.
func firstWords(c *client, n int) string {
	c.t.Helper()
	words := make([]string, 0, n)
	for range n {
		f, err := c.tryRead()
		if err != nil {
			c.t.Errorf("read: %v", err)
			break
		}
		word, _, _ := strings.Cut(string(f.Body), " ")
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestTopicsLeaveTheGateway(t *testing.T) {
	r := start(t)
	c := r.connect(t, "login", "ada")
	c.subscribe("a", "/topic/x")
	c.subscribe("b", "/topic/*")
	c.subscribe("c", "/queue/x")
	c.subscribe("d", "/user/queue/x")
	if topics, queues, users := r.gateway.Subscriptions(); topics != 2 || queues != 1 || users != 1 {
		t.Errorf("subscriptions = %d, %d, %d, want 2, 1, 1", topics, queues, users)
	}
	c.close()
	await(t, "the end of all subscriptions", func() bool {
		topics, queues, users := r.gateway.Subscriptions()
		return topics+queues+users == 0
	})
	await(t, "the end of the session in the fold", func() bool {
		var counts broker.Counts
		r.inspect(t, func(s *broker.State) { counts = s.Counts() })
		return counts.Sessions == 0 && counts.Subscriptions == 0
	})
}
