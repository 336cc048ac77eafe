package cluster

// This file holds how a node goes on from a state that it did not fold itself.

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

var (
	// errNotAhead says that this node has folded, or has in its log, what a state would bring.
	errNotAhead = errors.New("state brings nothing new")
	// ErrStaleTail says that a state was taken over beside a log whose end is another leader's: Raft cannot go on from there, a node that
	// starts anew can.
	ErrStaleTail = errors.New("state was taken over, and the log before it is not its history: the node has to start again")
)

// restoreReceived takes over the state that waits to be installed. Raft calls it on the goroutine of the fold, and its main loop waits for it.
func (n *Node) restoreReceived() error {
	a := n.arrivals.whole()
	if a == nil {
		return errNotReceived
	}
	return n.takeOver(a)
}

// takeOver puts a state in the place of this node's own, and ends the incarnation: what its sessions were given does not lead there. The
// goroutine of the fold waits for the disk this once: what is pending is flushed, two folders are renamed, state.db is opened.
func (n *Node) takeOver(a *arrival) error {
	f := n.fold
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed {
		return errFoldStopped
	}
	stale, err := n.compareLocked(a)
	if err != nil {
		return err
	}
	n.snapshots.breakOff() // what is being sent from here, by a leader that was
	store, err := n.replaceStore(a)
	if err != nil {
		f.failed = true // there may be no store any more
		n.fail(err)
		return err
	}
	f.replaceLocked(a.state, store)
	n.arrivals.took(a)
	n.logger.Warn("state taken over", "seq", f.applied.Load(), "index", f.index.Load())
	f.evictLocked()
	if stale {
		f.failed = true
		n.fail(ErrStaleTail)
		return ErrStaleTail
	}
	return nil
}

// compareLocked says whether a state is worth taking over, and whether the log has an entry of another term where it belongs. Raft takes an
// index that it has seen for its last one, whatever it has installed since, and would refuse all that follows, or panic.
func (n *Node) compareLocked(a *arrival) (stale bool, err error) {
	if have := n.fold.index.Load(); have >= a.position.Index {
		return false, fmt.Errorf("%w: it is of index %d, this node is at %d", errNotAhead, a.position.Index, have)
	}
	last, err := n.log.LastIndex()
	if err != nil {
		return false, err
	}
	if last < a.position.Index {
		return false, nil
	}
	if n.inLog(a.position.Index, a.position.Term) {
		return false, fmt.Errorf("%w: entry %d is in the log", errNotAhead, a.position.Index)
	}
	return true, nil
}

// has says whether this node has folded an entry, or has it in its log: then it has all before it, and they are the cluster's.
func (n *Node) has(index, term uint64) bool {
	return n.fold.index.Load() >= index || n.inLog(index, term)
}

func (n *Node) inLog(index, term uint64) bool {
	var entry raft.Log
	return n.log.GetLog(index, &entry) == nil && entry.Term == term
}

// raftTerm is Raft's term, as it is on disk; 0 where it cannot be read, which is Raft's to find out.
func (n *Node) raftTerm() uint64 {
	term, err := n.log.GetUint64([]byte(raftTermKey))
	if err != nil {
		return 0
	}
	return term
}

// replaceStore closes the store in use and opens the one that came.
func (n *Node) replaceStore(a *arrival) (StateStore, error) {
	if err := n.states.stopFlusher(); err != nil {
		return nil, err
	}
	if err := n.states.now().Close(); err != nil {
		return nil, err
	}
	if err := a.in.TakeOver(); err != nil {
		return nil, err
	}
	store, err := n.openStore()
	if err != nil {
		return nil, err
	}
	if pos := store.Position(); pos.Index != a.position.Index || pos.Digest != a.position.Digest {
		return nil, errors.Join(fmt.Errorf("%w: after it was taken over it is at index %d with digest %016x", errOtherState, pos.Index, pos.Digest), store.Close())
	}
	n.states.set(store)
	n.states.startFlusher(n.fail)
	return store, nil
}
