package gateway_test

import (
	"testing"

	"stampede/broker"
	"stampede/stomp"
)

// queues tells how many queues there are.
func (r *running) queues(t *testing.T) (n int) {
	t.Helper()
	r.inspect(t, func(s *broker.State) { n = s.Counts().Queues })
	return n
}

func TestSpringQueue(t *testing.T) {
	r := start(t)
	relay := r.connect(t)
	orig := []string{"simpOrigDestination", "/user/queue/news"}
	t.Run("is exclusive to the session that subscribes", func(t *testing.T) {
		browser, other := r.connect(t), r.connect(t)
		browser.subscribe("s", "/queue/news-userabc", orig...)
		for _, headers := range [][]string{nil, orig} {
			other.do(stomp.CommandSubscribe, append([]string{"id", "s", "destination", "/queue/news-userabc"}, headers...)...)
			other.expectError(stomp.CodeExclusiveQueue, false)
			other.ask(stomp.CommandUnsubscribe, "id", "s")
		}
		relay.publish("/queue/news-userabc", "m1", orig...)
		m := browser.message()
		check(t, "body", string(m.Body), "m1")
		check(t, "destination", m.Value("destination"), "/queue/news-userabc")
		check(t, "simpOrigDestination", m.Value("simpOrigDestination"), "/user/queue/news")
		browser.close()
		other.close()
	})
	t.Run("goes with its session, unread messages and all", func(t *testing.T) {
		before := r.queues(t)
		browser := r.connect(t)
		browser.subscribe("s", "/queue/news-usergone", append([]string{"ack", "client-individual", "prefetch-count", "2"}, orig...)...)
		relay.publish("/queue/news-usergone", "m1", orig...)
		relay.publish("/queue/news-usergone", "m2", orig...)
		relay.publish("/queue/news-usergone", "m3", orig...)
		check(t, "first messages", browser.bodies(2), "m1 m2")
		browser.close()
		await(t, "the queue to go", func() bool { return r.queues(t) == before })
	})
	t.Run("keeps what comes before the SUBSCRIBE", func(t *testing.T) {
		relay.publish("/queue/news-userearly", "m1", orig...)
		browser := r.connect(t)
		browser.subscribe("s", "/queue/news-userearly", orig...)
		check(t, "message", browser.bodies(1), "m1")
		browser.close()
	})
	t.Run("may be asked to be what it is", func(t *testing.T) {
		browser := r.connect(t)
		browser.subscribe("s", "/queue/news-userdef", append([]string{"auto-delete", "true", "exclusive", "true"}, orig...)...)
		relay.publish("/queue/news-userdef", "m1", orig...)
		check(t, "message", browser.bodies(1), "m1")
		browser.close()
	})
	t.Run("is nothing without the header, or with another name", func(t *testing.T) {
		one, two := r.connect(t), r.connect(t)
		for i, queue := range []string{"/queue/plain-user1", "/queue/plain", "/queue/plain-user", "/queue/-user1"} {
			id, headers := string(rune('a'+i)), orig
			if i == 0 {
				headers = nil
			}
			one.subscribe(id, queue, headers...)
			two.subscribe(id, queue, headers...)
		}
		one.close()
		two.close()
	})
}
