package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stampede/stomp"
)

// checkLeaks fails the test when goroutines that it started are left at its end.
func checkLeaks(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

func TestParseEndpoint(t *testing.T) {
	cases := []struct {
		url  string
		want endpoint
		bad  bool
	}{
		{url: "tcp://127.0.0.1:61613", want: endpoint{scheme: "tcp", addr: "127.0.0.1:61613", name: "127.0.0.1"}},
		{url: "tcp://broker", want: endpoint{scheme: "tcp", addr: "broker:61613", name: "broker"}},
		{url: "tls://broker", want: endpoint{scheme: "tls", addr: "broker:61614", name: "broker"}},
		{url: "ws://[::1]:8080", want: endpoint{scheme: "ws", addr: "[::1]:8080", name: "::1", url: "ws://[::1]:8080/ws"}},
		{url: "wss://broker/stomp?token=x", want: endpoint{scheme: "wss", addr: "broker:443", name: "broker", url: "wss://broker/stomp?token=x"}},
		{url: "http://broker", bad: true},
		{url: "broker:61613", bad: true},
		{url: "tcp://", bad: true},
		{url: "tcp://user:secret@broker", bad: true},
	}
	for _, c := range cases {
		got, err := parseEndpoint(c.url)
		if (err != nil) != c.bad || got != c.want {
			t.Errorf("parseEndpoint(%q) = %+v, error %v; want %+v, bad %t", c.url, got, err, c.want, c.bad)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("parseEndpoint(%q): the error %q shows a password", c.url, err)
		}
	}
}

func TestBrokerErrorIsOneLine(t *testing.T) {
	f := stomp.NewFrame(stomp.CommandError, "message", "queue is full", "error-code", "queue-full")
	f.Body = []byte("wait,\nthen send\n it again\n")
	want := "the broker answered ERROR: queue is full [queue-full]: wait, then send it again"
	if got := newBrokerError(f).Error(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNegotiatesHeartBeats(t *testing.T) {
	cases := []struct {
		ours           int
		answer         string
		sends, expects time.Duration
	}{
		{0, "10000,10000", 0, 0},
		{5000, "", 0, 0},
		{5000, "0,0", 0, 0},
		{5000, "10000,1000", 5 * time.Second, 10 * time.Second},
		{5000, "1000,20000", 20 * time.Second, 5 * time.Second},
		{5000, "what", 0, 0},
	}
	for _, c := range cases {
		s := &client{}
		s.negotiate(c.ours, c.answer)
		if s.sends != c.sends || s.expects != c.expects {
			t.Errorf("we offer %d, broker %q: sends every %s, expects every %s; want %s, %s", c.ours, c.answer, s.sends, s.expects, c.sends, c.expects)
		}
	}
}

func TestConnectFails(t *testing.T) {
	cases := []struct {
		name, script, want string
	}{
		{"with the broker's words", "ERROR\nmessage:wrong login\nerror-code:authentication-failed\n\n\x00", "wrong login [authentication-failed]"},
		{"when an older version is spoken", "CONNECTED\nversion:1.1\n\n\x00", `version "1.1"`},
		{"when the broker hangs up", "", "closed the connection"},
		{"when it is no broker", "HTTP/1.1 400 Bad Request\r\n\r\n", "connect to tcp://"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			url := startScript(t, func(conn *scriptConn) { conn.expect("CONNECT"); conn.say(c.script) })
			_, err := ClientFlags{URL: url}.connect(t.Context(), 0, nil, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
	t.Run("at once when it is cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		url := startScript(t, func(conn *scriptConn) { conn.expect("CONNECT"); cancel(); conn.expect("nothing more") })
		if _, err := (ClientFlags{URL: url}).connect(ctx, 0, nil, nil); err != context.Canceled {
			t.Errorf("error %v, want %v", err, context.Canceled)
		}
	})
	t.Run("with the HTTP status of a refused upgrade", func(t *testing.T) {
		url := startScript(t, func(conn *scriptConn) { conn.say("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") })
		_, err := ClientFlags{URL: strings.Replace(url, "tcp", "ws", 1)}.connect(t.Context(), 0, nil, nil)
		if err == nil || !strings.Contains(err.Error(), "403 Forbidden") {
			t.Errorf("error %v, want the status in it", err)
		}
	})
}

// scriptConn is a broker that a test plays, frame by frame.
type scriptConn struct {
	conn   net.Conn
	reader *bufio.Reader
}

// expect reads frames until one begins with the word, and gives it; "" when the client hangs up before.
func (s *scriptConn) expect(word string) string {
	for {
		frame, err := s.reader.ReadString(0)
		if err != nil {
			return ""
		}
		if frame = strings.TrimLeft(frame, "\n"); strings.HasPrefix(frame, word) {
			return frame
		}
	}
}

func (s *scriptConn) say(text string) { _, _ = io.WriteString(s.conn, text) } // a client that is gone sees nothing

// accept says CONNECTED.
func (s *scriptConn) accept() {
	s.expect("CONNECT")
	s.say("CONNECTED\nversion:1.2\nheart-beat:0,0\n\n\x00")
}

// receipt answers a frame that asked for one.
func (s *scriptConn) receipt(frame string) {
	s.say("RECEIPT\nreceipt-id:" + header(frame, "receipt") + "\n\n\x00")
}

// header gives a header of a frame as it is on the wire.
func header(frame, name string) string {
	_, value, _ := strings.Cut(frame, "\n"+name+":")
	value, _, _ = strings.Cut(value, "\n")
	return value
}

// startScript plays one connection; its URL is tcp. The test waits for the player's end.
func startScript(t *testing.T, play func(*scriptConn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	var playing sync.WaitGroup
	playing.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		play(&scriptConn{conn: conn, reader: bufio.NewReader(conn)})
	})
	t.Cleanup(func() {
		_ = listener.Close()
		playing.Wait()
	})
	return "tcp://" + listener.Addr().String()
}

// readerConn is a connection that can only be read.
type readerConn struct {
	net.Conn
	src io.Reader
}

func (r readerConn) Read(p []byte) (int, error) { return r.src.Read(p) }

// hijacked is an http.ResponseWriter of a connection whose answer nobody wants to see.
type hijacked struct {
	http.ResponseWriter
	conn net.Conn
}

func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	silent := &silentConn{Conn: h.conn}
	return silent, bufio.NewReadWriter(bufio.NewReader(silent), bufio.NewWriter(silent)), nil
}

// silentConn throws away what is written.
type silentConn struct{ net.Conn }

func (s *silentConn) Write(p []byte) (int, error) { return len(p), nil }

// lockedBuffer is an output that a test looks at while a command writes.
type lockedBuffer struct {
	mu      sync.Mutex // guards text and watched
	text    bytes.Buffer
	watched []watch
}

type watch struct {
	text string
	seen chan struct{}
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Write(p)
	b.lookLocked()
	return len(p), nil
}

func (b *lockedBuffer) lookLocked() {
	left := b.watched[:0]
	for _, w := range b.watched {
		if strings.Contains(b.text.String(), w.text) {
			close(w.seen)
		} else {
			left = append(left, w)
		}
	}
	b.watched = left
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// await waits until the text was written.
func (b *lockedBuffer) await(t *testing.T, text string) {
	t.Helper()
	seen := make(chan struct{})
	b.mu.Lock()
	b.watched = append(b.watched, watch{text, seen})
	b.lookLocked()
	b.mu.Unlock()
	select {
	case <-seen:
	case <-time.After(10 * time.Second):
		t.Fatalf("never printed %q, but %q", text, b.String())
	}
}
