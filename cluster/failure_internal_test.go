package cluster

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"stampede/broker"
	"stampede/storage"
)

// failing is a Performer that panics at a message with the body "boom", and tells outcomes.
type failing struct {
	outcomes chan broker.Seq
	evicted  chan struct{}
}

func (f *failing) Outcome(_ Ticket, seq broker.Seq, _ broker.Refusal) { f.outcomes <- seq }
func (f *failing) Flush()                                             {}
func (f *failing) Unanswered(Ticket, bool)                            {}
func (f *failing) Evicted()                                           { f.evicted <- struct{}{} }
func (f *failing) Perform(fx *broker.Effects) {
	for _, e := range fx.List {
		if e.Message != nil && string(e.Message.Body) == "boom" {
			panic("performer went wrong")
		}
	}
}

// failingNode is a running node whose end is awaited.
type failingNode struct {
	*Node
	*failing
	log    *syncBuffer
	fatals chan error
	result chan error
	cancel context.CancelFunc
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func runFailing(t *testing.T, cfg Config) *failingNode {
	t.Helper()
	f := &failingNode{failing: &failing{outcomes: make(chan broker.Seq, 100), evicted: make(chan struct{}, 1)}, log: &syncBuffer{}, fatals: make(chan error, 1), result: make(chan error, 1)}
	cfg.Addr = ""
	cfg.Fatal = func(err error) { f.fatals <- err }
	node, err := Open(cfg, slog.New(slog.NewTextHandler(f.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	f.Node = node
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	go func() { f.result <- node.Run(ctx, f.failing) }()
	t.Cleanup(cancel)
	select {
	case <-node.Ready():
	case err := <-f.result:
		t.Fatalf("run: %v", err)
	}
	return f
}

func (f *failingNode) send(t *testing.T, body string) {
	t.Helper()
	facts := broker.AppendFact(nil, broker.MessageSent{Message: &broker.Message{Kind: broker.KindTopic, Dest: "/topic/x", Body: []byte(body)}})
	if err := f.Submit(context.Background(), facts, make([]Ticket, 1)); err != nil {
		t.Fatalf("submit %s: %v", body, err)
	}
}

// sendWhenTaken sends once a new incarnation has begun.
func (f *failingNode) sendWhenTaken(t *testing.T, body string) {
	t.Helper()
	facts := broker.AppendFact(nil, broker.MessageSent{Message: &broker.Message{Kind: broker.KindTopic, Dest: "/topic/x", Body: []byte(body)}})
	for {
		err := f.Submit(context.Background(), facts, make([]Ticket, 1))
		if err == nil {
			return
		}
		if !errors.Is(err, ErrEvicted) {
			t.Fatalf("submit %s: %v", body, err)
		}
		runtime.Gosched()
	}
}

func (f *failingNode) awaitEnd(t *testing.T) error {
	t.Helper()
	select {
	case err := <-f.result:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("node goes on")
		return nil
	}
}

func dirConfig(t *testing.T) Config {
	cfg := DefaultConfig()
	cfg.DataDir = t.TempDir()
	cfg.RingEventsMax = 1 << 10
	return cfg
}

func TestPanicOfTheFoldStopsTheNode(t *testing.T) {
	cfg := dirConfig(t)
	f := runFailing(t, cfg)
	f.send(t, "fine")
	seq := <-f.outcomes
	f.send(t, "boom")
	boom := <-f.outcomes
	err := f.awaitEnd(t)
	if err == nil || !strings.Contains(err.Error(), "seq 3") || boom != 3 || !strings.Contains(err.Error(), "MessageSent") {
		t.Errorf("run = %v, want seq %d and the kind MessageSent", err, boom)
	}
	if log := f.log.String(); !strings.Contains(log, "fold panicked") || !strings.Contains(log, "seq=3") || !strings.Contains(log, "kind=MessageSent") {
		t.Errorf("log = %s, want seq and kind of the event", log)
	}
	if err := f.Inspect(context.Background(), func(*broker.State) {}); !errors.Is(err, errFoldStopped) {
		t.Errorf("inspect afterwards = %v, want %v", err, errFoldStopped)
	}
	// Nothing of the broken fold reached the disk, and nothing that was acknowledged is gone.
	again := runFailing(t, cfg)
	for _, want := range []broker.Seq{seq, boom} {
		if m, err := again.Message(want); err != nil || m.Seq != want {
			t.Errorf("message %d after the restart = %v, %v", want, m, err)
		}
	}
	again.cancel()
	if err := again.awaitEnd(t); err != nil {
		t.Errorf("run = %v, want nil", err)
	}
}

func TestFailureOfTheLogStopsTheNode(t *testing.T) {
	f := runFailing(t, dirConfig(t))
	f.send(t, "fine")
	<-f.outcomes
	if err := f.Node.log.Close(); err != nil {
		t.Fatal(err)
	}
	f.send(t, "lost")
	if err := f.awaitEnd(t); err == nil || !strings.Contains(err.Error(), "append") {
		t.Errorf("run = %v, want the failed append", err)
	}
	if err := <-f.fatals; err == nil {
		t.Error("fatal was called without an error")
	}
	if n := len(f.outcomes); n != 0 {
		t.Errorf("%d outcomes of what is not on the disk, want none", n)
	}
}

func TestFailureOfTheStoreStopsTheNode(t *testing.T) {
	broken := errors.New("disk is broken")
	cfg := dirConfig(t)
	var mu sync.Mutex
	armed := false
	cfg.storeFault = func(op storage.Op, _ string) error {
		mu.Lock()
		defer mu.Unlock()
		if armed && op == storage.OpCommit {
			return broken
		}
		return nil
	}
	f := runFailing(t, cfg)
	f.send(t, "one")
	<-f.outcomes
	mu.Lock()
	armed = true
	mu.Unlock()
	f.send(t, "two")
	seq := <-f.outcomes
	if err := f.awaitEnd(t); !errors.Is(err, broken) {
		t.Errorf("run = %v, want %v", err, broken)
	}
	if err := <-f.fatals; !errors.Is(err, broken) {
		t.Errorf("fatal = %v, want %v", err, broken)
	}
	cfg.storeFault = nil
	again := runFailing(t, cfg)
	if m, err := again.Message(seq); err != nil || string(m.Body) != "two" {
		t.Errorf("message %d after the restart = %v, %v, want it from the log", seq, m, err)
	}
	again.cancel()
	if err := again.awaitEnd(t); err != nil {
		t.Errorf("run = %v, want nil", err)
	}
}

// A founding that was cut short by a crash is finished by the next start.
func TestFoundingGoesOnAfterACrash(t *testing.T) {
	cfg := dirConfig(t)
	n, err := Open(cfg, discard())
	if err != nil {
		t.Fatal(err)
	}
	if err := n.log.SetUint64([]byte("CurrentTerm"), 1); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	f := runFailing(t, cfg)
	f.send(t, "fine")
	<-f.outcomes
	if got := f.Status().Term; got < 2 {
		t.Errorf("term = %d, want above the founding's", got)
	}
	f.cancel()
	if err := f.awaitEnd(t); err != nil {
		t.Errorf("run = %v, want nil", err)
	}
}

// A node that the cluster gave up tells so, and goes on as a new incarnation of itself.
func TestNodeThatWasGivenUpBeginsAnew(t *testing.T) {
	f := runFailing(t, dirConfig(t))
	before := f.Incarnation()
	f.proposeOwn(broker.NodeLost{Node: f.ID(), Incarnation: before})
	<-f.failing.evicted
	for f.Incarnation() == before { // begun by another goroutine, after the disk has it
		runtime.Gosched()
	}
	if got := f.Incarnation(); got != before+1 {
		t.Errorf("incarnation = %d, want %d", got, before+1)
	}
	if err := f.SubmitAs(context.Background(), before, []byte{0}, make([]Ticket, 1)); !errors.Is(err, ErrEvicted) {
		t.Errorf("submit for the ended incarnation = %v, want %v", err, ErrEvicted)
	}
	f.sendWhenTaken(t, "fine")
	<-f.outcomes
	f.cancel()
	if err := f.awaitEnd(t); err != nil {
		t.Errorf("run = %v, want nil", err)
	}
	again := runFailing(t, f.cfg)
	if got := again.Incarnation(); got != before+2 {
		t.Errorf("incarnation after a restart = %d, want %d", got, before+2)
	}
	again.cancel()
	if err := again.awaitEnd(t); err != nil {
		t.Errorf("run = %v, want nil", err)
	}
}

// Commands that were under way when the leadership went are in the log once, in order, when it is back.
func TestRepeatAfterLostLeadershipTakesEffectOnce(t *testing.T) {
	f := runFailing(t, dirConfig(t))
	for i := range 50 {
		f.send(t, "x")
		if i%10 == 5 {
			f.proposer.connect(ownRoute{f.Node}) // proposes all again that the fold has not answered
		}
	}
	last := broker.Seq(0)
	for i := range 50 {
		seq := <-f.outcomes
		if i > 0 && seq != last+1 {
			t.Errorf("outcome %d has seq %d after %d", i, seq, last)
		}
		last = seq
	}
	f.cancel()
	if err := f.awaitEnd(t); err != nil {
		t.Errorf("run = %v, want nil", err)
	}
	report, err := Verify(context.Background(), f.cfg.DataDir, nil)
	if err != nil || report.Err() != nil || report.Messages != 50 {
		t.Errorf("verify = %+v, %v, want 50 messages", report, err)
	}
}
