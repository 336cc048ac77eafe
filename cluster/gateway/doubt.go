package gateway

import (
	"context"
	"time"

	"stampede/broker"
	"stampede/cluster"
)

// This file holds deliveries back while the node doubts its place: what a queue gave to its sessions may have gone to others meanwhile, been
// acknowledged and receipted, and must not come again (contract: what is promised, 5).

// confirmPause lies between two tries to confirm the node's place.
const confirmPause = 250 * time.Millisecond

// confirmation is the owner of a ticket whose outcome tells that the node has seen all that was decided about it.
type confirmation struct{ told chan bool }

var _ cluster.Doubter = (*Gateway)(nil)

// Doubted implements cluster.Doubter. It proposes something that changes nothing: the end of a session that there never was.
func (g *Gateway) Doubted() {
	fact := broker.AppendFact(nil, broker.SessionClosed{Session: 0}) // their numbers begin at 1
	for {
		c := &confirmation{told: make(chan bool, 1)}
		err := g.node.SubmitAs(context.Background(), g.node.Incarnation(), fact, []cluster.Ticket{{Owner: c}})
		folded := false
		if err == nil {
			select {
			case folded = <-c.told:
			case <-g.node.Done():
				return
			}
		}
		if folded {
			g.node.Confirm()
			g.deliverHeld()
			return
		}
		select { // there is no leader, or the node's next incarnation has not begun
		case <-time.After(confirmPause):
		case <-g.node.Done():
			return
		}
	}
}

// deliverHeld lets the sessions write what was held back.
func (g *Gateway) deliverHeld() {
	g.linksMu.Lock()
	defer g.linksMu.Unlock()
	for l := range g.links {
		l.mu.Lock()
		waits := len(l.waiting) > 0
		l.mu.Unlock()
		if waits {
			l.session.RequestRefill()
		}
	}
}
