package gateway

import (
	"context"
	"runtime"
	"testing"

	"stampede/broker"
)

// A SUBSCRIBE that waits for other nodes is pushed to from its receipt on if nothing came for it meanwhile, whatever else the log took: until it
// had read the log it would miss unlogged messages that its receipt promises.
func TestParkedSubscriptionForWhichNothingCameIsPushedToFromItsReceipt(t *testing.T) {
	node, g := openGateway(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- node.Run(ctx, g) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run = %v", err)
		}
	}()
	<-node.Ready()

	l := &link{gateway: g}
	s := &topicSub{link: l, dest: "/topic/x"}
	g.router.mu.RLock() // as a publisher does
	parked := make(chan struct{})
	go func() { l.parkTopic(s, position{}, 0); close(parked) }()
	for !s.lagging.Load() {
		runtime.Gosched() // it has looked at the log where it looks first
	}
	m := broker.Message{Kind: broker.KindQueue, Dest: "/queue/another"}
	if _, err := g.submit(ctx, broker.MessageSent{Message: &m}); err != nil {
		t.Error(err)
	}
	g.router.mu.RUnlock()
	<-parked
	s.unpark(func() bool { return false })
	if s.lagging.Load() {
		t.Error("it reads the log, want it to be pushed to")
	}
}
