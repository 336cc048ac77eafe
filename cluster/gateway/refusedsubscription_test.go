package gateway_test

import (
	"testing"

	"stampede/stomp"
)

func TestIDOfARefusedSubscriptionIsFree(t *testing.T) {
	r := start(t)
	publisher := r.connect(t)
	t.Run("of a queue", func(t *testing.T) {
		t.Parallel()
		owner, other := r.connect(t), r.connect(t)
		owner.subscribe("s", "/queue/news-userheld", "simpOrigDestination", "/user/queue/news")
		for range 2 {
			other.do(stomp.CommandSubscribe, "id", "s", "destination", "/queue/news-userheld", "ack", "client")
			other.expectError(stomp.CodeExclusiveQueue, false)
		}
		other.subscribe("s", "/queue/free")
		other.publish("/topic/nobody", "")
		publisher.publish("/queue/free", "m1")
		check(t, "message", other.bodies(1), "m1")
		other.ask(stomp.CommandUnsubscribe, "id", "s")
	})
	for _, destination := range []string{"/topic/ahead", "/user/queue/ahead"} {
		t.Run("whose position was ahead, of "+destination, func(t *testing.T) {
			t.Parallel()
			c := r.connect(t, "login", "ada")
			c.subscribe("a", destination, "x-stream-offset", "offset=1000000")
			c.expectError(stomp.CodePositionAhead, false)
			c.subscribe("a", destination)
			c.do(stomp.CommandSubscribe, "id", "a", "destination", destination)
			c.expectError(stomp.CodeDuplicateSubscription, true)
		})
	}
}
