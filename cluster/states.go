package cluster

// This file holds the store of the state, which another one takes the place of when a node takes over a state that it did not fold itself.

import (
	"context"
	"fmt"
	"sync/atomic"

	"stampede/storage"
)

// states is the store in use and its flusher. now may be called by any goroutine; a reader that still has the store before gets its errors.
// The flusher is started and stopped by Run, and in between by the goroutine of the fold.
//
// Goroutines: runFlusher, from startFlusher to stopFlusher.
type states struct {
	held   atomic.Pointer[StateStore]
	cancel context.CancelFunc // ends the flusher; nil while there is none
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

// stopFlusher lets it write what it has and waits for its end. Where there is none it does nothing.
func (s *states) stopFlusher() error {
	if s.cancel == nil {
		return nil
	}
	s.cancel()
	s.cancel = nil
	return <-s.ended
}

func (n *Node) storeOptions() storage.Options {
	return storage.Options{
		FlushInterval: n.cfg.FlushInterval, PendingBytesMax: n.cfg.StorePendingMax, Fatal: n.fatal, Logger: n.logger, Fault: n.cfg.storeFault,
	}
}

func (n *Node) openStore() (StateStore, error) { return n.disk.OpenStore(n.storeOptions()) }

// cutBehind makes the log begin after a state that was received, and that nothing was written to since, unless it leads there: a crash came
// before Raft had cut it, or it had the end of another leader.
func (n *Node) cutBehind(origin storage.Position) error {
	first, err := n.log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := n.log.LastIndex()
	if err != nil {
		return err
	}
	if last == 0 || first == origin.Index+1 || n.inLog(origin.Index, origin.Term) {
		return nil
	}
	if first > origin.Index+1 {
		return fmt.Errorf("%w: it begins at %d, the state is at %d", storage.ErrLogBehind, first, origin.Index)
	}
	n.logger.Warn("log is cut, a state was taken over that it does not lead to", "first", first, "last", last, "index", origin.Index)
	return n.log.DeleteRange(first, last)
}
