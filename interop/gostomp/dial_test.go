package gostomp_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
	"github.com/gorilla/websocket"
)

// waitTimeout is longer than anything here takes on a busy machine; a test that waits it out has failed.
const waitTimeout = 60 * time.Second

// way is one way to the broker: over something, in a version.
type way struct {
	over    string
	version stomp.Version
}

func ways() []way {
	var all []way
	for _, over := range []string{"tcp", "websocket"} {
		for _, version := range []stomp.Version{stomp.V10, stomp.V11, stomp.V12} {
			all = append(all, way{over, version})
		}
	}
	return all
}

func (w way) String() string { return w.over + "/" + string(w.version) }

// open connects to a node.
func (w way) open(node address) (io.ReadWriteCloser, error) {
	if w.over == "tcp" {
		return net.Dial("tcp", node.STOMP)
	}
	return openWebSocket(node, w.version)
}

func openWebSocket(node address, version stomp.Version) (io.ReadWriteCloser, error) {
	subprotocol := "v" + strings.ReplaceAll(string(version), ".", "") + ".stomp"
	dialer := websocket.Dialer{Subprotocols: []string{subprotocol}}
	conn, _, err := dialer.Dial("ws://"+node.HTTP+"/ws", nil)
	if err != nil {
		return nil, err
	}
	return &webSocketStream{conn: conn}, nil
}

// webSocketStream is a WebSocket as a stream of bytes: go-stomp's writes become binary messages, wherever they cut a frame.
type webSocketStream struct {
	conn    *websocket.Conn
	message io.Reader // the rest of the message being read, nil between messages
}

func (w *webSocketStream) Read(p []byte) (int, error) {
	for {
		if w.message == nil {
			_, message, err := w.conn.NextReader()
			if err != nil {
				return 0, err
			}
			w.message = message
		}
		n, err := w.message.Read(p)
		if errors.Is(err, io.EOF) {
			w.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (w *webSocketStream) Write(p []byte) (int, error) {
	if err := w.conn.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (w *webSocketStream) Close() error { return w.conn.Close() }

// client is one session of go-stomp in a test.
type client struct {
	*stomp.Conn
	t *testing.T
}

// dial opens a session with the shared node that ends with the test, if the test does not end it before.
func dial(t *testing.T, w way, options ...func(*stomp.Conn) error) client {
	t.Helper()
	return connect(t, w, mustOpen(t, w), options...)
}

func connect(t *testing.T, w way, stream io.ReadWriteCloser, options ...func(*stomp.Conn) error) client {
	t.Helper()
	options = append([]func(*stomp.Conn) error{stomp.ConnOpt.AcceptVersion(w.version), stomp.ConnOpt.RcvReceiptTimeout(waitTimeout)}, options...)
	conn, err := stomp.Connect(stream, options...)
	if err != nil {
		stream.Close()
		t.Fatalf("CONNECT over %v: %v", w, err)
	}
	t.Cleanup(func() { _ = conn.MustDisconnect() }) // most tests have closed it by then
	return client{Conn: conn, t: t}
}

// send sends and waits for the receipt: the message is in the log then.
func (c client) send(destination, body string, headers ...string) {
	c.t.Helper()
	options := []func(*frame.Frame) error{stomp.SendOpt.Receipt}
	for i := 0; i < len(headers); i += 2 {
		options = append(options, stomp.SendOpt.Header(headers[i], headers[i+1]))
	}
	if err := c.Send(destination, "text/plain", []byte(body), options...); err != nil {
		c.t.Fatalf("SEND %s: %v", destination, err)
	}
}

// settled returns when the broker has handled all that this session sent before.
func (c client) settled() {
	c.t.Helper()
	c.send("/topic/barrier", "")
}

// subscribe returns when the broker has handled the SUBSCRIBE. (go-stomp cannot ask for a receipt here: it would take it for the end of the subscription.)
func (c client) subscribe(destination string, mode stomp.AckMode, headers ...string) *stomp.Subscription {
	c.t.Helper()
	var options []func(*frame.Frame) error
	for i := 0; i < len(headers); i += 2 {
		options = append(options, stomp.SubscribeOpt.Header(headers[i], headers[i+1]))
	}
	s, err := c.Subscribe(destination, mode, options...)
	if err != nil {
		c.t.Fatalf("SUBSCRIBE %s: %v", destination, err)
	}
	c.settled()
	return s
}

// close ends the session with DISCONNECT and its receipt.
func (c client) close() {
	c.t.Helper()
	if err := c.Disconnect(); err != nil {
		c.t.Fatalf("DISCONNECT: %v", err)
	}
}

// next is the next message of the subscription.
func next(t *testing.T, s *stomp.Subscription) *stomp.Message {
	t.Helper()
	timer := time.NewTimer(waitTimeout)
	defer timer.Stop()
	select {
	case message, open := <-s.C:
		if !open {
			t.Fatalf("%s: the subscription has ended", s.Destination())
		}
		if message.Err != nil {
			t.Fatalf("%s: %v", s.Destination(), message.Err)
		}
		return message
	case <-timer.C:
		t.Fatalf("%s: no message within %v", s.Destination(), waitTimeout)
		return nil
	}
}

// bodies are the bodies of the next messages.
func bodies(t *testing.T, s *stomp.Subscription, count int) []string {
	t.Helper()
	got := make([]string, 0, count)
	for range count {
		got = append(got, string(next(t, s).Body))
	}
	return got
}
