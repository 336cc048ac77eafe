package cluster

// This file holds the handshake of two nodes: the first bytes of every connection between them. FORMAT.md has the table.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"stampede/broker"
)

// streamKind says what a connection between nodes is for. It is the first byte, so that one port can carry all kinds.
type streamKind byte

// The kinds. A side without a handler for a kind refuses it.
const (
	streamRaft       streamKind = 'R' // the calls of Raft
	streamForward    streamKind = 'F' // what a node submits, on its way to the leader
	streamMesh       streamKind = 'U' // interest in unlogged messages, and the messages
	streamMembership streamKind = 'M' // founding and joining: the one kind that sides of different clusters, or of none yet, may open
)

// acrossClusters tells whether a stream of this kind may be opened before the two sides know that they belong together.
func (k streamKind) acrossClusters() bool { return k == streamMembership }

const (
	handshakeVersion = 1
	handshakeMagic   = uint32(0x53545044) // "STPD"
	helloBytes       = 1 + 4 + 1 + 16 + 16
	replyBytes       = 4 + 1 + 1 + 16 + 16
	handshakeTimeout = 5 * time.Second
)

// Why a handshake fails. The other side is a stranger: it is never spoken to, and never takes part in an election.
var (
	errNotANode      = errors.New("other side does not speak the protocol of nodes")
	errOtherCluster  = errors.New("other side belongs to another cluster")
	errOtherVersion  = errors.New("other side speaks another version")
	errOtherKind     = errors.New("other side does not take this kind of stream")
	errOtherNode     = errors.New("other side is another member than the one that is meant")
	errSelf          = errors.New("other side is this node itself")
	errHandshakeCode = errors.New("other side refused for an unknown reason")
)

// handshakeFaults are the refusals that travel, by their code in the reply; 0 is none.
var handshakeFaults = [...]error{1: errOtherCluster, 2: errOtherVersion, 3: errOtherKind, 4: errSelf}

// member is one side of a handshake. cluster is zero while the node belongs to none.
type member struct{ cluster, node broker.NodeID }

// greet shakes hands on a connection that this side opened.
func (m member) greet(conn net.Conn, kind streamKind) (peer member, err error) {
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return peer, err
	}
	hello := make([]byte, 0, helloBytes)
	hello = append(hello, byte(kind))
	hello = binary.BigEndian.AppendUint32(hello, handshakeMagic)
	hello = append(hello, handshakeVersion)
	hello = append(hello, m.cluster[:]...)
	hello = append(hello, m.node[:]...)
	if _, err := conn.Write(hello); err != nil {
		return peer, fmt.Errorf("greet: %w", err)
	}
	var reply [replyBytes]byte
	if _, err := io.ReadFull(conn, reply[:]); err != nil {
		return peer, fmt.Errorf("await greeting: %w", err)
	}
	if binary.BigEndian.Uint32(reply[:]) != handshakeMagic {
		return peer, errNotANode
	}
	copy(peer.cluster[:], reply[6:])
	copy(peer.node[:], reply[22:])
	if code := int(reply[4]); code != 0 {
		if code < len(handshakeFaults) {
			return peer, handshakeFaults[code]
		}
		return peer, errHandshakeCode
	}
	if peer.cluster != m.cluster && !kind.acrossClusters() {
		return peer, errOtherCluster
	}
	return peer, conn.SetDeadline(time.Time{})
}

// answer shakes hands on a connection that the other side opened. takes tells which kinds of streams this side has a use for.
func (m member) answer(conn net.Conn, takes func(streamKind) bool) (kind streamKind, peer member, err error) {
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return 0, peer, err
	}
	var hello [helloBytes]byte
	if _, err := io.ReadFull(conn, hello[:]); err != nil {
		return 0, peer, fmt.Errorf("await greeting: %w", err)
	}
	kind = streamKind(hello[0])
	if binary.BigEndian.Uint32(hello[1:]) != handshakeMagic {
		return kind, peer, errNotANode // nothing is said to a stranger
	}
	copy(peer.cluster[:], hello[6:])
	copy(peer.node[:], hello[22:])
	code := 0
	switch {
	case hello[5] != handshakeVersion:
		code = 2
	case (peer.cluster != m.cluster || m.cluster.IsZero()) && !kind.acrossClusters():
		code = 1
	case peer.node == m.node:
		code = 4
	case !takes(kind):
		code = 3
	}
	reply := make([]byte, 0, replyBytes)
	reply = binary.BigEndian.AppendUint32(reply, handshakeMagic)
	reply = append(reply, byte(code), handshakeVersion)
	reply = append(reply, m.cluster[:]...)
	reply = append(reply, m.node[:]...)
	if _, err := conn.Write(reply); err != nil {
		return kind, peer, fmt.Errorf("greet: %w", err)
	}
	if code != 0 {
		return kind, peer, handshakeFaults[code]
	}
	return kind, peer, conn.SetDeadline(time.Time{})
}
