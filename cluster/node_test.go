package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stampede/broker"
	"stampede/cluster"
	"stampede/storage"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDirEnv); dir != "" {
		os.Exit(crashChild(dir))
	}
	goleak.VerifyTestMain(m)
}

const waitMax = 20 * time.Second // a machine under load; a test that waits for this long has failed

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func testConfig(dir string) cluster.Config {
	cfg := cluster.DefaultConfig()
	cfg.DataDir = dir
	cfg.Addr = ""
	cfg.Name = "node-under-test"
	cfg.RingEventsMax = 1 << 14
	cfg.Fatal = func(error) {}
	return cfg
}

// outcome is one answer that the performer got.
type outcome struct {
	tag     string
	aux     uint64
	seq     broker.Seq
	refusal broker.Refusal
}

// recorder is a Performer that keeps what it is told.
type recorder struct {
	mu       sync.Mutex
	changed  *sync.Cond
	outcomes []outcome
	stored   []*broker.Message
	flushes  int
	onStored func(*broker.Message) // called on the fold's goroutine
}

var _ cluster.Performer = (*recorder)(nil)

func newRecorder() *recorder {
	r := &recorder{}
	r.changed = sync.NewCond(&r.mu)
	return r
}

func (r *recorder) Outcome(t cluster.Ticket, seq broker.Seq, refusal broker.Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outcomes = append(r.outcomes, outcome{tag: t.Tag, aux: t.Aux, seq: seq, refusal: refusal})
	r.changed.Broadcast()
}

func (r *recorder) Perform(fx *broker.Effects) {
	for _, e := range fx.List {
		if e.Kind != broker.EffectStored {
			continue
		}
		if r.onStored != nil {
			r.onStored(e.Message)
		}
		r.mu.Lock()
		r.stored = append(r.stored, e.Message)
		r.mu.Unlock()
	}
}

func (r *recorder) Unanswered(cluster.Ticket, bool) {}
func (r *recorder) Evicted()                        {}

func (r *recorder) Flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flushes++
	r.changed.Broadcast()
}

// await waits until n outcomes came and returns them all.
func (r *recorder) await(t testing.TB, n int) []outcome {
	t.Helper()
	timer := time.AfterFunc(waitMax, func() { r.mu.Lock(); r.changed.Broadcast(); r.mu.Unlock() })
	defer timer.Stop()
	deadline := time.Now().Add(waitMax)
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.outcomes) < n {
		if !time.Now().Before(deadline) {
			t.Fatalf("outcomes = %d, want %d", len(r.outcomes), n)
		}
		r.changed.Wait()
	}
	return append([]outcome(nil), r.outcomes...)
}

func (r *recorder) messages() []*broker.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*broker.Message(nil), r.stored...)
}

// running is a node with its performer.
type running struct {
	*cluster.Node
	*recorder
	stop func() error // ends the node and returns what Run did
}

// run opens a node and waits until it is ready. It is stopped at the end of the test, if not before.
func run(t testing.TB, cfg cluster.Config) *running {
	t.Helper()
	return runWith(t, cfg, newRecorder())
}

func runWith(t testing.TB, cfg cluster.Config, r *recorder) *running {
	t.Helper()
	node, err := cluster.Open(cfg, quiet())
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- node.Run(ctx, r) }()
	stop := sync.OnceValue(func() error { cancel(); return <-result })
	t.Cleanup(func() { _ = stop() }) // tests that care look at it themselves
	select {
	case <-node.Ready():
	case err := <-result:
		t.Fatalf("run: %v", err)
	case <-time.After(waitMax):
		t.Fatal("node is not ready")
	}
	return &running{Node: node, recorder: r, stop: stop}
}

func sent(dest, body string) broker.Fact {
	return broker.MessageSent{Message: &broker.Message{Kind: broker.KindTopic, Dest: dest, Body: []byte(body), Text: true}}
}

// submit submits facts, one ticket each, whose Tags are tag-0, tag-1, ...
func (n *running) submit(t testing.TB, tag string, facts ...broker.Fact) {
	t.Helper()
	var encoded []byte
	var tickets []cluster.Ticket
	for i, f := range facts {
		encoded = broker.AppendFact(encoded, f)
		tickets = append(tickets, cluster.Ticket{Owner: n, Tag: fmt.Sprintf("%s-%d", tag, i), Aux: uint64(i)})
	}
	if err := n.Submit(context.Background(), encoded, tickets); err != nil {
		t.Fatalf("submit %s: %v", tag, err)
	}
}

func TestNode(t *testing.T) {
	t.Run("answers each fact in order with its seq", func(t *testing.T) {
		n := run(t, testConfig(t.TempDir()))
		n.submit(t, "a", sent("/topic/x", "one"), sent("/topic/y", "two"))
		n.submit(t, "b", sent("/topic/x", "three"))
		got := n.await(t, 3)
		for i, want := range []string{"a-0", "a-1", "b-0"} {
			if got[i].tag != want {
				t.Errorf("outcome %d = %s, want %s", i, got[i].tag, want)
			}
			if i > 0 && got[i].seq <= got[i-1].seq {
				t.Errorf("outcome %d has seq %d after %d", i, got[i].seq, got[i-1].seq)
			}
			if got[i].refusal != broker.RefusedNone {
				t.Errorf("outcome %d is refused: %v", i, got[i].refusal)
			}
		}
		if got, want := n.Applied(), got[2].seq; got != want {
			t.Errorf("applied = %d, want %d", got, want)
		}
		if err := n.stop(); err != nil {
			t.Errorf("run = %v, want nil", err)
		}
	})

	t.Run("goes on after a restart where it stopped", func(t *testing.T) {
		cfg := testConfig(t.TempDir())
		first := run(t, cfg)
		first.submit(t, "a", sent("/topic/x", "one"))
		seq := first.await(t, 1)[0].seq
		id, incarnation := first.ID(), first.Incarnation()
		if err := first.stop(); err != nil {
			t.Fatalf("first run: %v", err)
		}
		second := run(t, cfg)
		if got := second.ID(); got != id {
			t.Errorf("node = %v, want %v", got, id)
		}
		if got, want := second.Incarnation(), incarnation+1; got != want {
			t.Errorf("incarnation = %d, want %d", got, want)
		}
		m, err := second.Message(seq)
		if err != nil || string(m.Body) != "one" {
			t.Fatalf("message %d = %v, %v, want body one", seq, m, err)
		}
		if got := second.messages(); len(got) != 0 {
			t.Errorf("%d messages of the past were performed, want none", len(got))
		}
		second.submit(t, "b", sent("/topic/x", "two"))
		if got := second.await(t, 1)[0].seq; got <= seq {
			t.Errorf("seq after restart = %d, want above %d", got, seq)
		}
	})

	t.Run("refuses a second opener of its directory", func(t *testing.T) {
		cfg := testConfig(t.TempDir())
		run(t, cfg)
		_, err := cluster.Open(cfg, quiet())
		var locked *storage.LockedError
		if !errors.As(err, &locked) {
			t.Errorf("open = %v, want a LockedError", err)
		}
	})

	t.Run("takes nothing after it stopped", func(t *testing.T) {
		n := run(t, testConfig(t.TempDir()))
		if err := n.stop(); err != nil {
			t.Fatalf("run: %v", err)
		}
		err := n.Submit(context.Background(), broker.AppendFact(nil, sent("/topic/x", "late")), make([]cluster.Ticket, 1))
		if !errors.Is(err, cluster.ErrStopped) {
			t.Errorf("submit = %v, want ErrStopped", err)
		}
	})

	t.Run("leads at once when it is the only voter", func(t *testing.T) {
		cfg := testConfig(t.TempDir())
		cfg.RaftTimeout = time.Hour // an election by timeout would never come
		n := run(t, cfg)
		s := n.Status()
		if s.Role != "leader" || len(s.Members) != 1 || !s.Members[0].Voter || !s.Members[0].Leader {
			t.Errorf("status = %+v, want a leader that is its only member", s)
		}
	})

	t.Run("listens for other nodes where it is told to", func(t *testing.T) {
		cfg := testConfig(t.TempDir())
		cfg.Addr = "127.0.0.1:0"
		n := run(t, cfg)
		addr := n.Status().LeaderAddr
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatalf("dial %s: %v", addr, err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}

		busy := testConfig(t.TempDir())
		busy.Addr = addr
		other, err := cluster.Open(busy, quiet())
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Run(context.Background(), newRecorder()); err == nil || !strings.Contains(err.Error(), "listen") {
			t.Errorf("run at a busy address = %v, want a failure to listen", err)
		}
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
		n = run(t, cfg) // at another port: it is the same member
		if got := n.Status(); got.Role != "leader" || len(got.Members) != 1 {
			t.Errorf("status at another port = %+v, want the leader of one member", got)
		}
	})

	t.Run("is closed without having run", func(t *testing.T) {
		cfg := testConfig(t.TempDir())
		n, err := cluster.Open(cfg, quiet())
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := n.Close(); err != nil {
				t.Errorf("close = %v", err)
			}
		}
		run(t, cfg)
	})
}
