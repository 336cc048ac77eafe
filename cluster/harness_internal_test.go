package cluster

// This file holds a few Raft nodes in memory, for the tests of the transport.

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// recordingFSM keeps what Raft applied, as index/term:data.
type recordingFSM struct {
	mu      sync.Mutex
	applied []string
	last    uint64
	onApply func(index uint64)
}

func (f *recordingFSM) Apply(l *raft.Log) any {
	f.mu.Lock()
	data := string(l.Data)
	if len(data) > 32 {
		data = fmt.Sprintf("%d bytes", len(data))
	}
	f.applied = append(f.applied, fmt.Sprintf("%d/%d:%s", l.Index, l.Term, data))
	f.last = l.Index
	f.mu.Unlock()
	if f.onApply != nil {
		f.onApply(l.Index)
	}
	return nil
}

func (f *recordingFSM) Snapshot() (raft.FSMSnapshot, error) { return nil, errNotReceived }
func (f *recordingFSM) Restore(io.ReadCloser) error         { return errNotReceived }

func (f *recordingFSM) all() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.applied)
}

// slowStore delays its first append and remembers the largest one.
type slowStore struct {
	*raft.InmemStore
	delay time.Duration
	once  sync.Once
	mu    sync.Mutex
	most  int // bytes
}

func (s *slowStore) StoreLogs(logs []*raft.Log) error {
	s.once.Do(func() { time.Sleep(s.delay) })
	bytes := 0
	for _, l := range logs {
		bytes += len(l.Data)
	}
	s.mu.Lock()
	s.most = max(s.most, bytes)
	s.mu.Unlock()
	return s.InmemStore.StoreLogs(logs)
}

func (s *slowStore) largest() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

// peer is one Raft node of a test, all in memory.
type peer struct {
	id    string
	inmem *raft.InmemTransport
	safe  *safeTransport // nil: Raft has the bare transport
	store *slowStore
	fsm   *recordingFSM
	raft  *raft.Raft
}

// harness is a few peers whose stores were filled before they start.
type harness struct {
	safe          bool
	commitTimeout time.Duration
	peers         map[string]*peer
	order         []string
}

func newHarness(safe bool, ids ...string) *harness {
	h := &harness{safe: safe, commitTimeout: raftCommitTimeout, peers: make(map[string]*peer), order: ids}
	for _, id := range ids {
		_, inmem := raft.NewInmemTransport(raft.ServerAddress(id))
		h.peers[id] = &peer{id: id, inmem: inmem, store: &slowStore{InmemStore: raft.NewInmemStore()}, fsm: &recordingFSM{}}
	}
	for _, p := range h.peers {
		for _, other := range h.peers {
			p.inmem.Connect(raft.ServerAddress(other.id), other.inmem)
		}
	}
	return h
}

// fill writes a configuration of all peers as entry 1 and commands up to last, all of term 1.
func (h *harness) fill(id string, last uint64, data func(index uint64) string) {
	var members raft.Configuration
	for _, m := range h.order {
		members.Servers = append(members.Servers, raft.Server{ID: raft.ServerID(m), Address: raft.ServerAddress(m)})
	}
	logs := []*raft.Log{{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(members)}}
	for i := uint64(2); i <= last; i++ {
		logs = append(logs, &raft.Log{Index: i, Term: 1, Type: raft.LogCommand, Data: []byte(data(i))})
	}
	p := h.peers[id]
	_ = p.store.InmemStore.StoreLogs(logs) // in memory: never fails
	_ = p.store.SetUint64([]byte("CurrentTerm"), 1)
}

func (h *harness) start(t *testing.T) {
	t.Helper()
	for _, id := range h.order {
		p := h.peers[id]
		config := raftConfig(DefaultConfig(), identity{Node: id})
		config.CommitTimeout = h.commitTimeout
		config.HeartbeatTimeout, config.ElectionTimeout, config.LeaderLeaseTimeout = 10*time.Second, 10*time.Second, 10*time.Second
		config.Logger = hclog.NewNullLogger()
		var transport raft.Transport = p.inmem
		if h.safe {
			p.safe = newSafeTransport(p.inmem)
			p.fsm.onApply = func(index uint64) {
				if p.raft.State() == raft.Leader {
					p.safe.nudge(index)
				}
			}
			transport = p.safe
		}
		var err error
		if p.raft, err = raft.NewRaft(config, p.fsm, p.store, p.store, raft.NewInmemSnapshotStore(), transport); err != nil {
			t.Fatalf("start %s: %v", id, err)
		}
	}
}

func (h *harness) stop(t *testing.T) {
	t.Helper()
	for _, id := range h.order {
		p := h.peers[id]
		if err := p.raft.Shutdown().Error(); err != nil {
			t.Errorf("stop %s: %v", id, err)
		}
		if p.safe != nil {
			if err := p.safe.Close(); err != nil {
				t.Errorf("close transport of %s: %v", id, err)
			}
		}
	}
}

// elect makes id stand for election, as another node would by handing over.
func (h *harness) elect(t *testing.T, id string) {
	t.Helper()
	_, driver := raft.NewInmemTransport("driver")
	driver.Connect(raft.ServerAddress(id), h.peers[id].inmem)
	request := raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}}
	if err := driver.TimeoutNow(raft.ServerID(id), raft.ServerAddress(id), &request, &raft.TimeoutNowResponse{}); err != nil {
		t.Fatalf("elect %s: %v", id, err)
	}
}

// eachTransport runs a test with the bare and with the safe transport, in fake time.
func eachTransport(t *testing.T, test func(t *testing.T, safe bool)) {
	for _, safe := range []bool{false, true} {
		name := map[bool]string{false: "bare", true: "safe"}[safe]
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { test(t, safe) }) })
	}
}

func plain(index uint64) string { return fmt.Sprint("entry ", index) }
