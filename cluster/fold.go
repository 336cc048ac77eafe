package cluster

// This file holds the fold's own goroutine: entries become events, events become state and effects.

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"stampede/broker"
	"stampede/storage"
)

const (
	arenaBytes          = 256 << 10 // stored forms of messages are written into pieces of this size, which the store keeps until they are on disk
	storedOverheadMax   = 96        // of a message's stored form, beside its strings, headers and body
	streamsForgottenMax = 4096      // streams that may have left the state before they leave memory
)

// errNodeRefused says that the state does not take this node.
var errNodeRefused = errors.New("start of this node was refused")

// errFoldStopped says that the fold panicked earlier.
var errFoldStopped = errors.New("fold has stopped")

// entryKind says what a committed entry holds.
type entryKind uint8

const (
	entryFacts  entryKind = iota + 1
	entryConfig           // the members of the cluster, encoded by the consensus
)

// entry is one committed entry, in the order of the log.
type entry struct {
	index, term uint64
	kind        entryKind
	data        []byte
}

// stateStore is what the fold needs of the store of the state.
type stateStore interface {
	Append(stream uint32, seq uint64, at int64, data []byte)
	Commit(pos storage.Position, changes []byte)
}

// fold applies committed entries. It never touches the disk: the log has them, and the store writes behind.
//
// Goroutines: none of its own. apply is called by the consensus on one goroutine; that, a position taken and an Inspect exclude one another by mu.
type fold struct {
	node        broker.NodeID
	incarnation atomic.Uint64 // changed under mu
	logger      *slog.Logger
	store       stateStore
	ring        *ring
	streams     *streams
	proposer    *proposer
	fail        func(error)   // stops the node
	dirty       chan struct{} // of capacity 1: there is something to take a position of
	ready       chan struct{} // closed once the own first fact was folded
	evicted     chan struct{} // of capacity 1: this incarnation has ended, another has to begin

	applied atomic.Uint64 // Seq up to which all is folded, its messages readable
	index   atomic.Uint64 // of the last entry folded
	clock   atomic.Int64  // the fold's
	adrift  atomic.Bool   // the incarnation has ended and the next one is not in the log yet
	checked atomic.Uint64 // index of the last entry that brought a checkpoint
	due     atomic.Int64  // when TimeAdvanced has something to do; 0 never
	summary atomic.Pointer[summary]

	mu          sync.Mutex // guards all below
	state       *broker.State
	decoder     broker.Decoder
	fx          broker.Effects
	chain       *chain
	checks      checkpoints
	term        uint64
	config      []byte
	configIndex uint64
	performer   Performer
	live        bool // the own first fact was folded: effects are performed from there on
	failed      bool
	arena       []byte
	event       broker.Event // the one being folded, for the report of a panic
}

// replaceLocked goes on from a state that was not folded here.
func (f *fold) replaceLocked(state *broker.State, store StateStore) {
	pos := store.Position()
	f.state, f.store, f.chain = state, store, newChain(pos.Chain)
	f.term, f.config, f.configIndex = pos.Term, pos.Config, pos.ConfigIndex
	f.checks = checkpoints{}
	f.checked.Store(0)
	f.index.Store(pos.Index)
	f.ring.reset(state.Next())
	f.streams.fill(state)
	f.publishLocked()
	f.summary.Store(&summary{position: pos, counts: state.Counts(), version: state.Version()})
}

// summary is what Status says about the state, taken together at one position.
type summary struct {
	position storage.Position
	counts   broker.Counts
	version  uint32
}

func newFold(id identity, state *broker.State, pos storage.Position, store stateStore, ring *ring, p *proposer, logger *slog.Logger, fail func(error)) *fold {
	f := &fold{
		node: id.node, logger: logger, store: store, ring: ring, streams: newStreams(), proposer: p, fail: fail,
		dirty: make(chan struct{}, 1), ready: make(chan struct{}), evicted: make(chan struct{}, 1),
		state: state, chain: newChain(pos.Chain), term: pos.Term, config: pos.Config, configIndex: pos.ConfigIndex,
		performer: noPerformer{},
	}
	f.incarnation.Store(id.Incarnation)
	f.index.Store(pos.Index)
	f.streams.fill(state)
	f.publishLocked()
	f.summary.Store(&summary{position: pos, counts: state.Counts(), version: state.Version()})
	return f
}

// noPerformer stands in until Run brings the real one.
type noPerformer struct{}

func (noPerformer) Outcome(Ticket, broker.Seq, broker.Refusal) {}
func (noPerformer) Perform(*broker.Effects)                    {}
func (noPerformer) Unanswered(Ticket, bool)                    {}
func (noPerformer) Evicted()                                   {}
func (noPerformer) Flush()                                     {}

// perform sets who performs the effects.
func (f *fold) perform(p Performer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.performer = p
}

// apply folds committed entries.
func (f *fold) apply(entries []entry) {
	f.tellCommitted(entries)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed {
		return
	}
	defer f.rescue()
	for i := range entries {
		f.applyEntry(&entries[i])
		if f.failed {
			return
		}
	}
	if f.live {
		f.performer.Flush()
		select {
		case <-f.ready:
		default:
			close(f.ready)
		}
	}
	f.publishLocked()
	select {
	case f.dirty <- struct{}{}:
	default:
	}
}

// tellCommitted lets the proposer go on before the entries are folded.
func (f *fold) tellCommitted(entries []entry) {
	for i := range entries {
		if entries[i].kind != entryFacts {
			continue
		}
		_, rest, err := decodeEntryHeader(entries[i].data)
		for err == nil && len(rest) > 0 {
			var e envelope
			e, rest, err = decodeEnvelope(rest)
			if err == nil && f.isOwn(e) {
				f.proposer.sawCommitted(e.firstN)
			}
		}
	}
}

func (f *fold) isOwn(e envelope) bool {
	return e.node == f.node && e.incarnation == f.incarnation.Load()
}

// rescue turns a panic of the fold into the end of the node: its state cannot be trusted any more, and what is on disk is from before.
func (f *fold) rescue() {
	cause := recover()
	if cause == nil {
		return
	}
	f.failed = true
	kind := "none"
	if f.event.Fact != nil {
		kind = broker.KindName(f.event.Fact)
	}
	f.logger.Error("fold panicked", "seq", uint64(f.event.Seq), "kind", kind, "index", f.index.Load()+1, "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
	f.fail(fmt.Errorf("fold panicked at seq %d, kind %s, after index %d: %v", f.event.Seq, kind, f.index.Load(), cause))
}

// applyEntry folds one entry. A fault of the entry is a panic: a node may not go on beside a log that it cannot read.
func (f *fold) applyEntry(e *entry) {
	f.chain.add(e.index, e.term, e.data)
	if e.kind == entryConfig {
		f.config, f.configIndex = e.data, e.index
	} else {
		f.applyFacts(e)
	}
	f.term = e.term
	f.index.Store(e.index)
}

func (f *fold) applyFacts(e *entry) {
	head, rest, err := decodeEntryHeader(e.data)
	for err == nil && len(rest) > 0 {
		var env envelope
		if env, rest, err = decodeEnvelope(rest); err != nil {
			break
		}
		if env.isCheck() {
			err = f.applyCheck(e.index, env.facts)
		} else {
			err = f.applyEnvelope(head.at, env)
		}
	}
	if err != nil {
		panic(fmt.Errorf("entry %d: %w", e.index, err))
	}
}

// applyEnvelope folds the facts of one envelope and answers the tickets of them if it is this node's.
func (f *fold) applyEnvelope(at broker.Instant, env envelope) error {
	own := f.isOwn(env)
	var awaiting *batch
	if own {
		// A repeat, and what came too early, finds another batch than its own: the state refuses it, and its outcome comes with the original.
		if b := f.proposer.awaited(); b != nil && b.firstN == env.firstN {
			awaiting = b
		}
	}
	f.event = broker.Event{At: at, Origin: broker.Origin{Node: env.node, Incarnation: env.incarnation}}
	facts := env.facts
	for i := range env.count {
		fact, n, err := f.decoder.Fact(facts)
		if err != nil {
			return fmt.Errorf("fact %d of %d: %w", i+1, env.count, err)
		}
		facts = facts[n:]
		f.event.Fact = fact
		if env.firstN != 0 {
			f.event.Origin.N = env.firstN + uint64(i)
		}
		f.applyEvent()
		if own {
			f.follow(fact)
		}
		if f.live {
			if awaiting != nil && !awaiting.silent {
				f.performer.Outcome(awaiting.tickets[i], f.event.Seq, f.fx.Refused())
			}
			if len(f.fx.List) > 0 {
				f.performer.Perform(&f.fx)
			}
		}
	}
	if len(facts) > 0 {
		return fmt.Errorf("%d bytes follow the last of %d facts", len(facts), env.count)
	}
	if awaiting != nil {
		f.proposer.folded(awaiting)
	}
	return nil
}

// applyEvent folds f.event, keeps what it stored, and publishes how far the fold is.
func (f *fold) applyEvent() {
	f.event.Seq = f.state.Next()
	f.fx.Reset()
	f.state.Apply(f.event, &f.fx)
	for i := range f.fx.List {
		switch e := &f.fx.List[i]; e.Kind {
		case broker.EffectStored:
			f.keep(e)
		case broker.EffectNodeLost:
			if e.Node == f.node && e.Incarnation == f.incarnation.Load() {
				f.evictLocked()
			}
		}
	}
	f.applied.Store(uint64(f.state.Next() - 1))
}

// follow goes live with the own first fact, and stays so: of later incarnations it has only to be taken.
func (f *fold) follow(fact broker.Fact) {
	if _, ok := fact.(broker.NodeStarted); !ok {
		return
	}
	if refusal := f.fx.Refused(); refusal != broker.RefusedNone {
		f.fail(fmt.Errorf("%w: %v", errNodeRefused, refusal))
		return
	}
	f.live = true
	f.adrift.Store(false)
}

// keep hands a stored message to the store and to the ring.
func (f *fold) keep(e *broker.Effect) {
	m := e.Message
	need := m.Size() + len(m.Dest) + len(m.As) + len(m.User) + storedOverheadMax
	if cap(f.arena)-len(f.arena) < need {
		f.arena = make([]byte, 0, max(arenaBytes, need))
	}
	start := len(f.arena)
	f.arena = broker.AppendMessage(f.arena, m)
	f.store.Append(e.Stream, uint64(m.Seq), int64(m.At), f.arena[start:len(f.arena):len(f.arena)])
	f.ring.put(m)
	if e.Stream != 0 {
		f.streams.stored(e.Stream, m.Dest, m.Seq)
	}
}

// publishLocked publishes what other goroutines read of the state without its lock.
func (f *fold) publishLocked() {
	f.applied.Store(uint64(f.state.Next() - 1))
	f.clock.Store(int64(f.state.Clock()))
	due, ok := f.state.NextDue()
	if !ok {
		due = 0
	}
	f.due.Store(int64(due))
}

// takePosition hands all changes so far to the store, with the place in the log that they belong to.
func (f *fold) takePosition() {
	f.mu.Lock()
	defer f.mu.Unlock()
	index := f.index.Load()
	if f.failed || index == f.summary.Load().position.Index {
		return
	}
	pos := storage.Position{
		Seq: f.applied.Load(), Index: index, Term: f.term, Chain: f.chain.sum, Digest: f.state.Digest(),
		Config: f.config, ConfigIndex: f.configIndex,
	}
	counts := f.state.Counts()
	f.summary.Store(&summary{position: pos, counts: counts, version: f.state.Version()})
	f.store.Commit(pos, f.state.Changes())
	if c := counts; f.streams.count() > c.Topics+c.UserDestinations+streamsForgottenMax {
		f.streams.fill(f.state)
	}
}

// inspect runs fn between two batches.
func (f *fold) inspect(fn func(*broker.State)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed {
		return errFoldStopped
	}
	fn(f.state)
	return nil
}
