package gateway_test

import (
	"context"
	"testing"

	"stampede/broker"
	"stampede/cluster"
)

// A session elsewhere sent an unlogged message, which waits here for an event that no subscriber hears of, and a logged one to the same destination
// once the unlogged one was taken. This node is behind and folds the event and the logged message together.
func TestUnloggedMessageThatWaitsIsBeforeTheLoggedOneThatWasSentAfterIt(t *testing.T) {
	r := start(t)
	subscriber := r.connect(t)
	subscriber.subscribe("0", "/topic/a")
	subscriber.publish("/topic/other", "all that was submitted before is folded")
	message := func(body string) *broker.Message {
		return &broker.Message{Kind: broker.KindTopic, Dest: "/topic/a", Body: []byte(body), Node: broker.NodeID{1}, Session: 7}
	}
	// The place of the event is the next one: nothing else is submitted.
	r.gateway.ReceiveUnlogged(message("unlogged"), r.node.Applied()+1, ^uint64(0))
	facts := broker.AppendFact(nil, broker.TimeAdvanced{})
	facts = broker.AppendFact(facts, broker.MessageSent{Message: message("logged")})
	if err := r.node.Submit(context.Background(), facts, make([]cluster.Ticket, 2)); err != nil {
		t.Fatal(err)
	}
	check(t, "bodies", subscriber.bodies(2), "unlogged logged")
}
