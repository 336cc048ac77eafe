package cluster

// This file holds how a node remembers that its log has begun, so that an empty disk under an old identity is refused.

import (
	"fmt"

	"github.com/hashicorp/raft"
)

// raftTermKey is Raft's own name of the term in its stable store.
const raftTermKey = "CurrentTerm"

// begunLog is the log and the votes as Raft writes them. Before the first write is answered, node.json says that there was one: a node whose
// log or votes went missing must not acknowledge, nor vote again, under the name that it did so before. A crash between the two leaves a
// log whose beginning is noted by the next start.
type begunLog struct {
	LogStore
	node *Node
}

var _ LogStore = begunLog{}

// StoreLog implements LogStore.
func (l begunLog) StoreLog(entry *raft.Log) error { return l.noted(l.LogStore.StoreLog(entry)) }

// StoreLogs implements LogStore.
func (l begunLog) StoreLogs(entries []*raft.Log) error { return l.noted(l.LogStore.StoreLogs(entries)) }

// Set implements LogStore.
func (l begunLog) Set(key, value []byte) error { return l.noted(l.LogStore.Set(key, value)) }

// SetUint64 implements LogStore. Zero says no more than that nothing was written yet: Raft sets its term to it when it starts.
func (l begunLog) SetUint64(key []byte, value uint64) error {
	if value == 0 {
		return l.LogStore.SetUint64(key, value)
	}
	return l.noted(l.LogStore.SetUint64(key, value))
}

// noted follows a write to the log. A note that cannot be written is a disk that fails.
func (l begunLog) noted(err error) error {
	if err != nil {
		return err
	}
	if err := l.node.noteBegun(); err != nil {
		l.node.fatal(err)
		return err
	}
	return nil
}

// noteBegun notes that log or votes have begun: from now on they may not be missing.
func (n *Node) noteBegun() error {
	if n.self.now().Founded {
		return nil
	}
	err := n.self.change(func(id *identity) error { id.Founded = true; return nil })
	if err != nil {
		return fmt.Errorf("note that the log has begun: %w", err)
	}
	return nil
}

// checkLog refuses a log that lacks what this node has had in it.
func (n *Node) checkLog() error {
	pos, origin := n.states.now().Position(), n.states.now().Origin()
	received := origin.Index != 0 && origin.Index == pos.Index // and nothing has come since
	if !received {
		if err := n.log.Covers(pos); err != nil {
			return err
		}
	}
	last, err := n.log.LastIndex()
	if err != nil {
		return err
	}
	term, err := n.log.GetUint64([]byte(raftTermKey))
	if err != nil {
		return err
	}
	if n.self.now().Founded && last == 0 && term == 0 {
		return fmt.Errorf("%w: %s", ErrLogLost, n.cfg.DataDir)
	}
	if received {
		return n.cutBehind(origin)
	}
	return nil
}
