package gateway

import (
	"testing"
	"time"

	"stampede/broker"
	"stampede/cluster"
)

func TestAgeOfACommandAfterWeeks(t *testing.T) {
	for _, up := range []time.Duration{time.Hour, 9 * 24 * time.Hour, 400 * 24 * time.Hour} {
		g := &Gateway{start: time.Now().Add(-up)}
		g.stats.Processing = newProcessing()
		g.Outcome(cluster.Ticket{Owner: &link{gateway: g}, Kind: ticketSend, Aux: packAux(10, g.ticks())}, 5, broker.RefusedNone)
		if count, sum, _ := g.stats.Processing.Snapshot(); count != 1 || sum > 60 {
			t.Errorf("up for %v: %d commands took %v s, want one that took next to nothing", up, count, sum)
		}
	}
}
