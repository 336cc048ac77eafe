package main

// bench_bare.go: a fan-out without broker logic: no log, no limits, no authentication, no heart-beats. What it
// reaches is the most that a STOMP broker in Go could reach on the machine.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/gorilla/websocket"
)

// BareCmd measures the bare fan-out, or serves it for a generator in another process.
type BareCmd struct {
	FanoutCmd
	Serve string `placeholder:"HOST:PORT" help:"Serve TCP and WebSocket (by the first byte) on this address until interrupted, and measure nothing."`
}

// Run measures and prints like fanout, or serves.
func (c *BareCmd) Run(ctx context.Context) error {
	if c.Serve == "" {
		c.Against = "bare"
		return c.FanoutCmd.Run(ctx)
	}
	bare, err := startBare(ctx, c.Serve)
	if err != nil {
		return err
	}
	defer bare.close()
	fmt.Fprintf(c.stdio.orProcess().err, "bare fan-out on tcp://%s and ws://%s/ws\n", bare.listener.Addr(), bare.listener.Addr())
	<-ctx.Done()
	return nil
}

// bareServer is the bare fan-out. One port serves both transports.
//
// Goroutines: accept; one serve for each connection.
type bareServer struct {
	listener net.Listener
	web      *chanListener // connections that began with GET
	http     *http.Server
	running  sync.WaitGroup
	mu       sync.Mutex // guards topics, sockets and closed
	topics   map[string]*bareTopic
	sockets  map[net.Conn]struct{}
	closed   bool
}

// bareTopic is a destination; its list of subscribers is replaced, never changed.
type bareTopic struct {
	queue       bool // one subscriber in turn instead of all
	turn        atomic.Uint64
	subscribers atomic.Pointer[[]*bareSubscription]
}

type bareSubscription struct {
	session *bareSession
	topic   *bareTopic
	head    []byte // of each MESSAGE, as far as it differs between subscribers
}

func startBare(ctx context.Context, addr string) (*bareServer, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for the bare fan-out: %w", err)
	}
	b := &bareServer{listener: listener, topics: make(map[string]*bareTopic), sockets: make(map[net.Conn]struct{})}
	b.web = newChanListener(listener.Addr())
	b.http = &http.Server{Handler: http.HandlerFunc(b.upgrade), ReadHeaderTimeout: dialTimeout, ConnState: b.noteState}
	b.running.Go(b.accept)
	b.running.Go(func() { _ = b.http.Serve(b.web) }) // ends when the listener does
	return b, nil
}

// urlLike gives the URL of the server with the transport of another one.
func (b *bareServer) urlLike(raw string) (string, error) {
	e, err := parseEndpoint(raw)
	if err != nil {
		return "", err
	}
	if e.scheme != "tcp" && e.scheme != "ws" {
		return "", errors.New("the bare fan-out speaks tcp:// and ws:// only")
	}
	return e.scheme + "://" + b.listener.Addr().String(), nil
}

// close ends every connection and returns when all goroutines have ended.
func (b *bareServer) close() {
	b.mu.Lock()
	b.closed = true
	for conn := range b.sockets {
		_ = conn.Close() // its serve goroutine sees it
	}
	b.mu.Unlock()
	_ = b.listener.Close()
	_ = b.http.Close()
	b.running.Wait()
}

func (b *bareServer) accept() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return // closed
		}
		b.mu.Lock()
		closed := b.closed
		b.sockets[conn] = struct{}{}
		b.mu.Unlock()
		if closed {
			_ = conn.Close() // came while the server ended
			return
		}
		b.running.Go(func() { b.serve(conn) })
	}
}

// serve looks at the first byte: G begins a GET, everything else is STOMP.
func (b *bareServer) serve(conn net.Conn) {
	var first [1]byte
	if _, err := io.ReadFull(conn, first[:]); err != nil {
		b.forget(conn)
		return
	}
	whole := &peekedConn{Conn: conn, src: &firstThen{first: first[:], then: conn}}
	if first[0] == 'G' {
		if !b.web.give(whole) {
			b.forget(conn)
		}
		return
	}
	defer b.forget(conn)
	s := &bareSession{server: b, conn: conn}
	whole.before = s.endBatch
	s.run(whole)
}

func (b *bareServer) forget(conn net.Conn) {
	b.mu.Lock()
	delete(b.sockets, conn)
	b.mu.Unlock()
	_ = conn.Close() // at its end anyway
}

// noteState forgets connections that were no WebSockets.
func (b *bareServer) noteState(conn net.Conn, state http.ConnState) {
	if state == http.StateClosed {
		b.forget(conn.(*peekedConn).Conn)
	}
}

// upgrade is the WebSocket endpoint. The session runs in a goroutine of its own.
func (b *bareServer) upgrade(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{
		Subprotocols: []string{"v12.stomp"}, ReadBufferSize: benchReadBytes, WriteBufferSize: 1024,
		CheckOrigin: func(*http.Request) bool { return true },
	}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	ws.SetCloseHandler(func(int, string) error { return nil }) // nobody but the outbox writes
	conn := ws.NetConn().(*peekedConn)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return // close has taken the socket already
	}
	b.running.Go(func() {
		defer b.forget(conn.Conn)
		s := &bareSession{server: b, conn: conn, overWebSocket: true}
		conn.before = s.endBatch
		s.run(&messageReader{ws: ws})
	})
}

// topic gives a destination, made when it is new.
func (b *bareServer) topic(name string) *bareTopic {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topics[name]
	if t == nil {
		t = &bareTopic{queue: len(name) > 7 && name[:7] == "/queue/"}
		t.subscribers.Store(&[]*bareSubscription{})
		b.topics[name] = t
	}
	return t
}

func (b *bareServer) join(sub *bareSubscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := append([]*bareSubscription{sub}, *sub.topic.subscribers.Load()...)
	sub.topic.subscribers.Store(&now)
}

func (b *bareServer) leave(sub *bareSubscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var now []*bareSubscription
	for _, other := range *sub.topic.subscribers.Load() {
		if other != sub {
			now = append(now, other)
		}
	}
	sub.topic.subscribers.Store(&now)
}

// peekedConn is a connection whose first byte was looked at.
type peekedConn struct {
	net.Conn
	src    io.Reader
	before func() error // called before each read, which may block; nil: nothing is due
}

func (p *peekedConn) Read(b []byte) (int, error) {
	if p.before != nil {
		if err := p.before(); err != nil {
			return 0, err
		}
	}
	return p.src.Read(b)
}

// messageReader reads the payloads of WebSocket messages as one stream.
type messageReader struct {
	ws *websocket.Conn
	at io.Reader // the message at hand; nil: none
}

func (m *messageReader) Read(p []byte) (int, error) {
	for {
		if m.at == nil {
			_, next, err := m.ws.NextReader()
			if err != nil {
				return 0, err
			}
			m.at = next
		}
		n, err := m.at.Read(p)
		if err == io.EOF {
			m.at, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// chanListener hands connections that were accepted elsewhere to an http.Server.
type chanListener struct {
	addr  net.Addr
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newChanListener(addr net.Addr) *chanListener {
	return &chanListener{addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *chanListener) give(conn net.Conn) bool {
	select {
	case l.conns <- conn:
		return true
	case <-l.done:
		return false
	}
}

func (l *chanListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *chanListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *chanListener) Addr() net.Addr { return l.addr }
