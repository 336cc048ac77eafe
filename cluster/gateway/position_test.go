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

func TestPosition(t *testing.T) {
	r := start(t)
	c := r.connect(t)
	var ids, offsets []string
	c.subscribe("watch", "/topic/log")
	for i := 1; i <= 5; i++ {
		c.send("/topic/log", "m"+strconv.Itoa(i))
		c.send("/topic/noise", "x")
		m := c.message()
		ids = append(ids, m.Value("message-id"))
		offsets = append(offsets, m.Value("x-stream-offset"))
		check(t, "message-id", m.Value("message-id"), "1-0-"+m.Value("x-stream-offset"))
	}
	for _, test := range []struct{ name, value, want string }{
		{"x-stream-offset", "first", "m1 m2 m3 m4 m5"},
		{"x-stream-offset", "offset=" + offsets[2], "m3 m4 m5"},
		{"x-stream-offset", "offset=0", "m1 m2 m3 m4 m5"},
		{"x-stream-offset", "timestamp=0", "m1 m2 m3 m4 m5"},
		{"x-stream-offset", "timestamp=99999999999999", ""},
		{"resume-after", ids[3], "m5"},
		{"resume-after", ids[0], "m2 m3 m4 m5"},
		{"resume-after", ids[4], ""},
		{"resume-after", ids[1] + ".7", "m3 m4 m5"}, // behind an unlogged message
	} {
		t.Run(test.name+" "+test.value, func(t *testing.T) {
			s := r.connect(t)
			s.subscribe("end", "/topic/end")
			s.subscribe("s", "/topic/log", test.name, test.value)
			want := len(strings.Fields(test.want))
			check(t, "messages", s.bodies(want), test.want)
			c.publish("/topic/end", "end")
			check(t, "what follows", s.bodies(1), "end")
		})
	}
}

func TestPositionLast(t *testing.T) {
	r := start(t)
	c := r.connect(t)
	for i, test := range []struct{ name, value, want string }{
		{"x-stream-offset", "last", "m20"},
		{"last", "3", "m18 m19 m20"},
		{"last", "100", numbered("m", 1, 20)},
		{"x-stream-offset", "next", ""},
		{"last", "0", ""},
	} {
		t.Run(test.name+" "+test.value, func(t *testing.T) {
			topic := "/topic/last-" + strconv.Itoa(i)
			for i := 1; i <= 20; i++ {
				c.send(topic, "m"+strconv.Itoa(i))
				c.send("/topic/noise", "x")
			}
			c.publish("/topic/nobody", "")
			s := r.connect(t)
			s.subscribe("s", topic, test.name, test.value)
			check(t, "messages", s.bodies(len(strings.Fields(test.want))), test.want)
			c.publish(topic, "live")
			check(t, "what follows", s.bodies(1), "live")
		})
	}
	t.Run("of a topic without messages is what comes", func(t *testing.T) {
		s := r.connect(t)
		s.subscribe("s", "/topic/empty", "x-stream-offset", "last")
		s.send("/topic/empty", "first")
		check(t, "messages", s.bodies(1), "first")
	})
	t.Run("refuses a position that is none", func(t *testing.T) {
		for _, h := range [][2]string{
			{"x-stream-offset", "yesterday"}, {"x-stream-offset", "offset=-1"}, {"x-stream-offset", "timestamp=x"},
			{"resume-after", "7"}, {"resume-after", "1-0-x"}, {"last", "many"},
		} {
			c.do(stomp.CommandSubscribe, "id", "x", "destination", "/topic/last", h[0], h[1])
			c.expectError(stomp.CodeInvalidHeader, false)
		}
		c.do(stomp.CommandSubscribe, "id", "x", "destination", "/topic/*", "x-stream-offset", "last")
		c.expectError(stomp.CodeInvalidHeader, false)
		c.do(stomp.CommandSubscribe, "id", "x", "destination", "/queue/x", "x-stream-offset", "first")
		c.expectError(stomp.CodeUnsupportedHeader, false)
		c.subscribe("x", "/topic/last") // the id is free still
	})
}

func TestPositionResume(t *testing.T) {
	const count = 3000
	r := start(t, smallOutbox)
	t.Run("goes on exactly behind the last message while a publisher runs", func(t *testing.T) {
		publisher := r.connect(t)
		done := make(chan struct{})
		go publishNumbers(publisher, "/topic/resume", count, done)
		var got []string
		last, sessions := "", 0
		for len(got) < count {
			s := r.connect(t)
			sessions++
			pairs := []string{"x-stream-offset", "first"}
			if last != "" {
				pairs = []string{"resume-after", last}
			}
			s.subscribe("s", "/topic/resume", pairs...)
			for range min(97+sessions*31, count-len(got)) {
				m := s.message()
				last = m.Value("message-id")
				got = append(got, string(m.Body))
			}
			s.close()
		}
		<-done
		check(t, "all messages", strings.Join(got, " "), numbered("m", 1, count))
		if sessions < 3 {
			t.Errorf("%d sessions, want more than two", sessions)
		}
	})
	t.Run("gives each message once to many that begin at any time", func(t *testing.T) {
		publisher := r.connect(t)
		done := make(chan struct{})
		go publishNumbers(publisher, "/topic/join", count, done)
		for range 20 {
			s := r.connect(t)
			s.subscribe("s", "/topic/join", "x-stream-offset", "first")
			check(t, "messages", s.bodies(count), numbered("m", 1, count))
			s.close()
		}
		<-done
	})
}

func publishNumbers(c *client, destination string, count int, done chan<- struct{}) {
	defer close(done)
	for i := 1; i <= count; i++ {
		f := stomp.NewFrame(stomp.CommandSend, "destination", destination)
		f.Body = fmt.Append(nil, "m", i)
		if err := c.tryWrite(stomp.AppendFrame(nil, c.version, f)); err != nil {
			c.t.Errorf("publish: %v", err)
			return
		}
	}
}

func TestPositionAhead(t *testing.T) {
	r := start(t)
	t.Run("is answered after five seconds", func(t *testing.T) {
		t.Parallel()
		c := r.connect(t, "login", "ada")
		begun := time.Now()
		c.subscribe("a", "/topic/ahead", "x-stream-offset", "offset=1000000")
		c.expectError(stomp.CodePositionAhead, false)
		if took := time.Since(begun); took < 4*time.Second {
			t.Errorf("answered after %v, want five seconds", took)
		}
		c.publish("/topic/ahead", "x")
		check(t, "messages", c.pending(), "")
	})
	t.Run("is answered on a user destination, too", func(t *testing.T) {
		t.Parallel()
		c := r.connect(t, "login", "ada")
		c.subscribe("a", "/user/queue/ahead", "x-stream-offset", "offset=1000000")
		c.expectError(stomp.CodePositionAhead, false)
		await(t, "the end of the subscription in the state", func() bool {
			open := false
			r.inspect(t, func(s *broker.State) {
				s.Subscriptions(func(i broker.SubscriptionInfo) bool { open = open || i.User == "ada"; return true })
			})
			return !open
		})
		c.ask(stomp.CommandUnsubscribe, "id", "a")
	})
	t.Run("however far leaves a state that can be restored", func(t *testing.T) {
		t.Parallel()
		c := r.connect(t, "login", "bea")
		c.publish("/user/bea/queue/ahead", "waits")
		c.subscribe("a", "/user/queue/ahead", "x-stream-offset", "offset=5000000000000000000")
		r.inspect(t, func(s *broker.State) {
			if _, err := broker.Restore(broker.DefaultLimits(), s.Records()); err != nil {
				t.Errorf("restore: %v", err)
			}
		})
	})
	t.Run("that the log reaches is served", func(t *testing.T) {
		t.Parallel()
		c := r.connect(t)
		c.subscribe("a", "/topic/reached", "x-stream-offset", "offset="+strconv.FormatUint(uint64(r.node.Applied())+20, 10))
		for i := 1; i <= 50; i++ {
			c.send("/topic/reached", "m"+strconv.Itoa(i))
		}
		for {
			m := c.message()
			if n, _ := strconv.Atoi(m.Value("x-stream-offset")); n < 20 {
				t.Errorf("offset %d, want none before the position", n)
			}
			if string(m.Body) == "m50" {
				return
			}
		}
	})
}
