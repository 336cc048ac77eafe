package cluster

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// blackHoles is a network on which streams of submissions can begin to go nowhere, in both directions and without an error, while all else passes.
type blackHoles struct {
	TCP
	mu      sync.Mutex
	streams []*holedConn // of submissions, that this node has opened
}

type holedConn struct {
	net.Conn
	network *blackHoles
	begun   bool // something was written; of the one goroutine that writes first
	holed   atomic.Bool
}

func (b *blackHoles) Dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := b.TCP.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	return &holedConn{Conn: conn, network: b}, nil
}

// swallow makes the streams that are open go nowhere.
func (b *blackHoles) swallow() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, conn := range b.streams {
		conn.holed.Store(true)
	}
}

func (c *holedConn) Write(p []byte) (int, error) {
	if !c.begun && streamKind(p[0]) == streamForward {
		c.network.mu.Lock()
		c.network.streams = append(c.network.streams, c)
		c.network.mu.Unlock()
	}
	c.begun = true
	if c.holed.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *holedConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.holed.Load() {
			return n, err
		}
	}
}

// The stream of one follower is lost by the network, which still carries Raft's calls: a firewall that has forgotten the connection, one path of several.
func TestStreamOfSubmissionsThatGoesNowhereIsGivenUp(t *testing.T) {
	var nodes []*running
	networks := make(map[*running]*blackHoles)
	for _, cfg := range threeConfigs(t, 0) {
		network := &blackHoles{}
		cfg.Network = network
		n := startNode(t, cfg)
		networks[n] = network
		nodes = append(nodes, n)
	}
	defer func() {
		for _, n := range nodes {
			n.stop(t)
		}
	}()
	for _, n := range nodes {
		n.awaitReady(t)
	}
	_, followers := awaitLeader(t, nodes)
	f := followers[0]
	f.send(t, "before")
	f.await(t, "outcome of what was sent before", func() bool { return f.outcomes["before"] > 0 })
	networks[f].swallow()
	f.send(t, "after")
	f.await(t, "outcome of what was sent when the stream went nowhere, though there is a leader", func() bool { return f.outcomes["after"] > 0 })
}
