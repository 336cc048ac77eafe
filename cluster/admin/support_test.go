package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stampede/broker"
	"stampede/cluster"
	"stampede/cluster/admin"
	"stampede/cluster/gateway"
	"stampede/stomp"
	"stampede/stomp/auth"
	"stampede/stomp/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait; a test that needs it has failed.
const patience = 20 * time.Second

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// running is a node with its admin endpoints.
type running struct {
	node    *cluster.Node
	gateway *gateway.Gateway
	admin   *admin.Admin
	stomp   string // address
	url     string // of the admin listener
	public  string // of the health endpoints on the public one
	token   string
	client  *http.Client
}

// start runs a node; before says what to do before it runs.
func start(t *testing.T, config admin.Config, before ...func(*running)) *running {
	t.Helper()
	cfg := cluster.DefaultConfig()
	cfg.DataDir, cfg.Addr, cfg.Name, cfg.RingEventsMax = t.TempDir(), "", "node-under-test", 1<<14
	node, err := cluster.Open(cfg, quiet())
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	r := &running{node: node, gateway: gateway.New(node, quiet()), token: config.Token}
	srv, err := server.New(server.DefaultConfig(), r.gateway, auth.None(), quiet())
	if err != nil {
		t.Fatalf("server: %v", err)
	}
	config.Logger, config.Version, config.WSMaxConnections = quiet(), "v0.0.0-test", 123
	r.admin = admin.New(config, node, r.gateway, srv)
	r.url, r.public = listen(t, r.admin.Handler()), listen(t, r.admin.HealthHandler())
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	r.client = &http.Client{Transport: transport, Timeout: patience}
	for _, fn := range before {
		fn(r)
	}

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.stomp = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended, served := make(chan error, 1), make(chan error, 1)
	go func() { ended <- node.Run(ctx, r.gateway) }()
	go func() { served <- srv.Serve(ctx, ln, false) }()
	t.Cleanup(func() {
		cancel()
		<-served
		closing, done := context.WithTimeout(context.Background(), patience)
		defer done()
		if err := srv.Shutdown(closing); err != nil {
			t.Errorf("shutdown = %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("run = %v", err)
		}
	})
	select {
	case <-node.Ready():
	case <-time.After(patience):
		t.Fatal("node is not ready")
	}
	return r
}

func listen(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// ask sends a request with the token and gives status code and body.
func (r *running) ask(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	return r.askAs(t, r.token, method, r.url+path, body)
}

func (r *running) askAs(t *testing.T, token, method, url, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := r.client.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return response.StatusCode, string(answer)
}

// get decodes the answer to a GET that has to succeed.
func get[T any](t *testing.T, r *running, path string) T {
	t.Helper()
	code, body := r.ask(t, http.MethodGet, path, "")
	var v T
	if code != http.StatusOK {
		t.Fatalf("GET %s = %d %s, want 200", path, code, body)
	}
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("GET %s = %s: %v", path, body, err)
	}
	return v
}

// lines decodes an answer of JSON lines.
func lines[T any](t *testing.T, r *running, path string) []T {
	t.Helper()
	code, body := r.ask(t, http.MethodGet, path, "")
	if code != http.StatusOK {
		t.Fatalf("GET %s = %d %s, want 200", path, code, body)
	}
	var all []T
	for line := range strings.Lines(body) {
		var v T
		d := json.NewDecoder(strings.NewReader(line))
		if err := d.Decode(&v); err != nil {
			t.Fatalf("GET %s: line %q: %v", path, line, err)
		}
		all = append(all, v)
	}
	return all
}

func wantCode(t *testing.T, what string, got int, body string, want int, word string) {
	t.Helper()
	if got != want || !strings.Contains(body, word) {
		t.Errorf("%s = %d %s, want %d with %q", what, got, body, want, word)
	}
}

// session is a STOMP client by hand.
type session struct {
	t      *testing.T
	conn   net.Conn
	reader *stomp.Reader
}

func (r *running) connect(t *testing.T, login string) *session {
	t.Helper()
	conn, err := net.Dial("tcp", r.stomp)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // some tests close it before
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	s := &session{t: t, conn: conn, reader: stomp.NewReader(conn, stomp.DefaultLimits())}
	s.write(stomp.NewFrame(stomp.CommandConnect, "accept-version", "1.2", "host", "x", "login", login))
	s.expect(stomp.CommandConnected)
	s.reader.SetVersion(stomp.V12)
	return s
}

func (s *session) write(f *stomp.Frame) {
	s.t.Helper()
	if _, err := s.conn.Write(stomp.AppendFrame(nil, stomp.V12, f)); err != nil {
		s.t.Fatalf("write %v: %v", f.Command, err)
	}
}

func (s *session) expect(command stomp.Command) *stomp.Frame {
	s.t.Helper()
	f, err := s.reader.ReadFrame()
	if err != nil {
		s.t.Fatalf("read: %v", err)
	}
	if f.Command != command {
		s.t.Fatalf("got %v %s, want %v", f.Command, bytes.TrimSpace(f.Body), command)
	}
	return f.Clone()
}

// do writes a frame and waits for its receipt.
func (s *session) do(command stomp.Command, pairs ...string) {
	s.t.Helper()
	s.write(stomp.NewFrame(command, append(pairs, "receipt", "r")...))
	s.expect(stomp.CommandReceipt)
}

var _ admin.Broker = (*gateway.Gateway)(nil)

// hold keeps the fold from going on until release is called.
func (r *running) hold(t *testing.T) (release func()) {
	t.Helper()
	held, done := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- r.node.Inspect(context.Background(), func(*broker.State) { close(held); <-done })
	}()
	<-held
	return func() {
		close(done)
		if err := <-ended; err != nil {
			t.Errorf("inspect = %v", err)
		}
	}
}
