package cluster

// This file fits hashicorp/raft to what a node needs of consensus.

import (
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// raftEntriesMax is how many entries Raft takes together for one fsync and hands to the fold at once. An entry holds up to
	// BatchBytesMax of facts, so more would gain nothing, and Raft allocates lists of this length for each commit.
	raftEntriesMax = 256
	// raftCacheEntries are kept in memory for followers; their bytes are shared with the ring.
	raftCacheEntries = 512
	// raftCommitTimeout is when followers learn of a commit if no nudge came through.
	raftCommitTimeout = 50 * time.Millisecond
	raftRPCTimeout    = 3 * time.Second
	raftConnsMax      = 4 // idle connections to each node
)

// raftReplicator is hashicorp/raft with the safe transport.
//
// Goroutines: Raft's own and those of the transport, from startRaft to stop.
type raftReplicator struct {
	raft      *raft.Raft
	transport *safeTransport
	self      raft.ServerID
	changed   chan struct{} // of capacity 1
	ended     chan struct{} // closed when Raft has ended: what it has not answered then it never will
	orphaned  atomic.Int64  // since when no leader is known, in nanoseconds since the epoch; 0 while one is
}

var _ replicator = (*raftReplicator)(nil)

// raftConfig is how Raft runs here. RestoreCommittedLogs stays off: it can start with no members, or hang.
func raftConfig(cfg Config, id identity) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(id.Node)
	c.HeartbeatTimeout, c.ElectionTimeout = cfg.RaftTimeout, cfg.RaftTimeout
	c.LeaderLeaseTimeout = cfg.RaftTimeout * 2 / 3
	c.CommitTimeout = raftCommitTimeout
	c.MaxAppendEntries = raftEntriesMax
	c.BatchApplyCh = true
	c.ShutdownOnRemove = false
	c.NoSnapshotRestoreOnStart = true // the fold was restored from the store
	c.NoLegacyTelemetry = true
	// The log is kept whole, so Raft never asks for a snapshot to cut it by; tests do.
	c.SnapshotInterval = 24 * time.Hour
	c.SnapshotThreshold = math.MaxUint64
	c.TrailingLogs = math.MaxUint64
	if cfg.logKeep > 0 {
		c.SnapshotInterval, c.SnapshotThreshold, c.TrailingLogs = cfg.RaftTimeout, cfg.logKeep, cfg.logKeep
	}
	return c
}

// raftParts is what Raft is made of.
type raftParts struct {
	config    *raft.Config
	log       LogStore
	snapshots raft.SnapshotStore
	transport *safeTransport
	apply     func([]entry)
	snapshot  func() raft.FSMSnapshot
	restore   func() error
}

func startRaft(parts raftParts) (*raftReplicator, error) {
	cache, err := raft.NewLogCache(raftCacheEntries, parts.log)
	if err != nil {
		return nil, fmt.Errorf("start raft: %w", err)
	}
	r, err := raft.NewRaft(parts.config, &raftFold{apply: parts.apply, snapshot: parts.snapshot, restore: parts.restore}, cache, parts.log, parts.snapshots, parts.transport)
	if err != nil {
		return nil, fmt.Errorf("start raft: %w", err)
	}
	replicator := &raftReplicator{raft: r, transport: parts.transport, self: parts.config.LocalID, changed: make(chan struct{}, 1), ended: make(chan struct{})}
	replicator.orphaned.Store(time.Now().UnixNano())
	r.RegisterObserver(raft.NewObserver(nil, false, replicator.observe))
	return replicator, nil
}

// observe notes changes of the leader. Raft calls it as a filter; it lets nothing through, since nobody needs the observation itself.
func (r *raftReplicator) observe(o *raft.Observation) bool {
	if leader, ok := o.Data.(raft.LeaderObservation); ok {
		if leader.LeaderID != "" {
			r.orphaned.Store(0)
		} else {
			r.orphaned.CompareAndSwap(0, time.Now().UnixNano())
		}
		select {
		case r.changed <- struct{}{}:
		default: // one is told already
		}
	}
	return false
}

func (r *raftReplicator) changes() <-chan struct{} { return r.changed }

func (r *raftReplicator) answers(node string) uint64 { return r.transport.answers(raft.ServerID(node)) }

func (r *raftReplicator) transfer() outcome {
	transfer := r.raft.LeadershipTransfer()
	answerAtEnd(transfer, r.ended)
	return transfer
}

func (r *raftReplicator) propose(entry []byte) outcome {
	proposal := r.raft.ApplyLog(raft.Log{Data: entry}, 0)
	answerAtEnd(proposal, r.ended)
	return proposal
}

// answerAtEnd gives a call of Raft the channel that ends its waiting. Raft's futures have a field for it, which Raft fills in for some calls
// and not for those that wait in a queue: one that is there when Raft is shut down would keep whoever waits for it, for ever.
func answerAtEnd(call raft.Future, ended chan struct{}) {
	future := reflect.ValueOf(call)
	if future.Kind() != reflect.Pointer {
		return // refused at once
	}
	future.Elem().FieldByName("ShutdownCh").Set(reflect.ValueOf(ended))
}

func (r *raftReplicator) leadership() <-chan bool { return r.raft.LeaderCh() }

func (r *raftReplicator) campaign() error {
	voters, self := 0, false
	for _, s := range r.raft.GetConfiguration().Configuration().Servers {
		if s.Suffrage == raft.Voter {
			voters++
			self = self || s.ID == r.self
		}
	}
	if voters != 1 || !self {
		return nil
	}
	return r.transport.campaign()
}

func (r *raftReplicator) stand() error { return r.transport.campaign() }

func (r *raftReplicator) applied(index uint64) {
	if r.raft.State() == raft.Leader {
		r.transport.nudge(index)
	}
}

func (r *raftReplicator) resigned() { r.transport.forgetPeers() }

func (r *raftReplicator) standing() standing {
	addr, id := r.raft.LeaderWithID()
	s := standing{leader: string(id), leaderAddr: string(addr), term: r.raft.CurrentTerm(), lastIndex: r.raft.LastIndex()}
	if since := r.orphaned.Load(); since != 0 && s.leader == "" {
		s.orphaned = time.Since(time.Unix(0, since))
	}
	switch r.raft.State() {
	case raft.Leader:
		s.role = "leader"
	case raft.Candidate:
		s.role = "candidate"
	case raft.Follower:
		s.role = "follower"
	default:
		s.role = "stopped"
	}
	for _, m := range r.raft.GetConfiguration().Configuration().Servers {
		s.members = append(s.members, Member{ID: string(m.ID), Addr: string(m.Address), Voter: m.Suffrage == raft.Voter, Leader: m.ID == id})
	}
	return s
}

func (r *raftReplicator) stop() error {
	err := r.raft.Shutdown().Error()
	close(r.ended)
	return errors.Join(err, r.transport.Close())
}

// raftFold is the state machine that Raft sees. Raft calls it on one goroutine.
type raftFold struct {
	apply     func([]entry)
	snapshot  func() raft.FSMSnapshot
	restore   func() error
	entries   []entry
	responses []any // all nil: outcomes travel by tickets
}

var _ raft.BatchingFSM = (*raftFold)(nil)

// ApplyBatch takes committed entries in order, those that change the members among them.
func (f *raftFold) ApplyBatch(logs []*raft.Log) []any {
	f.entries = f.entries[:0]
	for _, l := range logs {
		kind := entryFacts
		if l.Type == raft.LogConfiguration {
			kind = entryConfig
		}
		f.entries = append(f.entries, entry{index: l.Index, term: l.Term, kind: kind, data: l.Data})
	}
	f.apply(f.entries)
	clear(f.entries) // lets go of the entries' bytes
	for len(f.responses) < len(logs) {
		f.responses = append(f.responses, nil)
	}
	return f.responses[:len(logs)]
}

// Apply takes one entry.
func (f *raftFold) Apply(l *raft.Log) any {
	f.ApplyBatch([]*raft.Log{l})
	return nil
}

// Snapshot lets Raft cut its log up to what the store holds.
func (f *raftFold) Snapshot() (raft.FSMSnapshot, error) { return f.snapshot(), nil }

// Restore takes over the state that the snapshot store has received; the source says nothing more.
func (f *raftFold) Restore(source io.ReadCloser) error {
	return errors.Join(f.restore(), source.Close())
}
