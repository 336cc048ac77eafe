package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"stampede/broker"
	"stampede/cluster"
	"stampede/internal/loopback"
	"stampede/stomp"
)

// gate is a network that can be shut: nothing passes then in either direction.
type gate struct {
	cluster.TCP
	mu    sync.Mutex
	shut  bool
	conns []net.Conn
}

var errShut = errors.New("gate is shut")

type gatedListener struct {
	net.Listener
	gate *gate
}

func (g *gate) Listen(addr string) (net.Listener, error) {
	l, err := g.TCP.Listen(addr)
	return gatedListener{l, g}, err
}

func (g *gate) Dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := g.TCP.Dial(ctx, addr)
	if err == nil && !g.pass(conn) {
		return nil, errShut
	}
	return conn, err
}

func (l gatedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || l.gate.pass(conn) {
			return conn, err
		}
	}
}

func (g *gate) pass(conn net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		_ = conn.Close() // nothing was said on it
		return false
	}
	g.conns = append(g.conns, conn)
	return true
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	for _, conn := range g.conns {
		_ = conn.Close() // whoever uses it hears of it
	}
}

// A node is cut off with a session that is slow, and with messages of a queue that the session has no space for yet. The cluster gives it up, and the
// messages are taken and acknowledged elsewhere.
func TestNodeThatIsCutOffDoesNotGiveWhatOthersHaveAcknowledged(t *testing.T) {
	const count = 80 // of 100 KiB: what a session may have unsettled, and more than its socket takes
	addrs := loopback.Addrs(t, 3)
	nodes, gates := make([]*running, 3), make([]*gate, 3)
	var starting sync.WaitGroup
	for i := range nodes {
		gates[i] = &gate{}
		cfg := cluster.DefaultConfig()
		cfg.DataDir, cfg.Name, cfg.Network = t.TempDir(), fmt.Sprint("n", i+1), gates[i]
		cfg.Addr, cfg.Seeds, cfg.Expect, cfg.RaftTimeout = addrs[i], addrs, 3, 200*time.Millisecond
		starting.Go(func() { nodes[i] = startNode(t, cfg, smallOutbox) })
	}
	starting.Wait()
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

	gates[cut].close()
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
