package gateway_test

import (
	"testing"

	"stampede/broker"
	"stampede/stomp"
)

func TestUserMessageWhoseAckWasInARefusedTransaction(t *testing.T) {
	r := start(t)
	publisher := r.connect(t)
	policy := broker.Policy{Set: broker.PolicyMaxDepth, MaxDepth: 1}
	if err := r.gateway.SetPolicy(t.Context(), "/queue/full", &policy); err != nil {
		t.Fatal(err)
	}
	publisher.publish("/queue/full", "first")
	c := r.connect(t, "login", "ada")
	c.subscribe("u", "/user/queue/tx", "ack", "client-individual")
	publisher.publish("/user/ada/queue/tx", "m1")
	m := c.message()
	c.do(stomp.CommandBegin, "transaction", "1")
	c.do(stomp.CommandAck, "id", m.Value("ack"), "transaction", "1")
	c.send("/queue/full", "x", "transaction", "1")
	c.do(stomp.CommandCommit, "transaction", "1", "receipt", "refused")
	c.expectError(stomp.CodeQueueFull, false)
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
	acks := map[string]string{}
	for _, body := range []string{"m1", "m2", "m3", "m4"} {
		publisher.publish("/user/ada/queue/tx", body)
		acks[body] = c.message().Value("ack")
	}
	c.do(stomp.CommandBegin, "transaction", "1")
	c.do(stomp.CommandAck, "id", acks["m2"], "transaction", "1")
	c.do(stomp.CommandAck, "id", acks["m1"], "transaction", "1")
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
	var acks []string
	for _, body := range []string{"m1", "m2", "m3"} {
		publisher.publish("/user/ada/queue/tx", body)
		acks = append(acks, c.message().Value("ack"))
	}
	gate, held := make(chan struct{}), make(chan struct{})
	go func() { _ = r.node.Inspect(t.Context(), func(*broker.State) { close(held); <-gate }) }()
	<-held
	c.do(stomp.CommandBegin, "transaction", "1")
	c.do(stomp.CommandAck, "id", acks[0], "transaction", "1")
	c.do(stomp.CommandCommit, "transaction", "1", "receipt", "committed")
	c.do(stomp.CommandAck, "id", acks[1]) // covers nothing as long as the first is not settled
	close(gate)
	c.awaitReceipt("committed")
	c.ask(stomp.CommandDisconnect)
	again := r.connect(t, "login", "ada")
	again.subscribe("u", "/user/queue/tx")
	check(t, "what comes again", again.bodies(1), "m3")
}

func TestCreditOfATopicInARefusedTransaction(t *testing.T) {
	r := start(t)
	publisher := r.connect(t)
	policy := broker.Policy{Set: broker.PolicyMaxDepth, MaxDepth: 1}
	if err := r.gateway.SetPolicy(t.Context(), "/queue/full", &policy); err != nil {
		t.Fatal(err)
	}
	publisher.publish("/queue/full", "first")
	c := r.connect(t)
	c.subscribe("s", "/topic/tx", "ack", "client-individual", "prefetch-count", "1")
	publisher.publish("/topic/tx", "m1")
	publisher.publish("/topic/tx", "m2")
	m := c.message()
	c.do(stomp.CommandBegin, "transaction", "1")
	c.do(stomp.CommandAck, "id", m.Value("ack"), "transaction", "1")
	c.send("/queue/full", "x", "transaction", "1")
	c.do(stomp.CommandCommit, "transaction", "1", "receipt", "refused")
	c.expectError(stomp.CodeQueueFull, false)
	check(t, "messages without credit", c.pending(), "")
	c.do(stomp.CommandAck, "id", m.Value("ack"))
	check(t, "with credit", c.bodies(1), "m2")
}
