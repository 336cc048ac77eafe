package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"stampede/stomp"
	"stampede/stomp/auth"
	"stampede/stomp/server"
	"stampede/stomp/stomptest"
)

// patience is how long a test waits for what has to come.
const patience = 20 * time.Second

// testConfig has no heart-beats unless the client asks, and the name of no version.
func testConfig() server.Config {
	c := server.DefaultConfig()
	c.ServerName = "stampede/test"
	return c
}

// loginAuth takes every login but "denied" and "broken". Users whose name begins with "proven" are, "service" is one.
type loginAuth struct{ wait chan struct{} }

func (a loginAuth) Authenticate(ctx context.Context, r auth.Request) (auth.Identity, error) {
	if a.wait != nil {
		select {
		case <-a.wait:
		case <-ctx.Done():
			return auth.Identity{}, ctx.Err()
		}
	}
	switch r.Login {
	case "denied":
		return auth.Identity{}, auth.ErrDenied
	case "broken":
		return auth.Identity{}, errors.New("the test's store is broken")
	}
	return auth.Identity{User: r.Login, Service: strings.Contains(r.Login, "service"), Proven: strings.HasPrefix(r.Login, "proven")}, nil
}

// house is a server under test with its listeners.
type house struct {
	server  *server.Server
	backend *echoBackend
	dial    map[string]func() (stomptest.Stream, error) // by transport
	tcp     string                                      // address
	http    string
}

// transports are the two ways into a server.
var transports = []string{"tcp", "ws"}

// newHouse starts a server on loopback, or on pipes inside a bubble of fake time. All is ended with the test.
func newHouse(t testing.TB, config server.Config, backend *echoBackend, pipes bool) *house {
	t.Helper()
	return newHouseWith(t, config, backend, loginAuth{}, pipes)
}

func newHouseWith(t testing.TB, config server.Config, backend *echoBackend, a auth.Authenticator, pipes bool) *house {
	t.Helper()
	s, err := server.New(config, backend, a, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	h := &house{server: s, backend: backend, dial: map[string]func() (stomptest.Stream, error){}}
	raw, dialRaw := listen(t, pipes)
	web, dialWeb := listen(t, pipes)
	h.tcp, h.http = raw.Addr().String(), web.Addr().String()
	h.dial["tcp"] = func() (stomptest.Stream, error) { return dialRaw() }
	h.dial["ws"] = func() (stomptest.Stream, error) {
		d := websocket.Dialer{
			NetDialContext: func(context.Context, string, string) (net.Conn, error) { return dialWeb() },
			Subprotocols:   []string{"v12.stomp", "v11.stomp", "v10.stomp"},
		}
		conn, response, err := d.Dial("ws://stomp.test/ws", nil)
		if err != nil {
			return nil, err
		}
		_ = response.Body.Close()
		return stomptest.NewWebSocketStream(conn), nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 2)
	web2 := &http.Server{Handler: s, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	go serveRaw(ctx, s, raw, served)
	go serveWeb(web2, web, served)
	t.Cleanup(func() {
		cancel()
		_ = web2.Close()
		ended, stop := context.WithTimeout(context.Background(), patience)
		defer stop()
		_ = s.Shutdown(ended) // tests that care look themselves
		for range 2 {
			if err := <-served; err != nil && !errors.Is(err, http.ErrServerClosed) {
				t.Errorf("Serve: %v", err)
			}
		}
	})
	return h
}

func serveRaw(ctx context.Context, s *server.Server, ln net.Listener, served chan<- error) {
	served <- s.Serve(ctx, ln, false)
}

func serveWeb(s *http.Server, ln net.Listener, served chan<- error) { served <- s.Serve(ln) }

func listen(t testing.TB, pipes bool) (net.Listener, func() (net.Conn, error)) {
	t.Helper()
	if pipes {
		p := stomptest.NewPipes()
		return p, p.Dial
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	return ln, func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) }
}

// serveTLS serves on a port with TLS until the test ends, and gives its address, and what a client has to trust.
func (h *house) serveTLS(t testing.TB) (addr string, trust *tls.Config) {
	t.Helper()
	web := httptest.NewUnstartedServer(nil) // for its certificate
	web.StartTLS()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go serveSecure(ctx, h.server, tls.NewListener(ln, web.TLS), served)
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		web.Close()
	})
	trust = web.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.ServerName, trust.NextProtos = "example.com", nil
	return ln.Addr().String(), trust
}

func serveSecure(ctx context.Context, s *server.Server, ln net.Listener, served chan<- error) {
	served <- s.Serve(ctx, ln, true)
}

// client is a STOMP client that checks what it gets.
type client struct {
	t      testing.TB
	stream stomptest.Stream
	reader *stomp.Reader
}

func (h *house) open(t testing.TB, transport string) *client {
	t.Helper()
	stream, err := h.dial[transport]()
	if err != nil {
		t.Fatalf("dial %s: %v", transport, err)
	}
	t.Cleanup(func() { _ = stream.Close() })
	limits := stomp.DefaultLimits()
	limits.BodyBytesMax = 64 << 20
	return &client{t: t, stream: stream, reader: stomp.NewReader(stream, limits)}
}

// connect opens a connection and a session of 1.2 on it.
func (h *house) connect(t testing.TB, transport string, headers ...string) (*client, *echoLink) {
	t.Helper()
	c := h.open(t, transport)
	text := "CONNECT\naccept-version:1.2\n"
	for _, line := range headers {
		text += line + "\n"
	}
	c.send(text + "\n\x00")
	c.want(stomp.CommandConnected)
	c.reader.SetVersion(stomp.V12)
	select {
	case l := <-h.backend.links:
		return c, l
	case <-time.After(patience):
		t.Fatal("the backend got no session")
		return nil, nil
	}
}

// send writes bytes; a connection that is closed meanwhile is the reader's matter.
func (c *client) send(text string) {
	c.t.Helper()
	_, _ = io.WriteString(c.stream, text)
}

// next reads a frame, which is valid until the next call.
func (c *client) next() (*stomp.Frame, error) {
	_ = c.stream.SetReadDeadline(time.Now().Add(patience))
	return c.reader.ReadFrame()
}

// want reads a frame of that command.
func (c *client) want(command stomp.Command) *stomp.Frame {
	c.t.Helper()
	f, err := c.next()
	if err != nil {
		c.t.Fatalf("read: %v, want %v", err, command)
	}
	if f.Command != command {
		c.t.Fatalf("got %v with %q and body %.200q, want %v", f.Command, f.Headers, f.Body, command)
	}
	return f
}

// wantReceipt reads the RECEIPT of that id.
func (c *client) wantReceipt(id string) {
	c.t.Helper()
	if got := c.want(stomp.CommandReceipt).Value("receipt-id"); got != id {
		c.t.Fatalf("receipt-id = %q, want %q", got, id)
	}
}

// wantError reads an ERROR of that code.
func (c *client) wantError(code string) *stomp.Frame {
	c.t.Helper()
	f := c.want(stomp.CommandError)
	if got := f.Value("error-code"); got != code {
		c.t.Fatalf("error-code = %q (%s), want %q", got, f.Body, code)
	}
	return f
}

// wantEnd reads the end of the stream, and gives the close code over WebSocket.
func (c *client) wantEnd() int {
	c.t.Helper()
	f, err := c.next()
	if err == nil {
		c.t.Fatalf("got %v with %q and body %.200q, want the end", f.Command, f.Headers, f.Body)
	}
	if err != io.EOF {
		c.t.Fatalf("read: %v, want the end", err)
	}
	if w, ok := c.stream.(*stomptest.WebSocketStream); ok {
		return w.CloseCode()
	}
	return 0
}

// wantOpen proves that the session goes on: a frame is answered.
func (c *client) wantOpen() {
	c.t.Helper()
	c.send("BEGIN\ntransaction:probe\nreceipt:probe\n\n\x00ABORT\ntransaction:probe\n\n\x00")
	c.wantReceipt("probe")
}

// tcpConn is the connection of a client over TCP.
func (c *client) tcpConn() net.Conn { return c.stream.(net.Conn) }

func (c *client) webSocket() *websocket.Conn { return c.stream.(*stomptest.WebSocketStream).Conn }

// receive takes from a channel, or fails the test.
func receive[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("nothing came in %v: %s", patience, what)
	}
	panic("not reached")
}
