package cluster

// This file holds Raft's view of the store: its position looks like a snapshot, so that a start replays only what follows, and the store
// itself is what is streamed to a follower that is too far behind for the log.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"stampede/storage"
)

const (
	// snapshotPace is how fast a state is streamed: the leader's disk and network have other work.
	snapshotPace = 64 << 20 // bytes a second
	// snapshotSyncTimeout is how long Raft waits for the store before it cuts its log another time.
	snapshotSyncTimeout = 30 * time.Second
)

// errNotReceived says that Raft asks for a snapshot to be restored that did not come.
var errNotReceived = errors.New("no such snapshot was received")

// stateSnapshots is a raft.SnapshotStore that keeps no files: List names the place that the store has reached, Open streams the store,
// Create receives one beside it.
type stateSnapshots struct {
	states *states
	disk   Disk

	mu       sync.Mutex
	received *raft.SnapshotMeta // waits to be taken over; guarded by mu
	stats    SnapshotStats      // guarded by mu
}

// SnapshotStats count the states that were sent and received as a whole.
type SnapshotStats struct{ Sent, SentBytes, Received, ReceivedBytes uint64 }

var _ raft.SnapshotStore = (*stateSnapshots)(nil)

func metaOf(pos storage.Position, size int64) *raft.SnapshotMeta {
	return &raft.SnapshotMeta{
		Version:            raft.SnapshotVersionMax,
		ID:                 snapshotID(pos.Index, pos.Term),
		Index:              pos.Index,
		Term:               pos.Term,
		Configuration:      raft.DecodeConfiguration(pos.Config),
		ConfigurationIndex: pos.ConfigIndex,
		Size:               size,
	}
}

func snapshotID(index, term uint64) string { return fmt.Sprintf("%d-%d", term, index) }

// List names the one place there is, none for an empty store.
func (s *stateSnapshots) List() ([]*raft.SnapshotMeta, error) {
	pos := s.states.now().Position()
	if pos.Index == 0 {
		return nil, nil
	}
	return []*raft.SnapshotMeta{metaOf(pos, 0)}, nil
}

// Open streams the state as it is now, with the place that belongs to it, whatever place was listed; or tells of the one that was received.
func (s *stateSnapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	s.mu.Lock()
	received := s.received
	s.mu.Unlock()
	if received != nil && received.ID == id {
		return received, io.NopCloser(new(emptyReader)), nil
	}
	out, err := s.states.now().Snapshot(snapshotPace)
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	s.stats.Sent++
	s.stats.SentBytes += uint64(out.Size)
	s.mu.Unlock()
	return metaOf(out.Position, out.Size), out.ReadCloser, nil
}

// emptyReader stands for a state that is on this disk already.
type emptyReader struct{}

func (*emptyReader) Read([]byte) (int, error) { return 0, io.EOF }

// Create makes room for a state from elsewhere. Raft also asks for it when it wants to cut its own log: then nothing is written to it.
func (s *stateSnapshots) Create(_ raft.SnapshotVersion, index, term uint64, members raft.Configuration, membersIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	return &stateSink{snapshots: s, meta: raft.SnapshotMeta{
		Version: raft.SnapshotVersionMax, ID: snapshotID(index, term), Index: index, Term: term, Configuration: members, ConfigurationIndex: membersIndex,
	}}, nil
}

// take gives the snapshot that Raft wants restored to the caller, once.
func (s *stateSnapshots) take() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.received == nil {
		return errNotReceived
	}
	s.received = nil
	return nil
}

func (s *stateSnapshots) figures() SnapshotStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// stateSink receives a state. Raft writes on its main loop: heart-beats wait as long, which is why what sends it is paced and large ones are rare.
type stateSink struct {
	snapshots *stateSnapshots
	meta      raft.SnapshotMeta
	in        Incoming // nil before the first write
}

var _ raft.SnapshotSink = (*stateSink)(nil)

func (s *stateSink) ID() string { return s.meta.ID }

func (s *stateSink) Write(b []byte) (int, error) {
	if s.in == nil {
		in, err := s.snapshots.disk.Receive()
		if err != nil {
			return 0, err
		}
		s.in = in
	}
	n, err := s.in.Write(b)
	s.meta.Size += int64(n)
	return n, err
}

// Close returns once all of the state is checked and on disk, and is of the place that was announced.
func (s *stateSink) Close() error {
	if s.in == nil {
		return nil
	}
	in := s.in
	s.in = nil
	pos, err := in.Finish()
	if err != nil {
		return err
	}
	if pos.Index != s.meta.Index || pos.Term != s.meta.Term {
		return fmt.Errorf("snapshot is of index %d and term %d, announced were %d and %d", pos.Index, pos.Term, s.meta.Index, s.meta.Term)
	}
	s.snapshots.mu.Lock()
	defer s.snapshots.mu.Unlock()
	s.snapshots.received = &s.meta
	s.snapshots.stats.Received++
	s.snapshots.stats.ReceivedBytes += uint64(s.meta.Size)
	return nil
}

func (s *stateSink) Cancel() error {
	if s.in == nil {
		return nil
	}
	in := s.in
	s.in = nil
	return in.Abort()
}

// statePersisted lets Raft cut its log: the store has to be as far as the log is cut, and needs nothing written for that.
type statePersisted struct{ node *Node }

var _ raft.FSMSnapshot = statePersisted{}

func (p statePersisted) Persist(sink raft.SnapshotSink) error {
	p.node.fold.takePosition()
	ctx, cancel := context.WithTimeout(context.Background(), snapshotSyncTimeout)
	defer cancel()
	if err := p.node.states.now().Sync(ctx); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

func (statePersisted) Release() {}
