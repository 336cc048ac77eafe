package cluster

// This file holds what can be checked of a data directory whose log lacks its beginning.

import (
	"context"
	"fmt"

	"github.com/hashicorp/raft"

	"stampede/storage"
)

// verifyBehind checks a state that was received, or whose log was cut: without a state to begin from nothing can be folded. What is left is
// the chain, from where the state was received to where it is now: it says whether the entries between are the ones that this state was made
// from, and the checkpoints among them whether they are the ones that the leaders had.
func (r *VerifyReport) verifyBehind(ctx context.Context, log LogStore, origin, pos storage.Position, first uint64, progress func(done, total uint64)) error {
	r.Base = max(origin.Index, first-min(first, 1))
	if origin.Index > 0 {
		r.unproved("the state was received from another node at index %d: what it was then is not folded anew", origin.Index)
	}
	if pos.Index == origin.Index {
		r.Chain = pos.Chain // nothing has come since, and the log may be empty
		return nil
	}
	if err := log.Covers(pos); err != nil {
		r.fault("%v", err)
		return nil
	}
	if first > origin.Index+1 {
		r.unproved("the log begins at index %d: the chain from %d to there cannot be checked, and nothing is folded", first, origin.Index)
		return nil
	}
	walk := chainWalk{chain: newChain(origin.Chain), report: r}
	for index := origin.Index + 1; index <= pos.Index; index++ {
		var l raft.Log
		if err := log.GetLog(index, &l); err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
		if err := walk.entry(&l); err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
		if index%progressEvery == 0 || index == pos.Index {
			if progress != nil {
				progress(index-origin.Index, pos.Index-origin.Index)
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	if r.Chain = walk.chain.sum; r.Chain != pos.Chain {
		r.fault("log carries the chain on to %016x, state on disk was made from %016x", r.Chain, pos.Chain)
	}
	return nil
}

// addRecords holds the records of a store that nobody writes to against its position.
func (r *VerifyReport) addRecords(store StateStore) error {
	state, err := restoreState(store)
	if err != nil {
		r.fault("%v", err)
		return nil
	}
	r.Digest = state.Digest()
	return nil
}

func (r *VerifyReport) unproved(format string, args ...any) {
	r.Unproved = append(r.Unproved, fmt.Sprintf(format, args...))
}

// chainWalk carries the chain on over entries that are not folded.
type chainWalk struct {
	chain  *chain
	report *VerifyReport
	checks checkpoints // without digests
}

func (w *chainWalk) entry(l *raft.Log) error {
	if l.Type != raft.LogConfiguration && l.Type != raft.LogCommand {
		return nil // Raft's own
	}
	w.report.Entries++
	w.chain.add(l.Index, l.Term, l.Data)
	if l.Type == raft.LogConfiguration {
		return nil
	}
	_, rest, err := decodeEntryHeader(l.Data)
	for err == nil && len(rest) > 0 {
		var env envelope
		if env, rest, err = decodeEnvelope(rest); err == nil && env.isCheck() {
			err = w.check(l.Index, env.facts)
		}
	}
	return err
}

// check holds the chain that a leader had against the one here.
func (w *chainWalk) check(index uint64, b []byte) error {
	leader, err := decodeCheck(b)
	if err != nil {
		return err
	}
	leader.digest = 0 // of a state that is not here
	if err := w.checks.compare(leader); err != nil {
		w.report.fault("%v", err)
	}
	w.checks.add(checkpoint{index: index, chain: w.chain.sum})
	return nil
}
