package cluster

// This file holds the port between nodes: connections in and out, each behind a handshake that says what it is for.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"stampede/broker"
)

const (
	// handshakesMax bounds how many connections may be in their handshake; more are closed unheard.
	handshakesMax = 64
	// acceptPause is how long the port waits after an accept that failed, for want of descriptors perhaps.
	acceptPause = 100 * time.Millisecond
)

// streamHandler owns a connection of one kind after its handshake, and closes it. Close of the port closes the connection below it and
// waits for the handler to return.
type streamHandler func(conn net.Conn, peer member)

// peerPort is the one port that carries everything between nodes.
//
// Goroutines: accept, from listenPeers to Close; one shake for each accepted connection, which runs the handler of its kind.
type peerPort struct {
	network   Network
	listener  net.Listener
	advertise peerAddr
	logger    *slog.Logger
	done      chan struct{}
	tasks     sync.WaitGroup

	mu       sync.Mutex // guards the fields below
	self     member
	handlers map[streamKind]streamHandler
	closed   bool
	shaking  int
	conns    map[net.Conn]struct{} // accepted and open
}

// peerAddr is the address that other nodes dial.
type peerAddr string

func (a peerAddr) Network() string { return "tcp" }
func (a peerAddr) String() string  { return string(a) }

func listenPeers(network Network, addr, advertise string, self member, logger *slog.Logger) (*peerPort, error) {
	listener, err := network.Listen(addr)
	if err != nil {
		return nil, fmt.Errorf("listen for other nodes: %w", err)
	}
	if advertise == "" {
		advertise = listener.Addr().String()
	}
	p := &peerPort{
		network: network, listener: listener, advertise: peerAddr(advertise), self: self, logger: logger,
		handlers: make(map[streamKind]streamHandler), done: make(chan struct{}), conns: make(map[net.Conn]struct{}),
	}
	p.tasks.Add(1)
	go p.accept()
	return p, nil
}

// handle gives connections of a kind to h from now on.
func (p *peerPort) handle(kind streamKind, h streamHandler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handlers[kind] = h
}

func (p *peerPort) handler(kind streamKind) streamHandler {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.handlers[kind]
}

// belong says which cluster this node is of, once it knows.
func (p *peerPort) belong(cluster broker.NodeID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.self.cluster = cluster
}

func (p *peerPort) member() member {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.self
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

// shake does the handshake of one connection and gives it to the handler of its kind.
func (p *peerPort) shake(conn net.Conn) {
	defer p.tasks.Done()
	kind, peer, err := p.member().answer(conn, func(k streamKind) bool { return p.handler(k) != nil })
	p.mu.Lock()
	p.shaking--
	p.mu.Unlock()
	own := &acceptedConn{Conn: conn, port: p}
	if err != nil {
		level := slog.LevelWarn
		if errors.Is(err, errSelf) {
			level = slog.LevelDebug // a node among its own seeds
		}
		p.logger.Log(context.Background(), level, "stranger refused", "addr", conn.RemoteAddr().String(), "node", peer.node.String(), "cluster", peer.cluster.String(), "error", err)
		_ = own.Close() // nobody waits for it
		return
	}
	p.handler(kind)(own, peer)
}

// dial opens a connection of a kind to the node at an address; one of another cluster there is an error.
func (p *peerPort) dial(ctx context.Context, address string, kind streamKind) (net.Conn, member, error) {
	conn, err := p.network.Dial(ctx, address)
	if err != nil {
		return nil, member{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // ends a handshake that hangs
	peer, err := p.member().greet(conn, kind)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, peer, errors.Join(fmt.Errorf("handshake with %s: %w", address, err), conn.Close())
	}
	return conn, peer, nil
}

// Close ends the port and every connection that came in through it, and waits for their handlers.
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

// raftStreams is the stream layer of Raft's network transport: the port's connections of Raft's kind.
type raftStreams struct {
	port  *peerPort
	ready chan net.Conn // handshake done
	once  sync.Once
	done  chan struct{}
}

var _ raft.StreamLayer = (*raftStreams)(nil)

func newRaftStreams(port *peerPort) *raftStreams {
	r := &raftStreams{port: port, ready: make(chan net.Conn), done: make(chan struct{})}
	port.handle(streamRaft, r.give)
	return r
}

// give hands a connection to Raft.
func (r *raftStreams) give(conn net.Conn, _ member) {
	select {
	case r.ready <- conn:
		return
	case <-r.done:
	case <-r.port.done:
	}
	_ = conn.Close() // nobody waits for it
}

// Accept gives Raft the next connection of a member of this cluster.
func (r *raftStreams) Accept() (net.Conn, error) {
	select {
	case conn := <-r.ready:
		return conn, nil
	case <-r.done:
		return nil, net.ErrClosed
	}
}

// Dial opens a connection to a member of this cluster; a stranger at that address is an error, and so is another member than the target names.
func (r *raftStreams) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	node, addr := splitTarget(address)
	conn, peer, err := r.port.dial(ctx, addr, streamRaft)
	if err == nil && node != "" && peer.node.String() != node {
		err = errors.Join(fmt.Errorf("%w: %s is at %s", errOtherNode, peer.node, addr), conn.Close())
	}
	if err != nil {
		return nil, err
	}
	return &steadyConn{Conn: conn, stallMax: writeStallMax}, nil
}

// Addr is the advertised address.
func (r *raftStreams) Addr() net.Addr { return r.port.advertise }

// Close takes no more connections of Raft's; the port stays.
func (r *raftStreams) Close() error {
	r.once.Do(func() { close(r.done) })
	return nil
}
