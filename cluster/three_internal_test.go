package cluster

// This file holds a cluster of three nodes in one process, over loopback and in folders of the test, for tests of what goes on between them.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"stampede/broker"
	"stampede/internal/loopback"
	"stampede/storage"
)

// told keeps what a node's performer is told.
type told struct {
	mu       sync.Mutex
	outcomes map[string]broker.Seq // by tag
	stored   []string              // bodies, in order
	lost     []broker.NodeID
	evicted  int
	changed  chan struct{} // closed and replaced at each change
}

func newTold() *told {
	return &told{outcomes: make(map[string]broker.Seq), changed: make(chan struct{})}
}

func (p *told) change(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fn()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *told) Outcome(t Ticket, seq broker.Seq, _ broker.Refusal) {
	p.change(func() { p.outcomes[t.Tag] = seq })
}
func (p *told) Unanswered(Ticket, bool) {}
func (p *told) Evicted()                { p.change(func() { p.evicted++ }) }
func (p *told) Flush()                  {}
func (p *told) Perform(fx *broker.Effects) {
	for _, e := range fx.List {
		switch e.Kind {
		case broker.EffectStored:
			p.change(func() { p.stored = append(p.stored, string(e.Message.Body)) })
		case broker.EffectNodeLost:
			p.change(func() { p.lost = append(p.lost, e.Node) })
		}
	}
}

// await waits until what was told fulfils ok.
func (p *told) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		p.mu.Lock()
		done, changed := ok(), p.changed
		p.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("no %s", what)
		}
	}
}

// running is one node of a test.
type running struct {
	*Node
	*told
	cfg    Config
	cancel context.CancelFunc
	result chan error
}

// threeConfigs are founders whose logs have files of so many bytes, 0 for the usual.
func threeConfigs(t *testing.T, segment int) []Config {
	t.Helper()
	addrs := loopback.Addrs(t, 3)
	cfgs := make([]Config, 3)
	var servers []raft.Server
	now := time.Now()
	ids := make([]identity, 3)
	for i := range cfgs {
		cfgs[i] = dirConfig(t)
		cfgs[i].Addr = addrs[i]
		cfgs[i].logSegment = segment
		cfgs[i].Name = fmt.Sprint("n", i+1)
		cfgs[i].RaftTimeout = 150 * time.Millisecond
		cfgs[i].Fatal = func(err error) { t.Errorf("disk: %v", err) }
		var err error
		if ids[i], err = newIdentity(now); err != nil {
			t.Fatal(err)
		}
		if err := ids[0].mintCluster(now); err != nil {
			t.Fatal(err)
		}
	}
	for i := range cfgs {
		ids[i].cluster, ids[i].Cluster = ids[0].cluster, ids[0].Cluster
		ids[i].Founded = true
		servers = append(servers, raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(ids[i].Node), Address: raft.ServerAddress(addrs[i])})
	}
	first := raft.Log{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(raft.Configuration{Servers: servers})}
	for i := range cfgs {
		if err := beginLog(cfgs[i], ids[i], first); err != nil {
			t.Fatal(err)
		}
	}
	return cfgs
}

func beginLog(cfg Config, id identity, first raft.Log) error {
	disk, log, err := func() (*DirDisk, LogStore, error) {
		disk, err := OpenDir(cfg.DataDir)
		if err != nil {
			return nil, nil, err
		}
		if err := id.save(disk); err != nil {
			return disk, nil, err
		}
		log, err := disk.OpenLog(storage.LogOptions{SegmentBytes: cfg.logSegment, Logger: slog.New(slog.DiscardHandler)})
		return disk, log, err
	}()
	if err != nil {
		return err
	}
	return errors.Join(log.SetUint64([]byte("CurrentTerm"), first.Term), log.StoreLog(&first), log.Close(), disk.Close())
}

func startNode(t *testing.T, cfg Config) *running {
	t.Helper()
	node, err := Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Node: node, told: newTold(), cfg: cfg, result: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.result <- node.Run(ctx, r.told) }()
	return r
}

func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	select {
	case err := <-r.result:
		if err != nil {
			t.Errorf("run %s = %v, want nil", r.cfg.Name, err)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("%s does not stop", r.cfg.Name)
	}
}

func (r *running) awaitReady(t *testing.T) {
	t.Helper()
	select {
	case <-r.Ready():
	case err := <-r.result:
		t.Fatalf("run %s: %v", r.cfg.Name, err)
	case <-time.After(30 * time.Second):
		t.Fatalf("%s is not ready: %+v", r.cfg.Name, r.Status())
	}
}

func (r *running) send(t *testing.T, body string) {
	t.Helper()
	facts := broker.AppendFact(nil, broker.MessageSent{Message: &broker.Message{Kind: broker.KindTopic, Dest: "/topic/x", Body: []byte(body)}})
	if err := r.Submit(context.Background(), facts, []Ticket{{Tag: body}}); err != nil {
		t.Fatalf("submit %s to %s: %v", body, r.cfg.Name, err)
	}
}

func startThree(t *testing.T) []*running {
	t.Helper()
	var nodes []*running
	for _, cfg := range threeConfigs(t, 0) {
		nodes = append(nodes, startNode(t, cfg))
	}
	for _, n := range nodes {
		n.awaitReady(t)
	}
	return nodes
}

// leaderOf gives the node that leads, and the others.
func leaderOf(nodes []*running) (leader *running, followers []*running) {
	for _, n := range nodes {
		if n.leads.Load() {
			leader = n
		} else {
			followers = append(followers, n)
		}
	}
	return leader, followers
}

// awaitLeader waits until one of the nodes leads.
func awaitLeader(t *testing.T, nodes []*running) (leader *running, followers []*running) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if leader, followers = leaderOf(nodes); leader != nil {
			return leader, followers
		}
		<-time.After(time.Millisecond)
	}
	t.Fatal("nobody leads")
	return nil, nil
}

// wantSame compares what two nodes were given, once both have all of it.
func wantSame(t *testing.T, nodes []*running, messages int) {
	t.Helper()
	for _, n := range nodes {
		n.await(t, fmt.Sprintf("%d messages at %s", messages, n.cfg.Name), func() bool { return len(n.stored) >= messages })
	}
	for _, n := range nodes {
		n.mu.Lock()
		if got, want := fmt.Sprint(n.stored), fmt.Sprint(nodes[0].stored); got != want {
			t.Errorf("%s was given %s, %s was given %s", n.cfg.Name, got, nodes[0].cfg.Name, want)
		}
		n.mu.Unlock()
	}
}
