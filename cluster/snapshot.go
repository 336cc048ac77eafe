package cluster

// This file holds Raft's view of the store: its position looks like a snapshot, so that a start replays only what follows, and the store
// itself is what is streamed to a follower that is too far behind for the log. How one comes in is in arrivals.go.

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

var (
	// errNotReceived says that Raft asks for a snapshot to be restored, or writes one, that did not come through arrivals.
	errNotReceived = errors.New("no such snapshot was received")
	// errNotDurable says that the store is not as far as the log is to be cut.
	errNotDurable = errors.New("state is not on disk up to there")
)

// stateSnapshots is a raft.SnapshotStore that keeps no files: List names the place that the store has reached, Open streams the store. What
// Raft installs was received before it heard of it, so Create has nothing to write.
type stateSnapshots struct {
	states   *states
	arrivals *arrivals

	mu      sync.Mutex // guards all below
	pace    int64      // bytes a second
	stop    context.CancelFunc
	sending context.Context // of all that is being streamed
	closed  bool
	stats   SnapshotStats
}

// SnapshotStats count states that travelled. Bytes count as they pass, those of streams that were broken off among them.
type SnapshotStats struct {
	Sending, Receiving       int    // at present
	Sent, Received           uint64 // whole ones; those received were also taken over
	SentBytes, ReceivedBytes uint64
	Broken                   uint64 // of both kinds: broken off, or wrong, or not needed any more when they had come
}

var _ raft.SnapshotStore = (*stateSnapshots)(nil)

func newStateSnapshots(states *states, arrivals *arrivals) *stateSnapshots {
	s := &stateSnapshots{states: states, arrivals: arrivals, pace: snapshotPace}
	s.sending, s.stop = context.WithCancel(context.Background())
	return s
}

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
// Raft calls it for each follower that needs one, on a goroutine that serves this follower alone.
func (s *stateSnapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	if a := s.arrivals.whole(); a != nil && snapshotID(a.position.Index, a.position.Term) == id {
		return metaOf(a.position, 0), io.NopCloser(new(emptyReader)), nil
	}
	s.mu.Lock()
	ctx, pace, closed := s.sending, s.pace, s.closed
	s.mu.Unlock()
	if closed {
		return nil, nil, ErrStopped
	}
	out, err := s.states.now().Snapshot(ctx, pace)
	if err != nil {
		return nil, nil, err
	}
	s.count(func(st *SnapshotStats) { st.Sending++ })
	return metaOf(out.Position, out.Size), &sending{Outgoing: out, snapshots: s}, nil
}

// breakOff ends all that is being streamed; what it was streamed from may be closed then.
func (s *stateSnapshots) breakOff() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop()
	if !s.closed {
		s.sending, s.stop = context.WithCancel(context.Background())
	}
}

// close breaks off and lets nothing more be streamed: a node that stops must not wait until a state has been sent.
func (s *stateSnapshots) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.breakOff()
}

func (s *stateSnapshots) count(change func(*SnapshotStats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.stats)
}

// figures are the SnapshotStats, those of what comes in among them.
func (s *stateSnapshots) figures() SnapshotStats {
	s.mu.Lock()
	stats := s.stats
	s.mu.Unlock()
	s.arrivals.figures(&stats)
	return stats
}

// sending is a state on its way to a follower.
type sending struct {
	Outgoing
	snapshots *stateSnapshots
	passed    int64
	once      sync.Once
}

func (s *sending) Read(b []byte) (int, error) {
	n, err := s.Outgoing.Read(b)
	s.passed += int64(n)
	s.snapshots.count(func(st *SnapshotStats) { st.SentBytes += uint64(n) })
	return n, err
}

func (s *sending) Close() error {
	s.once.Do(func() {
		s.snapshots.count(func(st *SnapshotStats) {
			st.Sending--
			if s.passed == s.Size {
				st.Sent++
			} else {
				st.Broken++
			}
		})
	})
	return s.Outgoing.Close()
}

// emptyReader stands for a state that is on this disk already.
type emptyReader struct{}

func (*emptyReader) Read([]byte) (int, error) { return 0, io.EOF }

// Create is asked for when a snapshot is to be installed, which is here already, and when Raft wants to cut its log: then the store itself is
// the snapshot.
func (s *stateSnapshots) Create(_ raft.SnapshotVersion, index, term uint64, _ raft.Configuration, _ uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	return stateSink{snapshotID(index, term)}, nil
}

// stateSink takes nothing.
type stateSink struct{ id string }

var _ raft.SnapshotSink = stateSink{}

func (s stateSink) ID() string              { return s.id }
func (stateSink) Write([]byte) (int, error) { return 0, errNotReceived }
func (stateSink) Close() error              { return nil }
func (stateSink) Cancel() error             { return nil }

// persist is what Raft calls before it cuts its log, on the goroutine of the fold.
func (n *Node) persist() raft.FSMSnapshot { return statePersisted{n, n.fold.index.Load()} }

// statePersisted lets Raft cut its log: the store has to be as far as the log is cut, and needs nothing written for that.
type statePersisted struct {
	node  *Node
	index uint64
}

var _ raft.FSMSnapshot = statePersisted{}

func (p statePersisted) Persist(sink raft.SnapshotSink) error {
	p.node.fold.takePosition()
	ctx, cancel := context.WithTimeout(context.Background(), snapshotSyncTimeout)
	defer cancel()
	if err := p.node.states.now().Sync(ctx); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	if got := p.node.states.now().Position().Index; got < p.index {
		return errors.Join(fmt.Errorf("%w: it is at index %d, the log is to be cut at %d", errNotDurable, got, p.index), sink.Cancel())
	}
	return sink.Close()
}

func (statePersisted) Release() {}
