package broker

import (
	"cmp"
	"errors"
)

// This file holds the identity of a node and its text form.

// NodeID is a ULID: 48 bits of time and 80 random bits, made once when a data directory is made.
type NodeID [16]byte

// ErrBadNodeID says that a text is not a ULID of 26 characters.
var ErrBadNodeID = errors.New("node id is not a ULID of 26 characters")

const (
	nodeIDTextBytes = 26
	crockford       = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)

// IsZero reports whether the id names no node.
func (id NodeID) IsZero() bool { return id == NodeID{} }

// Compare orders ids by their bytes, which is the order of their texts.
func (id NodeID) Compare(other NodeID) int {
	for i := range id {
		if c := cmp.Compare(id[i], other[i]); c != 0 {
			return c
		}
	}
	return 0
}

// String returns the 26 characters of Crockford's base 32.
func (id NodeID) String() string {
	var text [nodeIDTextBytes]byte
	// 26 characters hold 130 bits: two zero bits come first.
	var window uint32
	bits := 2
	at := 0
	for _, b := range id {
		window = window<<8 | uint32(b)
		bits += 8
		for bits >= 5 {
			bits -= 5
			text[at] = crockford[window>>bits&31]
			at++
		}
	}
	return string(text[:])
}

// ParseNodeID reads what String wrote; letters may be small.
func ParseNodeID(text string) (NodeID, error) {
	var id NodeID
	if len(text) != nodeIDTextBytes || text[0] > '7' {
		return id, ErrBadNodeID
	}
	var window uint32
	bits := -2
	at := 0
	for i := range len(text) {
		v, ok := crockfordValue(text[i])
		if !ok {
			return NodeID{}, ErrBadNodeID
		}
		window = window<<5 | uint32(v)
		bits += 5
		if bits >= 8 {
			bits -= 8
			id[at] = byte(window >> bits)
			at++
		}
	}
	return id, nil
}

func crockfordValue(c byte) (byte, bool) {
	if c >= 'a' && c <= 'z' {
		c -= 'a' - 'A'
	}
	for i := range len(crockford) {
		if crockford[i] == c {
			return byte(i), true
		}
	}
	return 0, false
}
