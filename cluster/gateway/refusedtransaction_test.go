package gateway_test

import (
	"fmt"
	"testing"

	"stampede/stomp"
)

func TestUnloggedMessageAfterARefusedTransaction(t *testing.T) {
	r := start(t)
	c, s := r.connect(t), r.connect(t)
	s.subscribe("s", "/topic/after-tx")
	c.publish("/queue/something", "logged before")
	c.do(stomp.CommandBegin, "transaction", "1")
	c.send("/topic/after-tx", "x", "transaction", "1")
	c.send("/topic/*", "refused", "transaction", "1")
	c.do(stomp.CommandCommit, "transaction", "1", "receipt", "refused")
	c.expectError(stomp.CodeInvalidDestination, false)
	c.send("/topic/after-tx", "unlogged", append([]string{"receipt", "sent"}, unlogged...)...)
	c.do(stomp.CommandBegin, "transaction", "2", "receipt", "begun") // answered whatever becomes of the SEND
	check(t, "the first answer", c.expect(stomp.CommandReceipt).Value("receipt-id"), "sent")
	check(t, "dropped", fmt.Sprint(r.gateway.Stats().Dropped.Load()), "0")
	check(t, "message", s.bodies(1), "unlogged")
}
