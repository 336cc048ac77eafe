package cluster

// This file holds the comparison of nodes: now and then the leader puts into the log what it had at an earlier place of it, and every node
// holds that against what it had there itself. A node that differs stops: divergence must be loud.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

const (
	// checkInterval is how often the leader looks whether there is something new to compare.
	checkInterval = 5 * time.Second
	// checkTicks is checkInterval in ticks.
	checkTicks = int(checkInterval / tickInterval)
	// checksKept are how many of its own places a node remembers; a leader speaks of one of the last two.
	checksKept = 4

	checkBytes = 8 + 8 + 8
)

// errDiverged says that this node has folded something else than the leader at the same place of the log.
var errDiverged = errors.New("this node differs from the leader")

// errCheckShort says that bytes are no checkpoint.
var errCheckShort = errors.New("checkpoint is cut short")

// checkpoint is what a node had when it had folded an entry that brought a checkpoint; index 0 is none.
type checkpoint struct{ index, chain, digest uint64 }

// checkpoints are the last of them, the newest first. The zero value is ready for use.
type checkpoints [checksKept]checkpoint

func (c *checkpoints) add(p checkpoint) {
	copy(c[1:], c[:checksKept-1])
	c[0] = p
}

// compare holds the leader's against this node's own, if it was there.
func (c *checkpoints) compare(leader checkpoint) error {
	for _, own := range c {
		if own.index == leader.index && leader.index != 0 && own != leader {
			return fmt.Errorf("%w at index %d: chain %016x and digest %016x, the leader has %016x and %016x",
				errDiverged, own.index, own.chain, own.digest, leader.chain, leader.digest)
		}
	}
	return nil
}

// appendCheck appends an entry that brings a checkpoint: an envelope of no facts, with the checkpoint in their place.
func appendCheck(p checkpoint) []byte {
	entry := make([]byte, entryHeadBytes, entryHeadBytes+checkBytes)
	for _, v := range [...]uint64{p.index, p.chain, p.digest} {
		entry = binary.BigEndian.AppendUint64(entry, v)
	}
	return entry
}

func decodeCheck(b []byte) (p checkpoint, err error) {
	if len(b) != checkBytes {
		return p, errCheckShort
	}
	return checkpoint{
		index: binary.BigEndian.Uint64(b), chain: binary.BigEndian.Uint64(b[8:]), digest: binary.BigEndian.Uint64(b[16:]),
	}, nil
}

// applyCheck compares, and remembers what this node has here. A node that differs folds nothing more.
func (f *fold) applyCheck(index uint64, b []byte) error {
	leader, err := decodeCheck(b)
	if err != nil {
		return err
	}
	if err := f.checks.compare(leader); err != nil {
		f.logger.Error("node diverged", "error", err)
		f.fail(err)
		f.failed = true
		return nil
	}
	f.checks.add(checkpoint{index: index, chain: f.chain.sum, digest: f.state.Digest()})
	f.checked.Store(index)
	return nil
}

// lastCheck is the newest checkpoint of this node.
func (f *fold) lastCheck() checkpoint {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.checks[0]
}

// proposeCheck compares the nodes, if something was folded since they were compared last.
func (n *Node) proposeCheck() {
	if last := n.fold.checked.Load(); n.fold.index.Load() <= last && last != 0 {
		return
	}
	entry := appendCheck(n.fold.lastCheck())
	putEntryHead(entry, n.stamp(), envelope{})
	n.propose(entry)
}
