package cluster

// This file holds the node: how it opens, runs and stops.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"stampede/broker"
	"stampede/storage"
)

const (
	tickInterval = 250 * time.Millisecond // how often the leader looks whether something is due: TimeAdvanced is proposed four times a second at most
	drainTimeout = time.Second            // how long a stop waits for outcomes that are on their way
)

// Ticket waits for the outcome of one submitted fact. Owner is a pointer: putting one in an interface allocates nothing.
type Ticket struct {
	Owner any
	Tag   string
	Kind  uint8
	Aux   uint64
	// Lasting says that the fact stays in line however long there is no leader, since it tells what has happened: the end of a session, say.
	// Others leave after answerWait, and were then never submitted.
	Lasting bool
}

// Performer performs what the fold decides, for the sessions of this node. All calls come one at a time, under the lock of the fold, and must not block.
// They may use Submit only with a context that has ended or ends soon, since the fold is what makes room, and may not use Inspect, which
// waits for the fold; everything that reads is allowed. Calls begin with the node's own NodeStarted; what the log held before that is
// folded in silence.
type Performer interface {
	// Outcome tells that an own fact took effect at seq (its first Seq), or was refused there. It comes before Perform of the same event.
	Outcome(t Ticket, seq broker.Seq, refusal broker.Refusal)
	// Perform brings the effects of one event, for all nodes: the performer picks its own. fx is valid during the call.
	Perform(fx *broker.Effects)
	// Flush ends a batch of entries.
	Flush()
	// Unanswered tells, instead of Outcome, that the outcome of an own fact will not be known: if it is in doubt it may be in the log, or come
	// into it; otherwise it is not and will not be.
	Unanswered(t Ticket, inDoubt bool)
	// Evicted tells that the incarnation under which this node's sessions were opened has ended: the cluster gave it up, or the node took over
	// a state that it did not fold itself. They must be closed. Incarnation changes when the next one begins; until then Submit refuses.
	Evicted()
}

// Node is one member of a cluster.
//
// Goroutines, all from Run: runDelays (proposer), runRoute, runTicks, runAnswers, runRebirth, runPositions, runAnnounce, awaitEnd, the store's flusher,
// the questions to seeds (askStatus), the streams of submissions, the calls of Doubted, and those of Raft and its transport.
type Node struct {
	cfg    Config
	self   identities
	logger *slog.Logger
	start  time.Time
	disk   Disk
	log    LogStore
	states states
	clock  *clock
	port   *peerPort // nil for a node that stays alone; set by Run

	proposer *proposer
	fold     *fold
	ring     *ring

	consensus atomic.Pointer[consensus] // set by Run
	leads     atomic.Bool
	forwards  forwards
	mesh      *mesh
	arrivals  *arrivals
	snapshots *stateSnapshots
	watcher   Watcher // nil: nobody asks; set by Run
	doubt     doubt
	admitting sync.Mutex             // held by the one admission under way
	waiting   atomic.Pointer[string] // what keeps the node out of its cluster, for people; nil when nothing does
	running   atomic.Bool
	closed    atomic.Bool
	answers   chan outcome // of capacity 1: a proposal that should long have been committed

	failOnce sync.Once
	failed   chan struct{} // closed once failure is set
	ended    chan struct{} // closed once no outcome comes any more
	failure  error
}

// consensus boxes the interface for an atomic pointer.
type consensus struct{ replicator }

// Open takes the data directory, makes or reads the node's identity, and restores the state as far as the store has it. It starts nothing.
func Open(cfg Config, logger *slog.Logger) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("open node: %w", err)
	}
	n := &Node{
		cfg: cfg, logger: logger.With("component", "cluster"), start: time.Now(), clock: newClock(systemSource()),
		answers: make(chan outcome, 1), failed: make(chan struct{}), ended: make(chan struct{}),
	}
	n.mesh = newMesh(n)
	if n.disk = cfg.Disk; n.disk == nil {
		dir, err := OpenDir(cfg.DataDir)
		if err != nil {
			return nil, fmt.Errorf("open node: %w", err)
		}
		n.disk = dir
	}
	n.arrivals = &arrivals{disk: n.disk, options: n.storeOptions, has: n.has, term: n.raftTerm}
	n.snapshots = newStateSnapshots(&n.states, n.arrivals)
	if err := n.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open node: %w", err), n.Close())
	}
	n.logger.Info("node opened", "node", n.self.now().Node, "cluster", n.self.now().Cluster, "incarnation", n.self.now().Incarnation,
		"seq", n.fold.applied.Load(), "index", n.fold.index.Load(), "took", time.Since(n.start))
	return n, nil
}

func (n *Node) open() error {
	id, err := readIdentity(n.disk)
	if errors.Is(err, fs.ErrNotExist) {
		id, err = newIdentity(time.Now())
	}
	if err != nil {
		return err
	}
	id.Incarnation++ // on disk before anything is said under it
	if err := n.self.open(id, n.disk); err != nil {
		return err
	}
	if n.log, err = n.disk.OpenLog(storage.LogOptions{
		SegmentBytes: n.cfg.logSegment, StallTimeout: n.cfg.StallTimeout, Fatal: n.fatal, Logger: n.logger,
	}); err != nil {
		return err
	}
	store, err := n.openStore()
	if err != nil {
		return err
	}
	n.states.set(store)
	if err := n.checkLog(); err != nil {
		return err
	}
	return n.restore()
}

// restore brings the state to where the store has it.
func (n *Node) restore() error {
	state, err := restoreState(n.states.now())
	if err != nil {
		return err
	}
	n.ring = newRing(n.cfg.RingEventsMax, n.cfg.RingBytesMax, state.Next())
	n.proposer = newProposer(n.cfg, *n.self.now())
	n.fold = newFold(*n.self.now(), state, n.states.now().Position(), n.states.now(), n.ring, n.proposer, n.logger, n.fail)
	n.proposer.uptime = n.uptime
	n.proposer.mayPropose = func() bool { return !n.states.now().Full() }
	n.proposer.announce(n.firstFact())
	return nil
}

func (n *Node) name() string {
	if n.cfg.Name == "" {
		return n.self.now().Node
	}
	return n.cfg.Name
}

// restoreState folds nothing: it reads the records that the store has. A new state starts with the default limits; others come by the log.
func restoreState(store StateStore) (*broker.State, error) {
	if store.Position().Index == 0 {
		return broker.New(broker.DefaultLimits()), nil
	}
	state, err := broker.Restore(broker.DefaultLimits(), store.Records())
	if err != nil {
		return nil, fmt.Errorf("restore state: %w", err)
	}
	pos := store.Position()
	if seq := uint64(state.Next() - 1); seq != pos.Seq {
		return nil, fmt.Errorf("restore state: records are at seq %d, position is at %d", seq, pos.Seq)
	}
	if digest := state.Digest(); digest != pos.Digest {
		return nil, fmt.Errorf("restore state: records have digest %016x, position has %016x", digest, pos.Digest)
	}
	return state, nil
}

// Close gives back what Open took, for a node that does not Run. Run closes itself; closing again does nothing.
func (n *Node) Close() error {
	var errs []error
	if n.closed.Swap(true) {
		return nil
	}
	if store := n.states.now(); store != nil {
		errs = append(errs, store.Close())
	}
	if n.log != nil {
		errs = append(errs, n.log.Close())
	}
	if n.disk != nil {
		errs = append(errs, n.disk.Close())
	}
	return errors.Join(errs...)
}

// Run takes part in the cluster until ctx ends or the node fails, and closes it. It is called once.
func (n *Node) Run(ctx context.Context, p Performer) error {
	if !n.running.CompareAndSwap(false, true) {
		return errors.New("run node: it ran already")
	}
	n.fold.perform(p)
	n.mesh.receiver, _ = p.(Receiver)
	n.watcher, _ = p.(Watcher)
	n.doubt.start = n.start
	if d, ok := p.(Doubter); ok && n.cfg.Addr != "" {
		n.doubt.begin(d.Doubted)
	}
	n.states.startFlusher(n.fail)

	err := n.takePart(ctx)

	n.proposer.stop()
	n.snapshots.close()
	if c := n.consensus.Load(); c != nil {
		err = errors.Join(err, c.stop())
	}
	if n.port != nil {
		err = errors.Join(err, n.port.Close())
	}
	close(n.ended)
	n.fold.takePosition()
	err = errors.Join(err, n.states.stopFlusher(), n.Close())
	n.logger.Info("node stopped", "seq", n.fold.applied.Load(), "index", n.fold.index.Load())
	return err
}

// takePart starts Raft and runs the node's duties until ctx ends or one of them fails.
func (n *Node) takePart(ctx context.Context) error {
	if err := n.listen(); err != nil {
		return err
	}
	replicator, err := n.startConsensus(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil // it was told to end before it had a cluster
		}
		return err
	}
	n.consensus.Store(&consensus{replicator})
	if n.port != nil {
		n.port.handle(streamForward, n.takeForward)
	}
	if err := replicator.campaign(); err != nil {
		return err
	}
	duties, dutiesCtx := errgroup.WithContext(ctx)
	drained, stopDuties := context.WithCancel(context.WithoutCancel(ctx))
	defer stopDuties()
	duties.Go(func() error { return n.awaitEnd(dutiesCtx, stopDuties) })
	duties.Go(func() error { return n.proposer.runDelays(drained) })
	duties.Go(func() error { return n.runRoute(drained) })
	duties.Go(func() error { return n.runRebirth(drained) })
	duties.Go(func() error { return n.runMesh(drained) })
	duties.Go(func() error { return n.runTicks(drained) })
	duties.Go(func() error { return n.runAnswers(drained) })
	duties.Go(func() error { return n.runPositions(drained) })
	duties.Go(func() error { return n.runAnnounce(dutiesCtx) })
	return duties.Wait()
}

// awaitEnd waits for a failure or for ctx; in the second case what was submitted may still get its outcome.
func (n *Node) awaitEnd(ctx context.Context, stopDuties func()) error {
	defer stopDuties()
	select {
	case <-n.failed:
		return n.failure
	case <-ctx.Done():
	}
	select {
	case <-n.failed:
		return n.failure
	case <-n.proposer.drain():
	case <-time.After(drainTimeout):
	}
	return nil
}

// apply folds committed entries, and tells the followers how far it came.
func (n *Node) apply(entries []entry) {
	n.fold.apply(entries)
	if c := n.consensus.Load(); c != nil && len(entries) > 0 {
		c.applied(entries[len(entries)-1].index)
	}
}

func (n *Node) propose(entry []byte) outcome { return n.consensus.Load().propose(entry) }

// stamp gives the present instant for the log.
func (n *Node) stamp() broker.Instant {
	at, jump := n.clock.now(broker.Instant(n.fold.clock.Load()))
	if jump > clockJump {
		n.logger.Warn("clock stepped forward", "by", jump)
	}
	return at
}

func (n *Node) uptime() time.Duration { return time.Since(n.start) }

// fail ends Run with err; only the first counts.
func (n *Node) fail(err error) {
	n.failOnce.Do(func() {
		n.failure = err
		close(n.failed)
	})
}

// fatal answers a disk that failed: nothing may be acknowledged any more.
func (n *Node) fatal(err error) {
	if n.cfg.Fatal == nil {
		n.logger.Error("disk failed, the process ends", "error", err)
		os.Exit(1)
	}
	n.cfg.Fatal(err)
	n.fail(err)
}
