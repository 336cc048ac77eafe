package cluster

// This file holds the port between nodes: connections in and out, each behind a handshake.

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// handshakesMax bounds how many connections may be in their handshake; more are closed unheard.
	handshakesMax = 64
	// acceptPause is how long the port waits after an accept that failed, for want of descriptors perhaps.
	acceptPause = 100 * time.Millisecond
)

// peerPort is the stream layer of Raft's network transport.
//
// Goroutines: accept, from listenPeers to Close; one shake for each connection in its handshake.
type peerPort struct {
	listener  net.Listener
	advertise peerAddr
	self      member
	logger    *slog.Logger
	ready     chan net.Conn // handshake done
	done      chan struct{}
	tasks     sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	closed  bool
	shaking int
	conns   map[net.Conn]struct{} // accepted and open
}

var _ raft.StreamLayer = (*peerPort)(nil)

// peerAddr is the address that other nodes dial.
type peerAddr string

func (a peerAddr) Network() string { return "tcp" }
func (a peerAddr) String() string  { return string(a) }

func listenPeers(addr, advertise string, self member, logger *slog.Logger) (*peerPort, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for other nodes: %w", err)
	}
	if advertise == "" {
		advertise = listener.Addr().String()
	}
	p := &peerPort{
		listener: listener, advertise: peerAddr(advertise), self: self, logger: logger,
		ready: make(chan net.Conn), done: make(chan struct{}), conns: make(map[net.Conn]struct{}),
	}
	p.tasks.Add(1)
	go p.accept()
	return p, nil
}

// accept takes connections and starts their handshakes.
func (p *peerPort) accept() {
	defer p.tasks.Done()
	for {
		conn, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			p.logger.Warn("connection of a node not accepted", "error", err)
			select {
			case <-time.After(acceptPause):
				continue
			case <-p.done:
				return
			}
		}
		if !p.admit(conn) {
			_ = conn.Close() // nothing was said on it
			continue
		}
		go p.shake(conn)
	}
}

// admit counts conn in, unless too many are in their handshake or the port is closed.
func (p *peerPort) admit(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.shaking >= handshakesMax {
		return false
	}
	p.shaking++
	p.conns[conn] = struct{}{}
	p.tasks.Add(1)
	return true
}

// shake does the handshake of one connection and gives it to Raft.
func (p *peerPort) shake(conn net.Conn) {
	defer p.tasks.Done()
	peer, err := p.self.answer(conn)
	p.mu.Lock()
	p.shaking--
	p.mu.Unlock()
	if err != nil {
		p.logger.Warn("stranger refused", "addr", conn.RemoteAddr().String(), "node", peer.node.String(), "cluster", peer.cluster.String(), "error", err)
		p.forget(conn)
		return
	}
	select {
	case p.ready <- &acceptedConn{Conn: conn, port: p}:
	case <-p.done:
		p.forget(conn)
	}
}

func (p *peerPort) forget(conn net.Conn) {
	p.mu.Lock()
	delete(p.conns, conn)
	p.mu.Unlock()
	_ = conn.Close() // whether it ends in order is of no use to anybody any more
}

// Accept gives Raft the next connection of a member of this cluster.
func (p *peerPort) Accept() (net.Conn, error) {
	select {
	case conn := <-p.ready:
		return conn, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Dial opens a connection to a member of this cluster; a stranger at that address is an error.
func (p *peerPort) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", string(address), timeout)
	if err != nil {
		return nil, err
	}
	if _, err := p.self.greet(conn, streamRaft); err != nil {
		return nil, errors.Join(fmt.Errorf("handshake with %s: %w", address, err), conn.Close())
	}
	return conn, nil
}

// Addr is the advertised address.
func (p *peerPort) Addr() net.Addr { return p.advertise }

// Close ends the port and every connection that came in through it, and waits for the handshakes.
func (p *peerPort) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	close(p.done)
	for conn := range p.conns {
		_ = conn.Close() // its reader sees the end
	}
	p.mu.Unlock()
	err := p.listener.Close()
	p.tasks.Wait()
	return err
}

// acceptedConn leaves the list of open connections when it is closed.
type acceptedConn struct {
	net.Conn
	port *peerPort
}

func (c *acceptedConn) Close() error {
	c.port.mu.Lock()
	delete(c.port.conns, c.Conn)
	c.port.mu.Unlock()
	return c.Conn.Close()
}
