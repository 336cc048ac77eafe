package cluster

// This file holds the chain hash: one number that says that two nodes folded the same log.

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// chain hashes the entries that reach the fold, each over the hash before it. Two nodes that differ in one byte of one entry, or in the
// order of two, differ in every hash after it. Not safe for concurrent use.
type chain struct {
	sum    uint64
	digest xxhash.Digest
}

func newChain(sum uint64) *chain { return &chain{sum: sum} }

// add takes the next entry into the chain.
func (c *chain) add(index, term uint64, data []byte) {
	var head [24]byte
	binary.BigEndian.PutUint64(head[0:], c.sum)
	binary.BigEndian.PutUint64(head[8:], index)
	binary.BigEndian.PutUint64(head[16:], term)
	c.digest.Reset()
	_, _ = c.digest.Write(head[:]) // a hash never fails
	_, _ = c.digest.Write(data)
	c.sum = c.digest.Sum64()
}
