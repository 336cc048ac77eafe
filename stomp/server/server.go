package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"stampede/stomp"
	"stampede/stomp/auth"
)

// This file is the server: what its sessions share, and their table.

// Server carries sessions for a backend.
//
// Goroutines: runSweeper while there are sessions; an accept loop in each Serve; each session's.
type Server struct {
	config   Config
	backend  Backend
	auth     auth.Authenticator
	logger   *slog.Logger
	upgrader websocket.Upgrader
	pools    *pools
	blocks   sync.Pool // of *[]byte: the blocks in which busy WebSocket connections are read
	stats    Stats
	began    time.Time

	draining atomic.Bool

	mu       sync.Mutex
	sessions []*Session     // guarded by mu
	users    map[string]int // sessions of proven users; guarded by mu
	closing  bool           // nothing is accepted any more; guarded by mu
	sweeping bool           // the sweeper runs; guarded by mu
	refusals int            // connections being told that they are too many; guarded by mu
	running  sync.WaitGroup // sessions, refusals and the sweeper
}

// Stats are the server's counters. ConnectionsActive goes up and down, all others only up.
type Stats struct {
	ConnectionsActive, ConnectionsTotal, ConnectionsRefused, OriginsRefused, AuthFailures atomic.Int64
	FramesReceived, ErrorsSent, HeartbeatTimeouts, ConnectTimeouts, SlowConsumers         atomic.Int64
}

// New checks the configuration and makes a server. It listens nowhere before Serve.
func New(config Config, backend Backend, a auth.Authenticator, logger *slog.Logger) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("stomp server: %w", err)
	}
	s := &Server{
		config: config, backend: backend, auth: a, logger: logger.With("component", "stomp"), pools: newPools(),
		began: time.Now(), users: map[string]int{},
	}
	s.blocks.New = newBlock
	s.upgrader = websocket.Upgrader{
		ReadBufferSize: wsReadBytes, WriteBufferSize: wsReadBytes, WriteBufferPool: new(sync.Pool),
		Subprotocols:      []string{"v12.stomp", "v11.stomp", "v10.stomp"},
		EnableCompression: config.WSCompression,
		CheckOrigin:       func(*http.Request) bool { return true }, // ServeHTTP has checked
	}
	return s, nil
}

// Stats gives the server's counters.
func (s *Server) Stats() *Stats { return &s.stats }

// clock is milliseconds since the server's start, beginning at 1.
func (s *Server) clock() int64 { return time.Since(s.began).Milliseconds() + 1 }

// Serve accepts STOMP connections until ctx ends or the listener fails. secure says that the listener speaks TLS.
func (s *Server) Serve(ctx context.Context, ln net.Listener, secure bool) error {
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	for {
		conn, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			if !temporary(err) {
				return fmt.Errorf("accept on %s: %w", ln.Addr(), err)
			}
			s.logger.Warn("connection not accepted", "address", ln.Addr(), "error", err)
			if !pause(ctx, acceptPause) {
				return nil
			}
			continue
		}
		s.accept(conn, secure)
	}
}

// acceptPause is how long the accept loop rests when the system has no descriptors left.
const acceptPause = 50 * time.Millisecond

func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// accept begins a session over TCP or TLS.
func (s *Server) accept(conn net.Conn, secure bool) {
	if !s.reserve() {
		s.refuse(conn)
		return
	}
	session := s.newSession(conn, secure)
	session.reader = newReader(&socket{Conn: conn, session: session})
	s.start(session)
}

// refusalsMax bounds the connections above the limit that are told so at the same time; further ones are just closed.
const refusalsMax = 64

// refuse ends a connection above the limit. It does not block: the accept loop calls it.
func (s *Server) refuse(conn net.Conn) {
	s.mu.Lock()
	tell := !s.closing && s.refusals < refusalsMax
	if tell {
		s.refusals++
		s.running.Add(1)
	}
	s.mu.Unlock()
	if !tell {
		_ = conn.Close()
		return
	}
	go s.runRefusal(conn)
}

// runRefusal tells why, and lingers [S5].
func (s *Server) runRefusal(conn net.Conn) {
	defer s.running.Done()
	_ = conn.SetDeadline(time.Now().Add(s.config.LingerTimeout)) // the handshake of TLS included
	e := fault(stomp.CodeTooManyConnections, "too many connections", "This node has as many connections as it may have; try another, or later.")
	if s.draining.Load() {
		e = drained(time.Second)
	}
	_, _ = conn.Write(stomp.AppendFrame(nil, stomp.VersionNone, stomp.ErrorFrame(e, ""))) // best effort
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, conn)
	_ = conn.Close()
	s.mu.Lock()
	s.refusals--
	s.mu.Unlock()
}

// reserve counts a new connection, unless there are too many.
func (s *Server) reserve() bool {
	if s.draining.Load() {
		s.stats.ConnectionsRefused.Add(1)
		return false
	}
	if s.stats.ConnectionsActive.Add(1) > int64(s.config.ConnectionsMax) {
		s.stats.ConnectionsActive.Add(-1)
		s.stats.ConnectionsRefused.Add(1)
		return false
	}
	s.stats.ConnectionsTotal.Add(1)
	return true
}

func (s *Server) release() {
	s.stats.ConnectionsActive.Add(-1)
}

func newReader(src io.Reader) *stomp.Reader {
	l := stomp.DefaultLimits()
	l.BodyBytesMax = loginBytesMax
	return stomp.NewReader(src, l)
}

func (s *Server) newSession(conn net.Conn, secure bool) *Session {
	n := &Session{server: s, conn: conn, secure: secure, began: s.clock(), gone: make(chan struct{})}
	n.machine.config = &s.config
	n.outbox.pools, n.outbox.limit = s.pools, int64(s.config.OutboxBytesMax)
	n.lastRead.Store(n.began)
	return n
}

// start runs a session, unless the server closes.
func (s *Server) start(n *Session) {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		_ = n.conn.Close()
		s.release()
		return
	}
	if len(s.sessions) == 0 && !s.sweeping {
		s.sweeping = true
		s.running.Add(1)
		go s.runSweeper()
	}
	n.place = len(s.sessions)
	s.sessions = append(s.sessions, n)
	s.running.Add(1)
	s.mu.Unlock()
	go n.run()
	if s.draining.Load() {
		n.depart(&departure{retryAfter: time.Second}) // it came too late for the list of the drain
	}
}

// remove takes an ended session out of the tables.
func (s *Server) remove(n *Session) {
	s.mu.Lock()
	last := len(s.sessions) - 1
	s.sessions[n.place] = s.sessions[last]
	s.sessions[n.place].place = n.place
	s.sessions[last] = nil
	s.sessions = s.sessions[:last]
	if n.counted {
		if s.users[n.identity.User]--; s.users[n.identity.User] == 0 {
			delete(s.users, n.identity.User)
		}
	}
	s.mu.Unlock()
	s.release()
	s.running.Done()
}

// countUser enforces the limit of connections of one proven user.
func (s *Server) countUser(n *Session) *stomp.ProtocolError {
	if !n.identity.Proven || n.identity.Service {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[n.identity.User] >= s.config.ConnectionsPerUserMax {
		return fault(stomp.CodeTooManyConnections, "too many connections of this user", "The user has as many connections to this node as one may have.")
	}
	s.users[n.identity.User]++
	n.counted = true
	return nil
}

// list copies the table of sessions.
func (s *Server) list() []*Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Session(nil), s.sessions...)
}
