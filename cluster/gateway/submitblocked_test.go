package gateway_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"stampede/cluster"
	"stampede/stomp"
	"stampede/stomp/server"
)

// startFull runs a node that takes little at a time, and whose fold stands still until release is called.
func startFull(t *testing.T, options ...func(*server.Config)) (r *running, release func()) {
	t.Helper()
	cfg := cluster.DefaultConfig()
	cfg.DataDir, cfg.Addr, cfg.Name, cfg.PendingBytesMax = t.TempDir(), "", "node-under-test", 64<<10
	r = startNode(t, cfg, options...)
	return r, r.holdFold()
}

const fullCount = 20

// fill sends more than the node takes for now.
func (c *client) fill() {
	c.t.Helper()
	for i := range fullCount {
		c.send("/queue/x", strings.Repeat("x", 20<<10), "receipt", strconv.Itoa(i))
	}
}

func TestHeartBeatStandsStillWhileTheLogTakesNothing(t *testing.T) {
	r, release := startFull(t, func(c *server.Config) { c.HeartBeatWantMillis = 100 })
	c := r.dial(t)
	c.version = stomp.V12
	c.write(stomp.NewFrame(stomp.CommandConnect, "accept-version", "1.2", "host", "test", "heart-beat", "100,0"))
	c.expect(stomp.CommandConnected)
	c.reader.SetVersion(stomp.V12)
	c.fill()
	pace := time.Tick(50 * time.Millisecond)
	for range 30 {
		<-pace
		if err := c.tryWrite([]byte("\n")); err != nil {
			t.Errorf("heart-beat: %v", err)
		}
	}
	release()
	for i := range fullCount {
		c.awaitReceipt(strconv.Itoa(i))
	}
}

func TestShutdownEndsASessionThatTheLogHoldsUp(t *testing.T) {
	r, release := startFull(t)
	c := r.connect(t)
	c.fill()
	await(t, "the session to be held up", func() bool { return r.node.Status().CommandsWaiting >= 2 })
	ended := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		ended <- r.server.Shutdown(ctx)
	}()
	select {
	case err := <-ended:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("shutdown = %v, want its time to be over", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("shutdown goes on 5 s after its time, want the sessions to be closed by force")
	}
	release()
}
