package cluster

// This file holds the reading of the log of a node that does not run.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"

	"stampede/broker"
	"stampede/storage"
)

// ErrLogCut says that the beginning of the log is gone, so that it cannot be folded from there.
var ErrLogCut = errors.New("log does not begin at its first entry")

// progressEvery is how many entries lie between two reports of progress.
const progressEvery = 1 << 12

// LogEntry is one event of the log, or one change of the cluster's members.
type LogEntry struct {
	Index, Term uint64
	Seq         broker.Seq // the event's (first) Seq; 0 for a change of members, a repeat and a gap
	At          broker.Instant
	Origin      broker.Origin
	Fact        broker.Fact // nil for a change of members
	Refusal     broker.Refusal
	Repeated    bool     // the fold had seen it before, or saw a gap before it: nothing changed
	Members     []Member // of a change of members
}

// ReadLog folds the log of a node that does not run and calls fn for each event, until it returns an error. It takes the directory's lock.
func ReadLog(dataDir string, fn func(LogEntry) error) error {
	disk, log, err := openOffline(dataDir)
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	r := replay{state: broker.New(broker.DefaultLimits()), chain: newChain(0), visit: fn}
	if err = r.run(context.Background(), log, 0, nil); err != nil {
		err = fmt.Errorf("read log: %w", err)
	}
	return errors.Join(err, log.Close(), disk.Close())
}

// openOffline takes a data directory that a node has made, and opens its log.
func openOffline(dataDir string) (*DirDisk, LogStore, error) {
	if _, err := os.Stat(filepath.Join(dataDir, identityName)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("%s is no data directory: %w", dataDir, err)
		}
		return nil, nil, err
	}
	disk, err := OpenDir(dataDir)
	if err != nil {
		return nil, nil, err
	}
	if _, err := readIdentity(disk); err != nil {
		return nil, nil, errors.Join(err, disk.Close())
	}
	return openOfflineLog(disk)
}

// openOfflineLog opens the log of a directory that is taken; its error gives the directory back.
func openOfflineLog(disk *DirDisk) (*DirDisk, LogStore, error) {
	log, err := disk.OpenLog(storage.LogOptions{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, errors.Join(err, disk.Close())
	}
	return disk, log, nil
}

// replay folds a log from its first entry.
type replay struct {
	state   *broker.State
	chain   *chain
	decoder broker.Decoder
	fx      broker.Effects
	visit   func(LogEntry) error
	stored  func(*broker.Message) error // may be nil
	checks  checkpoints
	entries uint64
}

// run folds up to, and including, entry last; 0 means all.
func (r *replay) run(ctx context.Context, log LogStore, last uint64, progress func(done, total uint64)) error {
	first, err := log.FirstIndex()
	if err != nil {
		return err
	}
	if first > 1 {
		return fmt.Errorf("%w: it begins at %d, and what an event did depends on all before it; a node that has the log whole can tell", ErrLogCut, first)
	}
	if last == 0 {
		if last, err = log.LastIndex(); err != nil {
			return err
		}
	}
	for index := uint64(1); index <= last; index++ {
		var l raft.Log
		if err := log.GetLog(index, &l); err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
		if err := r.entry(&l); err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
		if index%progressEvery == 0 || index == last {
			if progress != nil {
				progress(index, last)
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *replay) entry(l *raft.Log) error {
	switch l.Type {
	case raft.LogConfiguration:
		r.entries++
		r.chain.add(l.Index, l.Term, l.Data)
		entry := LogEntry{Index: l.Index, Term: l.Term, At: r.state.Clock()}
		for _, m := range raft.DecodeConfiguration(l.Data).Servers {
			entry.Members = append(entry.Members, Member{ID: string(m.ID), Addr: string(m.Address), Voter: m.Suffrage == raft.Voter})
		}
		return r.visit(entry)
	case raft.LogCommand:
		r.entries++
		r.chain.add(l.Index, l.Term, l.Data)
		return r.facts(l)
	default:
		return nil // Raft's own: a new leader's first entry
	}
}

func (r *replay) facts(l *raft.Log) error {
	head, rest, err := decodeEntryHeader(l.Data)
	for err == nil && len(rest) > 0 {
		var env envelope
		if env, rest, err = decodeEnvelope(rest); err != nil {
			break
		}
		if env.isCheck() {
			err = r.check(l.Index, env.facts)
		} else {
			err = r.envelope(l, head.at, env)
		}
	}
	return err
}

// check holds what a leader had against what the log folds to.
func (r *replay) check(index uint64, b []byte) error {
	leader, err := decodeCheck(b)
	if err != nil {
		return err
	}
	if err := r.checks.compare(leader); err != nil {
		return err
	}
	r.checks.add(checkpoint{index: index, chain: r.chain.sum, digest: r.state.Digest()})
	return nil
}

func (r *replay) envelope(l *raft.Log, at broker.Instant, env envelope) error {
	facts := env.facts
	for i := range env.count {
		fact, n, err := r.decoder.Fact(facts)
		if err != nil {
			return fmt.Errorf("fact %d of %d: %w", i+1, env.count, err)
		}
		facts = facts[n:]
		origin := broker.Origin{Node: env.node, Incarnation: env.incarnation}
		if env.firstN != 0 {
			origin.N = env.firstN + uint64(i)
		}
		if err := r.event(l, broker.Event{Seq: r.state.Next(), At: at, Origin: origin, Fact: fact}); err != nil {
			return err
		}
	}
	return nil
}

func (r *replay) event(l *raft.Log, e broker.Event) error {
	r.fx.Reset()
	r.state.Apply(e, &r.fx)
	entry := LogEntry{Index: l.Index, Term: l.Term, Seq: e.Seq, At: r.state.Clock(), Origin: e.Origin, Fact: e.Fact, Refusal: r.fx.Refused()}
	if r.state.Next() == e.Seq {
		entry.Repeated, entry.Seq = true, 0
	}
	for i := range r.fx.List {
		if effect := &r.fx.List[i]; effect.Kind == broker.EffectStored && r.stored != nil {
			if err := r.stored(effect.Message); err != nil {
				return err
			}
		}
	}
	return r.visit(entry)
}
