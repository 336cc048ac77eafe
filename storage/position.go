package storage

// The position: how far of the log state.db has folded, written in the same transaction as what was folded.

import (
	"encoding/binary"
	"fmt"
	"slices"
)

const (
	positionVersion = 1
	positionFixed   = 1 + 3 + 6*8 + 4 // version, reserved, six numbers, length of the configuration
	crcBytes        = 4
)

// Position says how far state.db has come. Storage does not interpret it.
type Position struct {
	Seq         uint64 // last place of the fold
	Index, Term uint64 // last entry of raft's log
	Chain       uint64 // chain hash over the log up to Index
	Digest      uint64 // digest of the fold's state at Seq
	Config      []byte // raft's configuration as of ConfigIndex
	ConfigIndex uint64
}

func appendPosition(dst []byte, p Position) []byte {
	start := len(dst)
	dst = append(dst, positionVersion, 0, 0, 0)
	for _, v := range [...]uint64{p.Seq, p.Index, p.Term, p.Chain, p.Digest, p.ConfigIndex} {
		dst = binary.BigEndian.AppendUint64(dst, v)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(p.Config)))
	dst = append(dst, p.Config...)
	return binary.BigEndian.AppendUint32(dst, checksum(dst[start:]))
}

func decodePosition(b []byte) (Position, error) {
	if len(b) < positionFixed+crcBytes || b[0] != positionVersion {
		return Position{}, fmt.Errorf("%w: position of %d bytes", ErrCorrupt, len(b))
	}
	body, sum := b[:len(b)-crcBytes], binary.BigEndian.Uint32(b[len(b)-crcBytes:])
	if got := checksum(body); got != sum {
		return Position{}, fmt.Errorf("%w: position has checksum %08x, want %08x", ErrCorrupt, got, sum)
	}
	n := binary.BigEndian.Uint32(b[positionFixed-4:])
	if uint64(n) != uint64(len(body)-positionFixed) {
		return Position{}, fmt.Errorf("%w: position claims a configuration of %d bytes", ErrCorrupt, n)
	}
	number := func(i int) uint64 { return binary.BigEndian.Uint64(b[4+8*i:]) }
	return Position{
		Seq: number(0), Index: number(1), Term: number(2), Chain: number(3), Digest: number(4), ConfigIndex: number(5),
		Config: slices.Clone(body[positionFixed:]),
	}, nil
}
