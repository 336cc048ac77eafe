package server_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"stampede/stomp"
)

// TestLinger: the ERROR that closes arrives, although the client still sends; and the server waits for it no longer than it said.
func TestLinger(t *testing.T) {
	const megabytes = 32
	junk := bytes.Repeat([]byte{'x'}, 1<<20)
	for _, transport := range transports {
		t.Run("the ERROR arrives while the client sends megabytes over "+transport, func(t *testing.T) {
			h := newHouse(t, testConfig(), newBackend(), false)
			c, _ := h.connect(t, transport)
			c.send("SENDX\n\n\x00")
			for i := range megabytes {
				if _, err := c.stream.Write(junk); err != nil {
					t.Fatalf("megabyte %d was not taken: %v", i, err)
				}
			}
			c.wantError(stomp.CodeUnknownCommand)
			if got, want := c.wantEnd(), map[string]int{"tcp": 0, "ws": 1002}[transport]; got != want {
				t.Errorf("close code = %d, want %d", got, want)
			}
		})
		t.Run("a client that never stops is cut off over "+transport, func(t *testing.T) {
			config := testConfig()
			config.LingerTimeout = 200 * time.Millisecond
			h := newHouse(t, config, newBackend(), false)
			c, _ := h.connect(t, transport)
			began := time.Now()
			c.send("SENDX\n\n\x00")
			for {
				if _, err := c.stream.Write(junk[:1000]); err != nil {
					break
				}
				if time.Since(began) > patience {
					t.Fatal("the server takes and takes")
				}
			}
			if got := time.Since(began); got < config.LingerTimeout*9/10 {
				t.Errorf("cut off after %v, want %v", got, config.LingerTimeout)
			}
		})
		t.Run("a client that closes is not waited for over "+transport, func(t *testing.T) {
			config := testConfig()
			config.LingerTimeout = time.Hour
			b := newBackend()
			closed := make(chan struct{})
			b.hooks.closed = func(*echoLink) { close(closed) }
			h := newHouse(t, config, b, false)
			c, _ := h.connect(t, transport)
			c.send("SENDX\n\n\x00")
			c.wantError(stomp.CodeUnknownCommand)
			c.wantEnd()
			if transport == "tcp" { // the WebSocket client has answered the close frame
				_ = c.stream.Close()
			}
			receive(t, closed, "the link's Close")
		})
	}
	t.Run("the socket is half-closed first", func(t *testing.T) {
		config := testConfig()
		config.LingerTimeout = time.Hour
		b := newBackend()
		closed := make(chan struct{})
		b.hooks.closed = func(*echoLink) { close(closed) }
		h := newHouse(t, config, b, false)
		c, _ := h.connect(t, "tcp")
		c.send("DISCONNECT\nreceipt:bye\n\n\x00")
		c.wantReceipt("bye")
		c.wantEnd()
		if _, err := c.stream.Write(junk); err != nil {
			t.Errorf("the server does not read after its end: %v", err)
		}
		if got := h.server.Stats().ConnectionsActive.Load(); got != 1 {
			t.Errorf("%d connections, want the one whose client has not closed", got)
		}
		receive(t, closed, "the link's Close: what the session held goes back without waiting for the client")
	})
}

// TestClosedByClient: a session ends with its connection, however that goes away.
func TestClosedByClient(t *testing.T) {
	ends := []struct {
		name      string
		transport string
		end       func(c *client)
	}{
		{"close", "tcp", func(c *client) { _ = c.stream.Close() }},
		{"reset", "tcp", func(c *client) { _ = c.tcpConn().(*net.TCPConn).SetLinger(0); _ = c.stream.Close() }},
		{"close inside a frame", "tcp", func(c *client) { c.send("SEND\ndesti"); _ = c.stream.Close() }},
		{"close without a close frame", "ws", func(c *client) { _ = c.stream.Close() }},
		{"DISCONNECT and close", "tcp", func(c *client) { c.send("DISCONNECT\n\n\x00"); _ = c.stream.Close() }},
		{"DISCONNECT and close", "ws", func(c *client) { c.send("DISCONNECT\n\n\x00"); _ = c.stream.Close() }},
	}
	for _, e := range ends {
		t.Run(e.name+" over "+e.transport, func(t *testing.T) {
			b := newBackend()
			closed := make(chan struct{}, 2)
			b.hooks.closed = func(*echoLink) { closed <- struct{}{} }
			h := newHouse(t, testConfig(), b, false)
			c, l := h.connect(t, e.transport)
			e.end(c)
			receive(t, closed, "the link's Close")
			if got := l.closes.Load(); got != 1 {
				t.Errorf("the link was closed %d times, want once", got)
			}
			if got := h.server.Stats().ErrorsSent.Load(); got != 0 {
				t.Errorf("%d ERRORs were sent, want none", got)
			}
		})
	}
}

// TestCloseHandshake: the close frame of a client is answered, at once and with its code (RFC 6455 section 5.5.1).
func TestCloseHandshake(t *testing.T) {
	codes := []struct{ sent, want int }{
		{websocket.CloseNormalClosure, 1000}, {websocket.CloseGoingAway, 1001}, {4001, 4001}, {websocket.CloseNoStatusReceived, 1000},
	}
	for _, code := range codes {
		config := testConfig()
		config.LingerTimeout = time.Hour
		h := newHouse(t, config, newBackend(), false)
		c, l := h.connect(t, "ws")
		l.session.Receipt("before") // not woken: the close frame comes behind it all the same
		payload := websocket.FormatCloseMessage(code.sent, "")
		if err := c.webSocket().WriteControl(websocket.CloseMessage, payload, time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		c.wantReceipt("before")
		if got := c.wantEnd(); got != code.want {
			t.Errorf("%d was answered with %d, want %d", code.sent, got, code.want)
		}
		// The server closes the connection first.
		raw := c.webSocket().NetConn()
		_ = raw.SetReadDeadline(time.Now().Add(patience))
		if _, err := raw.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("after the handshake of %d: %v, want the end of the connection", code.sent, err)
		}
	}
}
