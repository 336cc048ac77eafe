package gateway

import (
	"io"
	"log/slog"
	"testing"

	"stampede/broker"
	"stampede/cluster"
)

// openGateway opens a node that is alone, with its gateway. It is the caller's to run or to close.
func openGateway(t *testing.T) (*cluster.Node, *Gateway) {
	t.Helper()
	cfg := cluster.DefaultConfig()
	cfg.DataDir, cfg.Addr = t.TempDir(), ""
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	node, err := cluster.Open(cfg, logger)
	if err != nil {
		t.Fatal(err)
	}
	return node, New(node, logger)
}

func TestAnswersAreCountedOnceTheEventIsPerformed(t *testing.T) {
	node, g := openGateway(t)
	defer func() {
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	}()
	l := &link{gateway: g}
	for _, end := range []func(){func() { g.Perform(&broker.Effects{}) }, g.Flush} {
		before, bytes := l.answered.Load(), l.answeredBytes.Load()
		g.Outcome(cluster.Ticket{Owner: l, Kind: ticketSend, Aux: packAux(10, 1)}, 5, broker.RefusedNone)
		if got := l.answered.Load(); got != before {
			t.Errorf("answered = %d before the event is performed, want %d: an unlogged message could overtake it", got, before)
		}
		end()
		if got, size := l.answered.Load(), l.answeredBytes.Load(); got != before+1 || size != bytes+10 {
			t.Errorf("answered = %d with %d bytes, want %d with %d", got, size, before+1, bytes+10)
		}
	}
}
