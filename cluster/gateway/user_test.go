package gateway_test

import (
	"testing"

	"stampede/broker"
	"stampede/stomp"
)

// covered tells whether nothing waits for any user.
func (r *running) covered(t *testing.T) func() bool {
	return func() bool {
		var waiting int
		r.inspect(t, func(s *broker.State) { waiting = s.Counts().UserWaiting })
		return waiting == 0
	}
}

func TestUser(t *testing.T) {
	r := start(t)
	sender := r.connect(t, "login", "sender")
	t.Run("gives each message to all sessions of the user, and to nobody else", func(t *testing.T) {
		one, two, other := r.connect(t, "login", "ada"), r.connect(t, "login", "ada"), r.connect(t, "login", "bob")
		for _, c := range []*client{one, two, other} {
			c.subscribe("s", "/user/queue/news")
		}
		sender.publish("/user/ada/queue/news", "m1")
		m := one.message()
		check(t, "body", string(m.Body), "m1")
		check(t, "destination", m.Value("destination"), "/user/ada/queue/news")
		check(t, "the other session", two.bodies(1), "m1")
		check(t, "another user", other.pending(), "")
	})
	t.Run("tells queue and topic names apart", func(t *testing.T) {
		c := r.connect(t, "login", "names")
		c.subscribe("q", "/user/queue/x")
		c.subscribe("t", "/user/topic/x")
		sender.publish("/user/names/queue/x", "q")
		sender.publish("/user/names/topic/x", "t")
		one, two := c.message(), c.message()
		check(t, "of queue", one.Value("subscription"), string(one.Body))
		check(t, "of topic", two.Value("subscription"), string(two.Body))
	})
	t.Run("keeps what nobody is there for", func(t *testing.T) {
		sender.sendNumbers("/user/late/queue/x", 1, 900)
		c := r.connect(t, "login", "late")
		c.subscribe("s", "/user/queue/x")
		sender.publish("/user/late/queue/x", "live")
		check(t, "messages", c.bodies(901), numbered("m", 1, 900)+" live")
	})
	t.Run("gives what was given and not acked again, in client mode", func(t *testing.T) {
		c := r.connect(t, "login", "acker")
		c.subscribe("s", "/user/queue/x", "ack", "client-individual")
		sender.sendNumbers("/user/acker/queue/x", 1, 4)
		got := c.messages(4)
		c.ask(stomp.CommandAck, "id", got[0].Value("ack"))
		c.ask(stomp.CommandAck, "id", got[2].Value("ack")) // above the lowest unacked one
		c.publish("/topic/nobody", "")
		c.close()
		again := r.connect(t, "login", "acker")
		again.subscribe("s", "/user/queue/x", "ack", "client")
		check(t, "messages", again.bodies(3), "m2 m3 m4")
	})
	t.Run("begins where the subscription says", func(t *testing.T) {
		c := r.connect(t, "login", "reader")
		c.subscribe("s", "/user/queue/x")
		sender.sendNumbers("/user/reader/queue/x", 1, 4)
		got := c.messages(4)
		again := r.connect(t, "login", "reader")
		again.subscribe("after", "/user/queue/x", "resume-after", got[1].Value("message-id"))
		check(t, "messages after the second", again.bodies(2), "m3 m4")
		again.subscribe("first", "/user/queue/x", "x-stream-offset", "first")
		check(t, "messages from the first", again.bodies(4), "m1 m2 m3 m4")
	})
	t.Run("knows the slash and the percent sign in a user's name", func(t *testing.T) {
		for name, written := range map[string]string{"a/b": "a%2Fb", "50%": "50%25", "c%2Fd": "c%252Fd"} {
			c := r.connect(t, "login", name)
			c.subscribe("s", "/user/queue/x")
			sender.publish("/user/"+written+"/queue/x", name)
			m := c.message()
			check(t, "body", string(m.Body), name)
			check(t, "destination", m.Value("destination"), "/user/"+written+"/queue/x")
		}
	})
	t.Run("is an error for who has no user", func(t *testing.T) {
		c := r.connect(t)
		c.do(stomp.CommandSubscribe, "id", "s", "destination", "/user/queue/x")
		c.expectError(stomp.CodeNoUser, false)
		c.publish("/user/ada/queue/unread", "sending is allowed")
	})
	t.Run("is one's own to read only", func(t *testing.T) {
		c := r.connect(t, "login", "ada")
		c.do(stomp.CommandSubscribe, "id", "s", "destination", "/user/bob/queue/x")
		c.expectError(stomp.CodeForbiddenDestination, false)
		c.do(stomp.CommandSend, "destination", "/user/queue/x")
		c.expectError(stomp.CodeInvalidDestination, false)
		for _, d := range []string{"/user/", "/user/ada", "/user/ada/x/y", "/user//queue/x", "/user/ada/queue/"} {
			c.send(d, "x")
			c.expectError(stomp.CodeInvalidDestination, false)
		}
	})
	t.Run("gives nothing more after UNSUBSCRIBE", func(t *testing.T) {
		c := r.connect(t, "login", "leaver")
		c.subscribe("s", "/user/queue/x")
		c.ask(stomp.CommandUnsubscribe, "id", "s")
		sender.publish("/user/leaver/queue/x", "m1")
		check(t, "messages", c.pending(), "")
		c.subscribe("s", "/user/queue/x")
		check(t, "what waited", c.bodies(1), "m1")
	})
}

func TestUserCovered(t *testing.T) {
	r := start(t)
	sender := r.connect(t, "login", "sender")
	t.Run("comes no second time", func(t *testing.T) {
		c := r.connect(t, "login", "ada")
		c.subscribe("s", "/user/queue/x")
		sender.sendNumbers("/user/ada/queue/x", 1, 3)
		check(t, "messages", c.bodies(3), "m1 m2 m3")
		await(t, "the messages to be covered by what the client sends behind them", func() bool {
			c.publish("/topic/nobody", "")
			return r.covered(t)()
		})
		c.close()
		await(t, "the end of the session", func() bool { _, _, users := r.gateway.Subscriptions(); return users == 0 })
		sender.publish("/user/ada/queue/x", "m4")
		again := r.connect(t, "login", "ada")
		again.subscribe("s", "/user/queue/x")
		check(t, "later", again.bodies(1), "m4")
		check(t, "more", again.pending(), "")
	})
	t.Run("is not what nobody was heard after", func(t *testing.T) {
		c := r.connect(t, "login", "silent")
		c.subscribe("s", "/user/queue/x")
		sender.sendNumbers("/user/silent/queue/x", 1, 3)
		check(t, "messages", c.bodies(3), "m1 m2 m3")
		c.close()
		again := r.connect(t, "login", "silent")
		again.subscribe("s", "/user/queue/x")
		check(t, "messages again", again.bodies(3), "m1 m2 m3")
	})
}
