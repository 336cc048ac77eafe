package gateway_test

import (
	"testing"

	"stampede/broker"
	"stampede/stomp"
)

// fillQueue makes /queue/full take nothing more.
func fillQueue(t *testing.T, r *running, publisher *client) {
	t.Helper()
	policy := broker.Policy{Set: broker.PolicyMaxDepth, MaxDepth: 1}
	if err := r.gateway.SetPolicy(t.Context(), "/queue/full", &policy); err != nil {
		t.Fatal(err)
	}
	publisher.publish("/queue/full", "first")
}

// ackRefused acknowledges in a transaction that is refused, for a queue that is full.
func (c *client) ackRefused(ack string) {
	c.t.Helper()
	c.do(stomp.CommandBegin, "transaction", "1")
	c.do(stomp.CommandAck, "id", ack, "transaction", "1")
	c.send("/queue/full", "x", "transaction", "1")
	c.do(stomp.CommandCommit, "transaction", "1", "receipt", "refused")
	c.expectError(stomp.CodeQueueFull, false)
}

// publishToAda publishes messages to a user, and gives the ack headers with which her session got them.
func publishToAda(publisher, ada *client, bodies ...string) (acks []string) {
	for _, body := range bodies {
		publisher.publish("/user/ada/queue/tx", body)
		acks = append(acks, ada.message().Value("ack"))
	}
	return acks
}

func TestUserMessageWhoseAckWasInARefusedTransaction(t *testing.T) {
	r := start(t)
	publisher := r.connect(t)
	fillQueue(t, r, publisher)
	c := r.connect(t, "login", "ada")
	c.subscribe("u", "/user/queue/tx", "ack", "client-individual")
	c.ackRefused(publishToAda(publisher, c, "m1")[0])
	c.ask(stomp.CommandDisconnect)
	publisher.publish("/user/ada/queue/tx", "m2")
	again := r.connect(t, "login", "ada")
	again.subscribe("u", "/user/queue/tx")
	check(t, "the message that was not acknowledged comes again", again.bodies(1), "m1")
}

func TestUserMessageWhoseAckWasInATransaction(t *testing.T) {
	r := start(t)
	publisher := r.connect(t)
	c := r.connect(t, "login", "ada")
	c.subscribe("u", "/user/queue/tx", "ack", "client-individual")
	acks := publishToAda(publisher, c, "m1", "m2", "m3", "m4")
	c.do(stomp.CommandBegin, "transaction", "1")
	c.do(stomp.CommandAck, "id", acks[1], "transaction", "1")
	c.do(stomp.CommandAck, "id", acks[0], "transaction", "1")
	c.ask(stomp.CommandCommit, "transaction", "1")
	c.close() // without another word: what has its receipt is in the log
	await(t, "the end of the session", func() bool { _, _, users := r.gateway.Subscriptions(); return users == 0 })
	again := r.connect(t, "login", "ada")
	again.subscribe("u", "/user/queue/tx")
	check(t, "what comes again", again.bodies(2), "m3 m4")
}

func TestUserMessageWhoseAckCameWhileATransactionWaited(t *testing.T) {
	r := start(t)
	publisher := r.connect(t)
	c := r.connect(t, "login", "ada")
	c.subscribe("u", "/user/queue/tx", "ack", "client-individual")
	acks := publishToAda(publisher, c, "m1", "m2", "m3")
	release := r.holdFold()
	c.do(stomp.CommandBegin, "transaction", "1")
	c.do(stomp.CommandAck, "id", acks[0], "transaction", "1")
	c.do(stomp.CommandCommit, "transaction", "1", "receipt", "committed")
	c.do(stomp.CommandAck, "id", acks[1]) // covers nothing as long as the first is not settled
	release()
	c.awaitReceipt("committed")
	c.ask(stomp.CommandDisconnect)
	again := r.connect(t, "login", "ada")
	again.subscribe("u", "/user/queue/tx")
	check(t, "what comes again", again.bodies(1), "m3")
}

func TestCreditOfATopicInARefusedTransaction(t *testing.T) {
	r := start(t)
	publisher := r.connect(t)
	fillQueue(t, r, publisher)
	c := r.connect(t)
	c.subscribe("s", "/topic/tx", "ack", "client-individual", "prefetch-count", "1")
	publisher.publish("/topic/tx", "m1")
	publisher.publish("/topic/tx", "m2")
	m := c.message()
	c.ackRefused(m.Value("ack"))
	check(t, "messages without credit", c.pending(), "")
	c.do(stomp.CommandAck, "id", m.Value("ack"))
	check(t, "with credit", c.bodies(1), "m2")
}
