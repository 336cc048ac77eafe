package gateway_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"stampede/broker"
	"stampede/cluster"
	"stampede/internal/loopback"
	"stampede/stomp"
)

// A node is cut off with a session that is slow, and with messages of a queue that the session has no space for yet. The cluster gives it up, and the
// messages are taken and acknowledged elsewhere.
func TestNodeThatIsCutOffDoesNotGiveWhatOthersHaveAcknowledged(t *testing.T) {
	const count = 80 // of 100 KiB: what a session may have unsettled, and more than its socket takes
	var gates [3]loopback.Gate
	nodes := foundThree(t, func(i int, cfg *cluster.Config) { cfg.Network = &gates[i] }, smallOutbox)
	cut := 0
	for nodes[cut].node.Status().Role == "leader" {
		cut++
	}
	there := nodes[(cut+1)%3]

	slow := nodes[cut].connect(t)
	shrinkReceiveBuffer(t, slow)
	slow.subscribe("s", "/queue/held", "ack", "client-individual", "prefetch-bytes", "67108864", "prefetch-count", fmt.Sprint(count))
	publisher := there.connect(t)
	for i := range count {
		publisher.send("/queue/held", fmt.Sprint(i)+strings.Repeat("x", 100<<10))
	}
	publisher.publish("/topic/other", "all are in")
	await(t, "all of them at the node", func() bool { return nodes[cut].node.Applied() >= there.node.Applied() })

	gates[cut].Set(true)
	given := 0
	pace := time.Tick(2 * time.Second)
	await(t, "the loss of the node", func() bool {
		slow.message() // it goes on reading, slowly
		given++
		<-pace
		lost := false
		there.inspect(t, func(s *broker.State) {
			s.Nodes(func(i broker.NodeInfo) bool { lost = lost || i.Node == nodes[cut].node.ID() && i.Lost; return true })
		})
		return lost
	})
	other := there.connect(t)
	other.subscribe("s", "/queue/held", "ack", "client", "prefetch-bytes", "67108864", "prefetch-count", fmt.Sprint(count))
	var last *stomp.Frame
	for i := range count {
		var err error
		if last, err = other.tryRead(); err != nil || last.Command != stomp.CommandMessage {
			t.Fatalf("the other consumer got %d messages, then %v, %v", i, last, err)
		}
	}
	other.ask(stomp.CommandAck, "id", last.Value("ack"))

	for {
		if err := slow.conn.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := slow.reader.ReadFrame(); err != nil {
			break
		}
		given++
	}
	if given == count { // the socket has some
		t.Errorf("all %d messages were given, which were acknowledged elsewhere with a receipt", count)
	}
	t.Logf("%d of %d were given", given, count)
}
