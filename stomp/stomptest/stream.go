package stomptest

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// Stream is a STOMP connection as a client sees it, whatever carries it.
type Stream interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
}

// WebSocketStream makes a Stream of a WebSocket connection: each Write is a message, of text if it is UTF-8, and the
// messages that come are read one behind the other. A close frame is io.EOF.
type WebSocketStream struct {
	*websocket.Conn

	writing sync.Mutex // Write may be called by several goroutines
	message io.Reader
	code    int
}

// NewWebSocketStream makes a Stream of conn.
func NewWebSocketStream(conn *websocket.Conn) *WebSocketStream { return &WebSocketStream{Conn: conn} }

// CloseCode is the code that the server closed with, 0 before; to be asked after a Read failed.
func (w *WebSocketStream) CloseCode() int { return w.code }

// Write sends one message.
func (w *WebSocketStream) Write(p []byte) (int, error) {
	kind := websocket.BinaryMessage
	if utf8.Valid(p) {
		kind = websocket.TextMessage
	}
	w.writing.Lock()
	defer w.writing.Unlock()
	if err := w.WriteMessage(kind, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Read reads what the messages hold.
func (w *WebSocketStream) Read(p []byte) (int, error) {
	for {
		if w.message == nil {
			_, r, err := w.NextReader()
			var closed *websocket.CloseError
			if errors.As(err, &closed) {
				w.code = closed.Code
				return 0, io.EOF
			}
			if err != nil {
				return 0, err
			}
			w.message = r
		}
		n, err := w.message.Read(p)
		if errors.Is(err, io.EOF) {
			w.message, err = nil, nil
			if n == 0 {
				continue
			}
		}
		return n, err
	}
}

// Pipes is a listener whose connections are net.Pipes: for tests with fake time, which need connections without a system.
type Pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// NewPipes makes a listener.
func NewPipes() *Pipes {
	return &Pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects to the listener.
func (p *Pipes) Dial() (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Accept implements net.Listener.
func (p *Pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *Pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr implements net.Listener.
func (p *Pipes) Addr() net.Addr { return pipesAddr{} }

type pipesAddr struct{}

func (pipesAddr) Network() string { return "pipe" }
func (pipesAddr) String() string  { return "pipe" }
