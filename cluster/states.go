package cluster

// This file holds the store of the state, which another one takes the place of when a node takes over a state that it did not fold itself.

import (
	"context"
	"fmt"
	"sync/atomic"

	"stampede/storage"
)

// states is the store in use and its flusher. now may be called by any goroutine; a reader that still has the store before gets its errors.
type states struct {
	held   atomic.Pointer[StateStore]
	cancel context.CancelFunc // ends the flusher
	ended  chan error         // its result
}

// now gives the store in use, nil before there is one.
func (s *states) now() StateStore {
	if held := s.held.Load(); held != nil {
		return *held
	}
	return nil
}

func (s *states) set(store StateStore) { s.held.Store(&store) }

// startFlusher writes the state behind the fold until stopFlusher. It tells fail of its end by an error.
func (s *states) startFlusher(fail func(error)) {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.ended = cancel, make(chan error, 1)
	go runFlusher(ctx, s.now(), s.ended, fail)
}

func runFlusher(ctx context.Context, store StateStore, ended chan<- error, fail func(error)) {
	err := store.Run(ctx)
	if err != nil {
		fail(err)
	}
	ended <- err
}

// stopFlusher lets it write what it has and waits for its end.
func (s *states) stopFlusher() error {
	s.cancel()
	return <-s.ended
}

func (n *Node) openStore() (StateStore, error) {
	return n.disk.OpenStore(storage.Options{
		FlushInterval: n.cfg.FlushInterval, PendingBytesMax: n.cfg.StorePendingMax, Fatal: n.fatal, Logger: n.logger, Fault: n.cfg.storeFault,
	})
}

// cutBehind makes the log begin after a state that was received: what is in it from before does not lead there.
func (n *Node) cutBehind(origin uint64) error {
	first, err := n.log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := n.log.LastIndex()
	if err != nil || last == 0 || last > origin {
		return err // there is nothing, or the log goes on from there
	}
	return n.log.DeleteRange(first, last)
}

// takeOver puts a state that was received in the place of this node's own, and ends the incarnation: what its sessions were given does not lead
// there. Raft calls it on the goroutine of the fold, which waits for the disk this once: there is nothing to fold meanwhile.
func (n *Node) takeOver() error {
	f := n.fold
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := n.states.stopFlusher(); err != nil {
		return err
	}
	if err := n.states.now().Close(); err != nil {
		return err
	}
	if err := n.disk.TakeOver(); err != nil {
		return err
	}
	store, err := n.openStore()
	if err != nil {
		return err
	}
	state, err := restoreState(store)
	if err != nil {
		return fmt.Errorf("take state over: %w", err)
	}
	n.states.set(store)
	n.states.startFlusher(n.fail)
	f.replaceLocked(state, store)
	n.logger.Warn("state taken over", "seq", f.applied.Load(), "index", f.index.Load())
	f.evictLocked()
	return nil
}
