package server

import (
	"net"
	"sync"
	"time"

	"stampede/stomp"
)

// This file is the connection as the reading goroutine sees it.

// socket tells its session before each read that may block, and after each that brought something. With pool it reads
// more than it is asked for while there is traffic: a WebSocket reader asks for few bytes at a time.
type socket struct {
	net.Conn
	session *Session
	pool    *sync.Pool // of *[]byte; nil reads just what is asked for
	block   *[]byte
	rest    []byte // of block, not asked for yet
	busy    bool   // the last read filled what was asked for
}

const (
	socketBlockBytes = 16 << 10
	socketSmallBytes = 1 << 10 // a larger read needs no block
)

// Read implements io.Reader.
func (c *socket) Read(p []byte) (int, error) {
	if len(c.rest) > 0 {
		n := copy(p, c.rest)
		c.rest = c.rest[n:]
		return n, nil
	}
	if c.pool == nil || len(p) > socketSmallBytes || !c.busy {
		c.giveBack()
		n, err := c.fetch(p)
		c.busy = n == len(p)
		return n, err
	}
	if c.block == nil {
		c.block = c.pool.Get().(*[]byte)
	}
	n, err := c.fetch(*c.block)
	c.busy = n > len(p)
	c.rest = (*c.block)[:n]
	n = copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, err
}

// Write refuses: a session writes through its outbox alone [S1]. Only the handshake, which comes before the session, may.
func (c *socket) Write(p []byte) (int, error) {
	if c.session != nil {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

// SetWriteDeadline does nothing once there is a session: it is the writing goroutine's.
func (c *socket) SetWriteDeadline(t time.Time) error {
	if c.session != nil {
		return nil
	}
	return c.Conn.SetWriteDeadline(t)
}

func newBlock() any {
	b := make([]byte, socketBlockBytes)
	return &b
}

func (c *socket) giveBack() {
	if c.block != nil {
		c.pool.Put(c.block)
		c.block, c.rest = nil, nil
	}
}

func (c *socket) fetch(p []byte) (int, error) {
	c.session.beforeRead()
	n, err := c.Conn.Read(p)
	if n == 0 && err != nil && c.session.brokenOff(err) {
		n, err = c.Conn.Read(p) // nobody above notices: what the client still sends, its close frame too, is read in step
	}
	if n > 0 {
		c.session.afterRead()
	}
	return n, err
}

// beforeRead: all that the socket had was handled.
func (s *Session) beforeRead() {
	if s.link != nil && !s.ending.Load() {
		s.link.Flush()
	}
}

// afterRead: the client lives.
func (s *Session) afterRead() {
	s.lastRead.Store(s.server.clock())
	if s.link != nil && !s.ending.Load() {
		s.link.Heard()
	}
}

// foreign logs clients that speak another protocol on the STOMP port, and answers those that understand.
func (s *Session) foreign() {
	if s.webSocket != nil {
		return // it has spoken HTTP before
	}
	switch s.reader.Dialect() {
	case stomp.DialectHTTP:
		s.server.logger.Warn("http on the stomp port", "address", s.RemoteAddr())
		s.outbox.mu.Lock()
		s.outbox.appendLocked([]byte("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThis port speaks STOMP, not HTTP.\n"))
		s.outbox.mu.Unlock()
		s.stop(closeNormal)
	case stomp.DialectTLS:
		s.server.logger.Warn("tls on the plain stomp port", "address", s.RemoteAddr())
		s.stop(closeNormal)
	}
}
