package gateway_test

import (
	"testing"

	"stampede/stomp"
)

func TestReceiptOfAnAckOfAUserMessage(t *testing.T) {
	r := start(t)
	publisher := r.connect(t)
	c := r.connect(t, "login", "ada")
	c.subscribe("s", "/user/queue/x", "ack", "client-individual")
	publisher.publish("/user/ada/queue/x", "m1")
	m := c.message()
	release := r.holdFold()
	c.do(stomp.CommandAck, "id", m.Value("ack"), "receipt", "acked")
	c.do(stomp.CommandBegin, "transaction", "1", "receipt", "begun")
	first := c.expect(stomp.CommandReceipt).Value("receipt-id")
	release()
	check(t, "the answer before the settlement is in the log and applied", first, "begun")
	check(t, "and behind it", c.expect(stomp.CommandReceipt).Value("receipt-id"), "acked")
	if !r.covered(t)() {
		t.Error("the message waits still, want it covered")
	}
	c.ask(stomp.CommandAck, "id", m.Value("ack")) // repeated
}
