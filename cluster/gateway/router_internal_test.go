package gateway

import (
	"fmt"
	"sync"
	"testing"

	"stampede/broker"
)

func TestRouter(t *testing.T) {
	pattern := func(text string) *topicSub {
		p, err := broker.ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		return &topicSub{pattern: p}
	}
	wanted := func(r *router, dest string) (n int) {
		r.visit(dest, func(*topicSub) { n++ })
		return n
	}
	t.Run("finds a pattern while others come and go", func(t *testing.T) {
		r := newRouter()
		r.add(pattern("/topic/**"))
		var churn sync.WaitGroup
		stop := make(chan struct{})
		for range 2 {
			churn.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					s := &topicSub{dest: "/topic/a"}
					r.add(s)
					r.remove(s)
					p := pattern("/topic/none")
					r.add(p)
					r.remove(p)
				}
			})
		}
		for i := range 200_000 {
			if n := wanted(r, "/topic/a"); n < 1 {
				t.Errorf("visit %d found nobody, want the pattern", i)
				break
			}
		}
		close(stop)
		churn.Wait()
	})
	t.Run("forgets destinations that nobody subscribed to by name", func(t *testing.T) {
		r := newRouter()
		r.add(pattern("/topic/**"))
		named := &topicSub{dest: "/topic/named"}
		r.add(named)
		for i := range routesMax + 10 {
			wanted(r, fmt.Sprint("/topic/", i))
		}
		if got := len(r.routes); got > routesMax+1 {
			t.Errorf("%d routes are remembered, want at most %d", got, routesMax+1)
		}
		if got := wanted(r, "/topic/named"); got != 2 {
			t.Errorf("%d subscriptions want /topic/named, want 2", got)
		}
	})
	t.Run("removes only who is there, once", func(t *testing.T) {
		r := newRouter()
		a, b := &topicSub{dest: "/topic/x"}, &topicSub{dest: "/topic/x"}
		r.add(a)
		r.add(b)
		r.remove(a)
		r.remove(a)
		r.remove(&topicSub{dest: "/topic/x"})
		r.remove(&topicSub{dest: "/topic/other"})
		if got := wanted(r, "/topic/x"); got != 1 {
			t.Errorf("%d subscriptions, want b alone", got)
		}
		r.remove(b)
		if len(r.routes) != 0 {
			t.Errorf("routes = %v, want none", r.routes)
		}
	})
}

func TestWindow(t *testing.T) {
	var w window
	for seq := broker.Seq(10); seq <= 50; seq += 10 {
		w.push(seq, 10)
	}
	for i, step := range []struct {
		tag        uint64
		cumulative bool
		covered    broker.Seq
		known      bool
		unsettled  int
	}{
		{6, false, 0, false, 5}, {0, false, 0, false, 5}, {2, false, 0, true, 4}, {2, false, 0, false, 4},
		{1, false, 20, true, 3}, {1, true, 0, false, 3}, {4, true, 40, true, 1}, {5, false, 50, true, 0}, {5, true, 0, false, 0},
	} {
		covered, known := w.settle(step.tag, step.cumulative)
		if covered != step.covered || known != step.known || w.unsettled != step.unsettled {
			t.Errorf("step %d, settle %d: covered %d, known %v, %d unsettled; want %+v", i, step.tag, covered, known, w.unsettled, step)
		}
	}
	if tag := w.push(60, 10); tag != 6 || w.last() != 6 {
		t.Errorf("next tag = %d, last %d, want 6", tag, w.last())
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"/topic/a.b", "/queue/x", "/user/a%2Fb/queue/x", "/user/queue/x", "bare", "/exchange/amq.topic/a.#", "1-0-7.3", "3-4.5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := parseSend(s); err == nil && (a.dest == "" || a.kind == 0 || a.pattern || a.server) {
			t.Errorf("SEND to %q is %+v, want one destination", s, a)
		}
		if a, err := parseSubscribe(s, "u/%"); err == nil {
			if again, err := parse(a.dest); err != nil || again.kind != a.kind {
				t.Errorf("SUBSCRIBE to %q is %s, which is %+v, %v", s, a.dest, again, err)
			}
		}
		if got := unescapeUser(escapeUser(s)); got != s {
			t.Errorf("user %q comes back as %q", s, got)
		}
		parseAck([]byte(s))
		parseMessageID(s)
	})
}
