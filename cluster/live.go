package cluster

// This file holds the reading and the check of the log of a node that runs.

import (
	"context"
	"errors"
	"fmt"

	"stampede/broker"
)

// ReadLog folds this node's log up to what it has applied at the call and calls fn for each event, until it returns an error. It works
// beside everything else, on the caller's goroutine; while it runs it holds a second state in memory. It ends with ErrStopped when the
// node stops.
func (n *Node) ReadLog(ctx context.Context, fn func(LogEntry) error) error {
	last := n.fold.index.Load()
	if last == 0 {
		return nil
	}
	r := replay{state: broker.New(broker.DefaultLimits()), chain: newChain(0), visit: fn}
	if err := r.run(ctx, n.log, last, nil); err != nil {
		return fmt.Errorf("read log: %w", n.orStopped(err))
	}
	return nil
}

// Verify folds this node's log anew up to where its state on disk goes at the call, and compares as the function Verify does. It works
// beside everything else, on the caller's goroutine; while it runs it holds a second state in memory. It ends with ErrStopped when the
// node stops.
func (n *Node) Verify(ctx context.Context, progress func(done, total uint64)) (VerifyReport, error) {
	store := n.states.now()
	report, err := verify(ctx, n.log, store, progress)
	if err == nil && report.Err() != nil && (n.hasEnded() || n.states.now() != store) {
		err = report.Err() // what looks like a fault is a log that was closed, or a store that another one took the place of
	}
	if report.Base > 0 {
		report.Digest = report.DigestOnDisk // its records change while they are read
		report.unproved("the records of a running node are not held against the digest")
	}
	if err != nil {
		return report, fmt.Errorf("verify: %w", n.orStopped(err))
	}
	return report, nil
}

// orStopped says of a failed read that the node has ended meanwhile, when it has: its log and store are closed then.
func (n *Node) orStopped(err error) error {
	if n.hasEnded() {
		return errors.Join(ErrStopped, err)
	}
	return err
}

func (n *Node) hasEnded() bool {
	select {
	case <-n.ended:
		return true
	default:
		return false
	}
}
