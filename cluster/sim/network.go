package sim

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"stampede/cluster"
)

// This file is a network in memory: connections with latency and bounded buffers, between hosts that can be cut off from each other.

// connBytesMax is what one direction of a connection holds; past it a write waits.
const connBytesMax = 256 << 10

// Network joins hosts by name. Addresses are HOST:PORT.
type Network struct {
	mu        sync.Mutex // guards all below, and the directions of every connection
	changed   *sync.Cond // hosts were cut off or joined, or somebody dialed
	latency   time.Duration
	listeners map[string]*listener
	conns     map[*conn]struct{}
	blocked   map[[2]string]bool // from, to
	lives     map[string]int     // of hosts: only the last one speaks
}

// NewNetwork makes a network without hosts.
func NewNetwork() *Network {
	n := &Network{
		latency: 200 * time.Microsecond, listeners: make(map[string]*listener), conns: make(map[*conn]struct{}), blocked: make(map[[2]string]bool),
		lives: make(map[string]int),
	}
	n.changed = sync.NewCond(&n.mu)
	return n
}

// Block lets nothing pass from one host to another, or lets it pass again. What is on the way waits, as TCP would repeat it.
func (n *Network) Block(from, to string, blocked bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.blocked[[2]string{from, to}] = blocked
	n.wakeLocked()
}

// wakeLocked lets everybody look again.
func (n *Network) wakeLocked() {
	n.changed.Broadcast()
	for c := range n.conns {
		c.wakeLocked()
	}
}

// SetLatency says how long bytes are on their way.
func (n *Network) SetLatency(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.latency = d
}

// Heal lets everything pass.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.blocked)
	n.wakeLocked()
}

// Cut breaks every connection of a host, or, with two, those between them.
func (n *Network) Cut(host, other string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		if (c.host == host && (other == "" || c.peer == other)) || (c.peer == host && (other == "" || c.host == other)) {
			c.breakLocked()
		}
	}
}

// Host is the network as a new life of a host sees it. The one before hears and says nothing any more.
func (n *Network) Host(name string) cluster.Network {
	n.Kill(name)
	n.mu.Lock()
	defer n.mu.Unlock()
	return host{n, name, n.lives[name]}
}

// Kill ends the life of a host: its connections break, nobody listens at its addresses, and what it does from now on reaches nobody.
func (n *Network) Kill(name string) {
	n.Cut(name, "")
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lives[name]++
	for address, l := range n.listeners {
		if hostOf(address) == name {
			l.closeLocked()
		}
	}
}

type host struct {
	net  *Network
	name string
	life int
}

var errKilled = errors.New("the host has died")

type addr string

func (a addr) Network() string { return "sim" }
func (a addr) String() string  { return string(a) }

func hostOf(address string) string {
	h, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return h
}

// Listen implements cluster.Network.
func (h host) Listen(address string) (net.Listener, error) {
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.lives[h.name] != h.life:
		return nil, errKilled
	case n.listeners[address] != nil:
		return nil, syscall.EADDRINUSE
	}
	l := &listener{net: n, address: address}
	n.listeners[address] = l
	return l, nil
}

// Dial implements cluster.Network.
func (h host) Dial(ctx context.Context, address string) (net.Conn, error) {
	n := h.net
	to := hostOf(address)
	stop := context.AfterFunc(ctx, func() { n.mu.Lock(); n.changed.Broadcast(); n.mu.Unlock() })
	defer stop()
	n.mu.Lock()
	defer n.mu.Unlock()
	for n.blocked[[2]string{h.name, to}] || n.blocked[[2]string{to, h.name}] {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		n.changed.Wait()
	}
	if n.lives[h.name] != h.life {
		return nil, errKilled
	}
	l := n.listeners[address]
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "sim", Addr: addr(address), Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	here, there := n.pairLocked(h.name, to)
	l.waiting = append(l.waiting, there)
	n.changed.Broadcast()
	return here, nil
}

type listener struct {
	net     *Network
	address string
	waiting []*conn
	closed  bool
}

func (l *listener) Accept() (net.Conn, error) {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	for len(l.waiting) == 0 && !l.closed {
		l.net.changed.Wait()
	}
	if l.closed {
		return nil, net.ErrClosed
	}
	c := l.waiting[0]
	l.waiting = l.waiting[1:]
	return c, nil
}

func (l *listener) Close() error {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	l.closeLocked()
	return nil
}

func (l *listener) closeLocked() {
	if !l.closed {
		l.closed = true
		if l.net.listeners[l.address] == l {
			delete(l.net.listeners, l.address)
		}
		for _, c := range l.waiting {
			c.breakLocked()
		}
	}
	l.net.changed.Broadcast()
}

func (l *listener) Addr() net.Addr { return addr(l.address) }

// conn is one end of a connection.
type conn struct {
	net        *Network
	host, peer string
	in, out    *direction

	readBy, writeBy time.Time // deadlines
	timers          [2]*time.Timer
	closed          bool
}

// direction is what is on the way one way.
type direction struct {
	changed *sync.Cond
	parts   []part
	bytes   int
	ended   bool // the writer has closed
	broken  bool
}

type part struct {
	at   time.Time // it arrives
	data []byte
}

func (n *Network) pairLocked(from, to string) (here, there *conn) {
	a, b := &direction{changed: sync.NewCond(&n.mu)}, &direction{changed: sync.NewCond(&n.mu)}
	here = &conn{net: n, host: from, peer: to, in: a, out: b}
	there = &conn{net: n, host: to, peer: from, in: b, out: a}
	n.conns[here], n.conns[there] = struct{}{}, struct{}{}
	return here, there
}

func (c *conn) breakLocked() {
	c.in.broken, c.out.broken = true, true
	delete(c.net.conns, c)
	c.wakeLocked()
}

func (c *conn) wakeLocked() {
	c.in.changed.Broadcast()
	c.out.changed.Broadcast()
}

var errReset = &net.OpError{Op: "read", Net: "sim", Err: os.NewSyscallError("read", syscall.ECONNRESET)}

func passed(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	n := c.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case passed(c.readBy):
			return 0, os.ErrDeadlineExceeded
		case c.in.broken:
			return 0, errReset
		}
		if !n.blocked[[2]string{c.peer, c.host}] {
			if len(c.in.parts) > 0 {
				first := &c.in.parts[0]
				if wait := time.Until(first.at); wait > 0 {
					n.mu.Unlock()
					time.Sleep(wait)
					n.mu.Lock()
					continue
				}
				k := copy(p, first.data)
				c.in.bytes -= k
				if first.data = first.data[k:]; len(first.data) == 0 {
					c.in.parts = c.in.parts[1:]
				}
				c.in.changed.Broadcast()
				return k, nil
			}
			if c.in.ended {
				return 0, io.EOF
			}
		}
		c.in.changed.Wait()
	}
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	n := c.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		switch {
		case c.closed || c.out.ended:
			return 0, net.ErrClosed
		case passed(c.writeBy):
			return 0, os.ErrDeadlineExceeded
		case c.out.broken:
			return 0, errReset
		}
		if c.out.bytes < connBytesMax {
			c.out.parts = append(c.out.parts, part{time.Now().Add(n.latency), append([]byte(nil), p...)})
			c.out.bytes += len(p)
			c.out.changed.Broadcast()
			return len(p), nil
		}
		c.out.changed.Wait()
	}
}

// Close implements net.Conn.
func (c *conn) Close() error {
	n := c.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	c.out.ended = true
	c.in.broken = true // what the other side writes from now on comes back as a reset
	for _, t := range c.timers {
		if t != nil {
			t.Stop()
		}
	}
	delete(n.conns, c)
	c.wakeLocked()
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return addr(c.host) }
func (c *conn) RemoteAddr() net.Addr { return addr(c.peer) }

func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *conn) SetReadDeadline(t time.Time) error  { return c.deadline(&c.readBy, 0, t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.deadline(&c.writeBy, 1, t) }

func (c *conn) deadline(which *time.Time, timer int, t time.Time) error {
	n := c.net
	n.mu.Lock()
	defer n.mu.Unlock()
	*which = t
	if c.timers[timer] != nil {
		c.timers[timer].Stop()
		c.timers[timer] = nil
	}
	if !t.IsZero() && !c.closed {
		c.timers[timer] = time.AfterFunc(time.Until(t), func() { n.mu.Lock(); c.wakeLocked(); n.mu.Unlock() })
	}
	c.wakeLocked()
	return nil
}
