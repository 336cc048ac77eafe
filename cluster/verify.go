package cluster

// This file holds the check of the data directory of a node that does not run.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"stampede/broker"
	"stampede/storage"
)

// errDifferent is what a report with faults amounts to.
var errDifferent = errors.New("data directory does not agree with its log")

const (
	verifyMessagesMax = 4096    // messages compared at a time
	verifyBytesMax    = 4 << 20 // and their bytes
	verifyFaultsMax   = 20      // what differs more often is not told more clearly by a longer list
)

// VerifyReport says what Verify compared and what did not agree.
type VerifyReport struct {
	Entries  uint64 // of the log, folded
	Events   uint64
	Messages uint64 // compared byte by byte with the store's

	Index uint64 // the place up to which the state on disk goes
	Seq   broker.Seq

	Digest, DigestOnDisk uint64
	Chain, ChainOnDisk   uint64 // Chain is 0 where the log does not lead to the state on disk

	// Base is where the state came from elsewhere: 0 if the log was folded from its first entry on; else Digest is that of the records on disk, which
	// nothing was folded for, and Entries are those that the chain was carried on by.
	Base     uint64
	Unproved []string // what could not be checked, and why
	Faults   []string // at most verifyFaultsMax; empty when all that was checked agrees
}

// Err returns nil when all agrees.
func (r VerifyReport) Err() error {
	if len(r.Faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", errDifferent, r.Faults[0])
}

func (r *VerifyReport) fault(format string, args ...any) {
	if len(r.Faults) < verifyFaultsMax {
		r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
	}
}

// Verify folds the log of a node that does not run anew, up to where its state on disk goes, and compares the digest of the state, the
// chain over the entries and every message; then it checks all checksums of the store. It takes the directory's lock. The error says that
// the check could not be made; what did not agree is in the report. A log without its beginning cannot be folded: see verifyBehind.
func Verify(ctx context.Context, dataDir string, progress func(done, total uint64)) (VerifyReport, error) {
	disk, log, err := openOffline(dataDir)
	if err != nil {
		return VerifyReport{}, fmt.Errorf("verify: %w", err)
	}
	store, err := disk.OpenStore(storage.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return VerifyReport{}, errors.Join(fmt.Errorf("verify: %w", err), log.Close(), disk.Close())
	}
	report, err := verify(ctx, log, store, progress)
	if err == nil && report.Base > 0 {
		err = report.addRecords(store) // which nobody changes
	}
	if err != nil {
		err = fmt.Errorf("verify: %w", err)
	}
	return report, errors.Join(err, store.Close(), log.Close(), disk.Close())
}

func verify(ctx context.Context, log LogStore, store StateStore, progress func(done, total uint64)) (VerifyReport, error) {
	pos := store.Position()
	report := VerifyReport{Index: pos.Index, Seq: broker.Seq(pos.Seq), DigestOnDisk: pos.Digest, ChainOnDisk: pos.Chain}
	first, err := log.FirstIndex()
	if err != nil {
		return report, err
	}
	switch origin := store.Origin(); {
	case origin.Index > 0 || first > 1:
		err = report.verifyBehind(ctx, log, origin, pos, first, progress)
	case pos.Index > 0:
		err = report.verifyWhole(ctx, log, store, pos, progress)
	}
	if err != nil {
		return report, err
	}
	if err := store.Verify(ctx, nil); err != nil {
		if ctx.Err() != nil {
			return report, err
		}
		report.fault("%v", err)
	}
	return report, nil
}

// verifyWhole folds a log from its first entry on.
func (r *VerifyReport) verifyWhole(ctx context.Context, log LogStore, store StateStore, pos storage.Position, progress func(done, total uint64)) error {
	if err := log.Covers(pos); err != nil {
		r.fault("%v", err)
		return nil
	}
	compare := comparison{store: store, report: r}
	fold := replay{
		state: broker.New(broker.DefaultLimits()), chain: newChain(0), stored: compare.add,
		visit: func(e LogEntry) error {
			if e.Fact != nil {
				r.Events++
			}
			return nil
		},
	}
	if err := fold.run(ctx, log, pos.Index, progress); errors.Is(err, errDiverged) {
		r.fault("%v", err)
		return nil
	} else if err != nil {
		return err
	}
	if err := compare.flush(); err != nil {
		return err
	}
	r.Entries, r.Digest, r.Chain = fold.entries, fold.state.Digest(), fold.chain.sum
	if got := fold.state.Next() - 1; got != r.Seq {
		r.fault("log folds to seq %d, state on disk is at %d", got, r.Seq)
	}
	if r.Digest != pos.Digest {
		r.fault("log folds to digest %016x, state on disk has %016x", r.Digest, pos.Digest)
	}
	if r.Chain != pos.Chain {
		r.fault("log has chain %016x, state on disk was made from %016x", r.Chain, pos.Chain)
	}
	return nil
}

// comparison compares messages of the log with those of the store, some at a time.
type comparison struct {
	store  StateStore
	report *VerifyReport
	seqs   []broker.Seq
	forms  [][]byte
	arena  []byte
}

// add takes the next message of the log.
func (c *comparison) add(m *broker.Message) error {
	start := len(c.arena)
	c.arena = broker.AppendMessage(c.arena, m)
	c.seqs = append(c.seqs, m.Seq)
	c.forms = append(c.forms, c.arena[start:len(c.arena):len(c.arena)])
	if len(c.seqs) < verifyMessagesMax && len(c.arena) < verifyBytesMax {
		return nil
	}
	return c.flush()
}

// flush compares what was gathered.
func (c *comparison) flush() error {
	if len(c.seqs) == 0 {
		return nil
	}
	i := 0
	err := c.store.Scan(uint64(c.seqs[0]), func(_ uint32, seq uint64, data []byte) bool {
		for i < len(c.seqs) && uint64(c.seqs[i]) < seq {
			c.report.fault("message %d is not in the store", c.seqs[i])
			i++
		}
		if i == len(c.seqs) {
			return false
		}
		switch {
		case uint64(c.seqs[i]) != seq:
			c.report.fault("store has a message %d that the log does not", seq)
			return true
		case !bytes.Equal(c.forms[i], data):
			c.report.fault("message %d differs", seq)
		}
		i++
		return i < len(c.seqs)
	})
	for ; i < len(c.seqs) && err == nil; i++ {
		c.report.fault("message %d is not in the store", c.seqs[i])
	}
	c.report.Messages += uint64(len(c.seqs))
	c.seqs, c.forms, c.arena = c.seqs[:0], c.forms[:0], c.arena[:0]
	return err
}
