package gateway_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stampede/broker"
	"stampede/cluster"
	"stampede/cluster/gateway"
	"stampede/stomp"
	"stampede/stomp/auth"
	"stampede/stomp/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait; a test that needs it has failed.
const patience = 20 * time.Second

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// running is a node with its gateway and a STOMP server on loopback.
type running struct {
	links   *links
	node    *cluster.Node
	gateway *gateway.Gateway
	server  *server.Server
	dir     string
	addr    string
	kill    func() // ends the node first: sessions are not drained, their outcomes do not come
	stop    func() // ends sessions, then the node
}

func strict(c *server.Config) { c.ErrorPolicy = server.PolicyStrict }

func smallOutbox(c *server.Config) { c.OutboxBytesMax = 16 << 10 }

// start runs a node in a directory of its own.
func start(t testing.TB, options ...func(*server.Config)) *running {
	t.Helper()
	return startIn(t, t.TempDir(), options...)
}

func startIn(t testing.TB, dir string, options ...func(*server.Config)) *running {
	t.Helper()
	cfg := cluster.DefaultConfig()
	cfg.DataDir, cfg.Addr, cfg.Name = dir, "", "node-under-test"
	cfg.RingEventsMax = 1 << 14
	return startNode(t, cfg, options...)
}

func startNode(t testing.TB, cfg cluster.Config, options ...func(*server.Config)) *running {
	t.Helper()
	node, err := cluster.Open(cfg, quiet())
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	r := &running{node: node, dir: cfg.DataDir}
	r.gateway = gateway.New(node, quiet())
	r.links = &links{Gateway: r.gateway}
	sc := server.DefaultConfig()
	for _, option := range options {
		option(&sc)
	}
	if r.server, err = server.New(sc, r.gateway, auth.None(), quiet()); err != nil {
		t.Fatalf("server: %v", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	nodeEnded, served := make(chan error, 1), make(chan error, 1)
	go func() { nodeEnded <- node.Run(ctx, r.links) }()
	select {
	case <-node.Ready():
	case err := <-nodeEnded:
		t.Fatalf("run: %v", err)
	case <-time.After(patience):
		t.Fatal("node is not ready")
	}
	serveCtx, stopServing := context.WithCancel(context.Background())
	go func() { served <- r.server.Serve(serveCtx, ln, false) }()
	endNode := sync.OnceFunc(func() {
		cancel()
		if err := <-nodeEnded; err != nil {
			t.Errorf("run = %v", err)
		}
	})
	endServer := sync.OnceFunc(func() {
		stopServing()
		_ = ln.Close()
		<-served
		closing, done := context.WithTimeout(context.Background(), patience)
		defer done()
		if err := r.server.Shutdown(closing); err != nil {
			t.Errorf("shutdown = %v", err)
		}
	})
	r.stop = func() { endServer(); endNode() }
	r.kill = func() { endNode(); endServer() }
	t.Cleanup(r.stop)
	return r
}

// links takes what comes from other nodes for the gateway, when it may.
type links struct {
	*gateway.Gateway
	gate atomic.Pointer[chan struct{}]
}

// ReceiveUnlogged implements cluster.Receiver.
func (l *links) ReceiveUnlogged(m *broker.Message, after broker.Seq, known uint64) {
	if gate := l.gate.Load(); gate != nil {
		<-*gate
	}
	l.Gateway.ReceiveUnlogged(m, after, known)
}

// hold keeps the node from taking unlogged messages of others until release is called.
func (l *links) hold() (release func()) {
	gate := make(chan struct{})
	l.gate.Store(&gate)
	return sync.OnceFunc(func() { close(gate) })
}

// inspect looks at the fold's state.
func (r *running) inspect(t testing.TB, fn func(*broker.State)) {
	t.Helper()
	if err := r.node.Inspect(t.Context(), fn); err != nil {
		t.Fatalf("inspect: %v", err)
	}
}

// holdFold makes the fold stand still until release is called.
func (r *running) holdFold() (release func()) {
	gate, held := make(chan struct{}), make(chan struct{})
	go func() { _ = r.node.Inspect(context.Background(), func(*broker.State) { close(held); <-gate }) }()
	<-held
	return sync.OnceFunc(func() { close(gate) })
}

// await waits until what is asked for holds, looking again after each event.
func await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	ticks := time.NewTicker(time.Millisecond)
	defer ticks.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
		<-ticks.C
	}
}

// client is a STOMP session by hand.
type client struct {
	t        testing.TB
	conn     net.Conn
	reader   *stomp.Reader
	version  stomp.Version
	session  string
	receipts int
}

// connect opens a session; pairs are headers of CONNECT.
func (r *running) connect(t testing.TB, pairs ...string) *client {
	t.Helper()
	c := r.dial(t)
	version := "1.2"
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] == "accept-version" {
			version = pairs[i+1]
		}
	}
	c.write(stomp.NewFrame(stomp.CommandConnect, append([]string{"accept-version", version, "host", "test", "heart-beat", "0,0"}, pairs...)...))
	f := c.expect(stomp.CommandConnected)
	c.session = f.Value("session")
	switch f.Value("version") {
	case "1.0":
		c.version = stomp.V10
	case "1.1":
		c.version = stomp.V11
	default:
		c.version = stomp.V12
	}
	c.reader.SetVersion(c.version)
	return c
}

func (r *running) dial(t testing.TB) *client {
	t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // most tests are done with it before
	limits := stomp.DefaultLimits()
	limits.BodyBytesMax = 32 << 20
	return &client{t: t, conn: conn, reader: stomp.NewReader(conn, limits)}
}

func (c *client) write(f *stomp.Frame) {
	c.t.Helper()
	if err := c.tryWrite(stomp.AppendFrame(nil, c.version, f)); err != nil {
		c.t.Fatalf("write %v: %v", f.Command, err)
	}
}

func (c *client) tryWrite(b []byte) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := c.conn.Write(b)
	return err
}

// do writes a frame without a body.
func (c *client) do(command stomp.Command, pairs ...string) {
	c.t.Helper()
	c.write(stomp.NewFrame(command, pairs...))
}

// send writes a SEND and waits for nothing.
func (c *client) send(destination, body string, pairs ...string) {
	c.t.Helper()
	f := stomp.NewFrame(stomp.CommandSend, append([]string{"destination", destination}, pairs...)...)
	f.Body = []byte(body)
	c.write(f)
}

// publish sends with a receipt and waits for it; what else comes meanwhile is a failure.
func (c *client) publish(destination, body string, pairs ...string) {
	c.t.Helper()
	id := c.newReceipt()
	c.send(destination, body, append(pairs, "receipt", id)...)
	c.awaitReceipt(id)
}

// ask writes a frame with a receipt and waits for it.
func (c *client) ask(command stomp.Command, pairs ...string) {
	c.t.Helper()
	id := c.newReceipt()
	c.do(command, append(pairs, "receipt", id)...)
	c.awaitReceipt(id)
}

func (c *client) subscribe(id, destination string, pairs ...string) {
	c.t.Helper()
	c.ask(stomp.CommandSubscribe, append([]string{"id", id, "destination", destination}, pairs...)...)
}

func (c *client) newReceipt() string {
	c.receipts++
	return "r-" + strconv.Itoa(c.receipts)
}

func (c *client) awaitReceipt(id string) {
	c.t.Helper()
	if f := c.expect(stomp.CommandReceipt); f.Value("receipt-id") != id {
		c.t.Fatalf("receipt of %q, want %q", f.Value("receipt-id"), id)
	}
}

// read gives the next frame.
func (c *client) read() *stomp.Frame {
	c.t.Helper()
	f, err := c.tryRead()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	return f
}

func (c *client) tryRead() (*stomp.Frame, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	f, err := c.reader.ReadFrame()
	if err != nil {
		return nil, err
	}
	return f.Clone(), nil
}

func (c *client) expect(command stomp.Command) *stomp.Frame {
	c.t.Helper()
	f := c.read()
	if f.Command != command {
		c.t.Fatalf("got %s, want %v", show(f), command)
	}
	return f
}

func (c *client) message() *stomp.Frame {
	c.t.Helper()
	return c.expect(stomp.CommandMessage)
}

// expectError reads an ERROR with this code and, if closes, that nothing follows it.
func (c *client) expectError(code string, closes bool) *stomp.Frame {
	c.t.Helper()
	f := c.expect(stomp.CommandError)
	if got := f.Value("error-code"); got != code {
		c.t.Fatalf("error-code = %q (%s), want %q", got, show(f), code)
	}
	if !closes {
		return f
	}
	if more, err := c.tryRead(); !errors.Is(err, io.EOF) {
		c.t.Fatalf("behind the ERROR came %s, %v, want the end", show(more), err)
	}
	return f
}

// bodies reads n messages and gives their bodies.
func (c *client) bodies(n int) string {
	c.t.Helper()
	all := make([]string, 0, n)
	for range n {
		all = append(all, string(c.message().Body))
	}
	return strings.Join(all, " ")
}

// pending gives the bodies of the messages that are on their way to this session: everything that had taken effect when
// it was called.
func (c *client) pending() string {
	c.t.Helper()
	id := c.newReceipt()
	c.send("/topic/nobody", "", "receipt", id)
	var all []string
	for {
		f := c.read()
		switch f.Command {
		case stomp.CommandMessage:
			all = append(all, string(f.Body))
		case stomp.CommandReceipt:
			if f.Value("receipt-id") == id {
				return strings.Join(all, " ")
			}
		default:
			c.t.Fatalf("got %s, want messages", show(f))
		}
	}
}

// close ends the connection without DISCONNECT.
func (c *client) close() { _ = c.conn.Close() }

func show(f *stomp.Frame) string {
	if f == nil {
		return "nothing"
	}
	b := stomp.AppendFrame(nil, stomp.V12, f)
	return strconv.Quote(string(b[:min(len(b), 500)]))
}

// numbered are the words first to last with a prefix.
func numbered(prefix string, first, last int) string {
	all := make([]string, 0, last-first+1)
	for i := first; i <= last; i++ {
		all = append(all, prefix+strconv.Itoa(i))
	}
	return strings.Join(all, " ")
}

func check(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s\n got %q\nwant %q", what, got, want)
	}
}
