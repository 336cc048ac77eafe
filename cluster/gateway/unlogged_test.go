package gateway_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"stampede/broker"
	"stampede/stomp"
)

var unlogged = []string{"persistent", "false"}

func TestUnlogged(t *testing.T) {
	r := start(t)
	t.Run("comes live with an id of its own and no offset", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("s", "/topic/u")
		c.publish("/topic/other", "a place in the log")
		applied := r.node.Applied()
		c.send("/topic/u", "one", unlogged...)
		c.send("/topic/u", "two", unlogged...)
		one, two := c.message(), c.message()
		for _, m := range []*stomp.Frame{one, two} {
			if m.Has("x-stream-offset") {
				t.Errorf("%s has an offset, want none", show(m))
			}
			if at, err := strconv.ParseInt(m.Value("timestamp"), 10, 64); err != nil || time.Since(time.UnixMilli(at)).Abs() > time.Minute {
				t.Errorf("timestamp = %q, want now", m.Value("timestamp"))
			}
			if want := fmt.Sprintf("1-0-%d.", applied); !strings.HasPrefix(m.Value("message-id"), want) {
				t.Errorf("message-id = %q, want %s and a number", m.Value("message-id"), want)
			}
		}
		if one.Value("message-id") == two.Value("message-id") {
			t.Errorf("both have the message-id %s", one.Value("message-id"))
		}
		if got := r.node.Applied(); got != applied {
			t.Errorf("the log went from %d to %d", applied, got)
		}
	})
	t.Run("does not come again", func(t *testing.T) {
		c := r.connect(t)
		c.publish("/topic/gone", "unlogged", unlogged...)
		c.publish("/topic/gone", "logged")
		c.subscribe("s", "/topic/gone", "x-stream-offset", "first")
		check(t, "messages", c.bodies(1), "logged")
		check(t, "more", c.pending(), "")
	})
	t.Run("can be resumed after", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("s", "/topic/resumed")
		c.publish("/topic/other", "")
		c.send("/topic/resumed", "1")
		c.send("/topic/resumed", "2", unlogged...)
		c.send("/topic/resumed", "3")
		check(t, "messages", string(c.message().Body), "1")
		id := c.message().Value("message-id")
		check(t, "messages", c.bodies(1), "3")
		c.subscribe("again", "/topic/resumed", "resume-after", id)
		check(t, "messages after "+id, c.bodies(1), "3")
	})
	t.Run("is not given to a subscription that is ahead of this node's log", func(t *testing.T) {
		c, s := r.connect(t), r.connect(t)
		c.publish("/topic/ahead", "logged")
		s.subscribe("s", "/topic/ahead", "x-stream-offset", fmt.Sprint("offset=", r.node.Applied()+3))
		c.publish("/topic/ahead", "too early", unlogged...)
		c.publish("/topic/ahead", "skipped")
		c.publish("/topic/ahead", "skipped")
		c.publish("/topic/ahead", "first")
		c.publish("/topic/ahead", "then", unlogged...)
		check(t, "messages", s.bodies(2), "first then")
	})
	t.Run("is logged all the same on queues, for users and in transactions", func(t *testing.T) {
		c := r.connect(t, "login", "ada")
		c.publish("/queue/kept", "q", unlogged...)
		c.publish("/user/ada/queue/kept", "u", unlogged...)
		c.do(stomp.CommandBegin, "transaction", "1")
		c.send("/topic/kept", "t", append([]string{"transaction", "1"}, unlogged...)...)
		c.ask(stomp.CommandCommit, "transaction", "1")
		c.do(stomp.CommandSubscribe, "id", "q", "destination", "/queue/kept")
		c.do(stomp.CommandSubscribe, "id", "u", "destination", "/user/queue/kept")
		c.do(stomp.CommandSubscribe, "id", "t", "destination", "/topic/kept", "x-stream-offset", "first")
		got := map[string]string{}
		for range 3 {
			m := c.message()
			got[m.Value("subscription")] = string(m.Body)
		}
		if len(got) != 3 || got["q"] != "q" || got["u"] != "u" || got["t"] != "t" {
			t.Errorf("messages = %v, want all three", got)
		}
	})
	t.Run("keeps its place behind own logged messages of the same destination", func(t *testing.T) {
		c, s := r.connect(t), r.connect(t)
		for _, d := range []string{"/topic/order.a", "/topic/order.b"} {
			s.subscribe(d, d)
		}
		for i := range 300 {
			c.send("/topic/order.a", fmt.Sprintf("a%d", 2*i))
			c.send("/topic/order.b", fmt.Sprintf("b%d", 2*i))
			c.send("/topic/order.a", fmt.Sprintf("a%d", 2*i+1), unlogged...)
			c.send("/topic/order.b", fmt.Sprintf("b%d", 2*i+1), unlogged...)
		}
		next := map[string]int{}
		for range 1200 {
			body := string(s.message().Body)
			check(t, "message", body, body[:1]+strconv.Itoa(next[body[:1]]))
			next[body[:1]]++
		}
	})
	t.Run("by policy", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("spring", "/topic/unresolved-user-destination")
		c.send("/topic/unresolved-user-destination", "x")
		if m := c.message(); m.Has("x-stream-offset") {
			t.Errorf("%s has an offset, want none by default", show(m))
		}
		policy := broker.Policy{Set: broker.PolicyLogged}
		if err := r.gateway.SetPolicy(t.Context(), "/topic/by-policy", &policy); err != nil {
			t.Fatal(err)
		}
		await(t, "the policy", func() bool { return !r.gateway.Policies().Resolve("/topic/by-policy").Logged })
		c.subscribe("s", "/topic/by-policy")
		c.send("/topic/by-policy", "x")
		if m := c.message(); m.Has("x-stream-offset") {
			t.Errorf("%s has an offset, want none", show(m))
		}
		if err := r.gateway.SetPolicy(t.Context(), "/topic/by-policy", nil); err != nil {
			t.Fatal(err)
		}
		await(t, "the end of the policy", func() bool { return r.gateway.Policies().Resolve("/topic/by-policy").Logged })
		c.send("/topic/by-policy", "x")
		if m := c.message(); !m.Has("x-stream-offset") {
			t.Errorf("%s has no offset, want one", show(m))
		}
	})
}

func TestUnloggedOverflow(t *testing.T) {
	r := start(t, smallOutbox)
	stuck, quick, publisher := r.connect(t), r.connect(t), r.connect(t)
	shrinkReceiveBuffer(t, stuck)
	stuck.subscribe("s", "/topic/burst")
	quick.subscribe("s", "/topic/burst")
	body := strings.Repeat("x", 100<<10)
	read := make(chan string, 1)
	const count = 200 // 20 MB: more than the socket's buffers take
	go func() { read <- firstWords(quick, count) }()
	begun := time.Now()
	for i := 1; i <= count; i++ {
		publisher.send("/topic/burst", fmt.Sprintf("m%d %s", i, body), unlogged...)
	}
	publisher.publish("/topic/nobody", "", unlogged...)
	took := time.Since(begun)
	check(t, "the quick subscriber", <-read, numbered("m", 1, count))
	dropped := r.gateway.Stats().Dropped.Load()
	if dropped == 0 || dropped >= count {
		t.Errorf("%d of %d were dropped, want some", dropped, count)
	}
	if took < 900*time.Millisecond || took > 8*time.Second {
		t.Errorf("publishing took %v, want one wait of a second for the stuck subscriber", took)
	}
	publisher.publish("/topic/burst", "logged")
	given, told := 0, 0
	for {
		m := stuck.message()
		n, _ := strconv.Atoi(m.Value("dropped"))
		told += n
		if string(m.Body) == "logged" {
			break
		}
		given++
	}
	if uint64(told) != dropped || given+told != count {
		t.Errorf("%d given, told of %d dropped, counted %d; want %d in all", given, told, dropped, count)
	}
	publisher.publish("/topic/burst", "after", unlogged...)
	if m := stuck.message(); string(m.Body) != "after" || m.Has("dropped") {
		t.Errorf("then came %s, want the next message", show(m))
	}
}
