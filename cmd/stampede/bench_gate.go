package main

// bench_gate.go: what keeps the publishers of a topic from running away from its subscribers.

import (
	"sync"
	"time"
)

// topicBacklogPatience: subscribers of a topic that get nothing for this long have lost what was missing; the publishers go on.
const topicBacklogPatience = time.Second

// backlogGate keeps the publishers from running away from the subscribers of a topic.
type backlogGate struct {
	most  uint64                         // messages sent and not received by all
	count func() (sent, received uint64) // received: by the average subscriber

	mu       sync.Mutex // guards what follows
	lost     uint64     // given up
	received uint64     // at the last look
	since    time.Time  // when that changed last
}

// open says whether another batch may go.
func (g *backlogGate) open() bool {
	sent, received := g.count()
	g.mu.Lock()
	defer g.mu.Unlock()
	if received != g.received || g.since.IsZero() {
		g.received, g.since = received, time.Now()
	}
	if sent < received+g.lost+g.most {
		return true
	}
	if time.Since(g.since) > topicBacklogPatience {
		g.lost, g.since = sent-received, time.Now()
	}
	return false
}
