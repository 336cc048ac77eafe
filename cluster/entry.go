package cluster

// This file holds the bytes of a Raft entry: a header and envelopes of facts. FORMAT.md has the table.

import (
	"encoding/binary"
	"errors"
	"fmt"

	"stampede/broker"
)

const (
	entryVersion      = 1
	entryEpoch        = 1 // rises when a cluster is recovered from a loss of its quorum
	entryGroup        = 0 // the Raft group; one until there are namespaces
	entryHeaderBytes  = 1 + 4 + 4 + 8
	entryStampAt      = 1 + 4 + 4 // where the stamp lies in the header
	envelopeHeadBytes = 16 + 8 + 8 + 4 + 4
	entryHeadBytes    = entryHeaderBytes + envelopeHeadBytes // what precedes the facts of an entry with one envelope
)

// Faults of an entry. A node stops on one: it may not fold a log that it cannot read.
var (
	errEntryVersion = errors.New("entry of an unknown version")
	errEntryShort   = errors.New("entry is cut short")
	errEntryGroup   = errors.New("entry of another group")
)

// entryHeader begins every entry.
type entryHeader struct {
	epoch, group uint32
	at           broker.Instant
}

// envelope is what one node submitted: count facts with the numbers firstN and up. A zero node means the leader's own facts, which have no numbers.
type envelope struct {
	node        broker.NodeID
	incarnation uint64
	firstN      uint64
	count       uint32
	facts       []byte
}

// isCheck tells an envelope that brings a checkpoint from one with facts.
func (e *envelope) isCheck() bool { return e.count == 0 }

// putEntryHead fills the first entryHeadBytes of entry, whose facts follow them already.
func putEntryHead(entry []byte, at broker.Instant, e envelope) {
	putEntryHeader(entry, at)
	putEnvelopeHead(entry, e)
}

// putEntryHeader fills the first entryHeaderBytes of entry.
func putEntryHeader(entry []byte, at broker.Instant) {
	entry[0] = entryVersion
	binary.BigEndian.PutUint32(entry[1:], entryEpoch)
	binary.BigEndian.PutUint32(entry[5:], entryGroup)
	binary.BigEndian.PutUint64(entry[entryStampAt:], uint64(at))
}

// putEnvelopeHead fills in what lies between the header of entry and its facts.
func putEnvelopeHead(entry []byte, e envelope) {
	b := entry[entryHeaderBytes:entryHeadBytes]
	copy(b, e.node[:])
	binary.BigEndian.PutUint64(b[16:], e.incarnation)
	binary.BigEndian.PutUint64(b[24:], e.firstN)
	binary.BigEndian.PutUint32(b[32:], e.count)
	binary.BigEndian.PutUint32(b[36:], uint32(len(entry)-entryHeadBytes))
}

// decodeEntryHeader reads the header of an entry and returns the envelopes that follow it.
func decodeEntryHeader(b []byte) (h entryHeader, envelopes []byte, err error) {
	if len(b) == 0 {
		return h, nil, errEntryShort
	}
	if b[0] != entryVersion {
		return h, nil, fmt.Errorf("%w: %d", errEntryVersion, b[0])
	}
	if len(b) < entryHeaderBytes {
		return h, nil, errEntryShort
	}
	h.epoch = binary.BigEndian.Uint32(b[1:])
	h.group = binary.BigEndian.Uint32(b[5:])
	h.at = broker.Instant(binary.BigEndian.Uint64(b[entryStampAt:]))
	if h.group != entryGroup {
		return h, nil, fmt.Errorf("%w: %d", errEntryGroup, h.group)
	}
	return h, b[entryHeaderBytes:], nil
}

// decodeEnvelope reads the envelope at the start of b, whose facts are a view into b, and returns what follows it.
func decodeEnvelope(b []byte) (e envelope, rest []byte, err error) {
	if len(b) < envelopeHeadBytes {
		return e, nil, errEntryShort
	}
	copy(e.node[:], b)
	e.incarnation = binary.BigEndian.Uint64(b[16:])
	e.firstN = binary.BigEndian.Uint64(b[24:])
	e.count = binary.BigEndian.Uint32(b[32:])
	length := binary.BigEndian.Uint32(b[36:])
	b = b[envelopeHeadBytes:]
	if uint64(length) > uint64(len(b)) {
		return e, nil, errEntryShort
	}
	e.facts = b[:length:length]
	return e, b[length:], nil
}
