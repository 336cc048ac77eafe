package loopback

import (
	"context"
	"errors"
	"net"
	"sync"
)

var errShut = errors.New("gate is shut")

// Gate is a TCP network that can be shut for one broker: nothing passes then in either direction. The zero value is open. It is a cluster.Network.
type Gate struct {
	mu    sync.Mutex
	shut  bool
	conns []net.Conn // made since it was last opened
}

// Listen listens on an address.
func (g *Gate) Listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	return gatedListener{l, g}, err
}

// Dial connects to an address; it fails while the gate is shut.
func (g *Gate) Dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err == nil && !g.pass(conn) {
		return nil, errShut
	}
	return conn, err
}

// Set shuts the gate, with all connections, or opens it.
func (g *Gate) Set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	if !shut {
		return
	}
	for _, conn := range g.conns {
		_ = conn.Close() // whoever uses it hears of it
	}
	g.conns = nil
}

func (g *Gate) pass(conn net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		_ = conn.Close() // nothing was said on it
		return false
	}
	g.conns = append(g.conns, conn)
	return true
}

type gatedListener struct {
	net.Listener
	gate *Gate
}

// Accept takes the next connection that passes; those that come while the gate is shut are closed.
func (l gatedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || l.gate.pass(conn) {
			return conn, err
		}
	}
}
