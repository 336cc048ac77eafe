package gateway_test

import (
	"testing"

	"stampede/stomp"
)

func TestAckBefore12CanBeRepeatedWhenItHadNoOutcome(t *testing.T) {
	nodes := startThree(t)
	c := nodes[0].connect(t, "accept-version", "1.1")
	c.publish("/queue/again", "m1")
	c.subscribe("s", "/queue/again", "ack", "client-individual")
	ack := []string{"subscription", "s", "message-id", c.message().Value("message-id")}
	nodes[1].kill()
	nodes[2].kill()
	c.do(stomp.CommandAck, append(ack, "receipt", "first")...)
	check(t, "receipt-id", c.expect(stomp.CommandError).Value("receipt-id"), "first") // no-quorum or outcome-unknown
	c.do(stomp.CommandAck, append(ack, "receipt", "second")...)
	c.do(stomp.CommandBegin, "transaction", "1", "receipt", "begun")
	f := c.read()
	if f.Command != stomp.CommandReceipt || f.Value("receipt-id") != "begun" {
		t.Errorf("the repeated ACK was answered at once with %s, want it to wait for the log", show(f))
	}
	c.close()
}
