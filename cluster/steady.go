package cluster

// This file holds a connection on which no write may hang for long.

import (
	"net"
	"sync"
	"time"
)

// writeStallMax is how long one write to another node may wait for it to read on; then the connection is given up. Raft gives a state time in
// proportion to its size, hours for a large one, and the kernel gives a machine that has gone a quarter of one: so long its follower would get
// nothing else.
const writeStallMax = 30 * time.Second

// steadyConn bounds each write, beside the deadline that whoever uses it sets.
type steadyConn struct {
	net.Conn
	stallMax time.Duration

	mu       sync.Mutex
	deadline time.Time // guarded by mu: of its user; zero for none
}

// SetDeadline implements net.Conn.
func (c *steadyConn) SetDeadline(t time.Time) error {
	c.note(t)
	return c.Conn.SetDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *steadyConn) SetWriteDeadline(t time.Time) error {
	c.note(t)
	return c.Conn.SetWriteDeadline(t)
}

func (c *steadyConn) note(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
}

func (c *steadyConn) Write(b []byte) (int, error) {
	until := time.Now().Add(c.stallMax)
	c.mu.Lock()
	if !c.deadline.IsZero() && c.deadline.Before(until) {
		until = c.deadline
	}
	c.mu.Unlock()
	if err := c.Conn.SetWriteDeadline(until); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}
