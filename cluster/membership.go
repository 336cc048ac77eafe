package cluster

// This file holds the questions that nodes ask each other before they are of one cluster, and about its members: one question a
// connection, in JSON, so that versions that do not know each other's fields understand each other. FORMAT.md has the table.

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

const (
	// membershipBytesMax bounds a question and an answer; a longer one ends the connection.
	membershipBytesMax = 256 << 10
	// membershipTimeout is how long a question may take, the connection included.
	membershipTimeout = 2 * time.Second
	// joinTimeout is how long a leader may take to change the members.
	joinTimeout = 10 * time.Second
)

// The questions.
const (
	askStatus  = "status"  // who are you, and what do you know of the cluster?
	askPromise = "promise" // will you be founded by this candidate, and by no other?
	askJoin    = "join"    // will you take this node into the cluster, or its new address?
)

// Why a question is not answered as it was asked.
var (
	errUnknownQuestion = errors.New("question is not known to this version")
	errImpostor        = errors.New("who asks is not who it says")
)

// founder is one of those that found a cluster together.
type founder struct {
	Node string `json:"node"`
	Addr string `json:"addr"`
}

// peerStatus is what a node says of itself.
type peerStatus struct {
	Node     string    `json:"node"`
	Addr     string    `json:"addr"`              // advertised
	Cluster  string    `json:"cluster,omitempty"` // "" while it knows none
	Expect   int       `json:"expect"`
	Seeds    string    `json:"seeds"`              // a hash of the set
	Promised string    `json:"promised,omitempty"` // the candidate that it has promised itself to
	Members  []founder `json:"members,omitempty"`  // of its log, once that has begun
	Leader   string    `json:"leader,omitempty"`   // address
}

// question is what one side asks.
type question struct {
	Ask      string     `json:"ask"`
	From     peerStatus `json:"from"`
	Founders []founder  `json:"founders,omitempty"` // promise: the candidate is From
}

// reply is what the other side says.
type reply struct {
	Status peerStatus `json:"status"`
	Yes    bool       `json:"yes"`
	Reason string     `json:"reason,omitempty"` // of a no
}

func writeMessage(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(text)), uint32(len(text)))
	_, err = w.Write(append(b, text...))
	return err
}

func readMessage(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(head[:])
	if length > membershipBytesMax {
		return fmt.Errorf("message of %d bytes is longer than %d", length, membershipBytesMax)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

// ask asks the node at an address one question.
func (n *Node) ask(ctx context.Context, addr string, q question, timeout time.Duration) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, peer, err := n.port.dial(ctx, addr, streamMembership)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = conn.Close() }() // all that was to be said was said
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	q.From = n.peerStatus()
	if err := writeMessage(conn, q); err != nil {
		return reply{}, fmt.Errorf("ask %s: %w", addr, err)
	}
	var r reply
	if err := readMessage(conn, &r); err != nil {
		return reply{}, fmt.Errorf("answer of %s: %w", addr, err)
	}
	if r.Status.Node != peer.node.String() {
		return reply{}, fmt.Errorf("answer of %s: %w", addr, errImpostor)
	}
	return r, nil
}

// takeMembership answers one question. It is the handler of the port.
func (n *Node) takeMembership(conn net.Conn, peer member) {
	defer func() { _ = conn.Close() }() // the other side has read the answer, or does not want it
	if err := conn.SetDeadline(time.Now().Add(membershipTimeout)); err != nil {
		return
	}
	var q question
	if err := readMessage(conn, &q); err != nil {
		n.logger.Debug("question of a node not understood", "addr", conn.RemoteAddr().String(), "error", err)
		return
	}
	err := errImpostor
	if q.From.Node == peer.node.String() {
		err = n.answer(conn, q)
	}
	r := reply{Status: n.peerStatus(), Yes: err == nil}
	if err != nil {
		r.Reason = err.Error()
	}
	_ = writeMessage(conn, r) // who asked asks again
}

// answer does what a question asks for; its error is a no.
func (n *Node) answer(conn net.Conn, q question) error {
	switch q.Ask {
	case askStatus:
		return nil
	case askPromise:
		return n.promise(q)
	case askJoin:
		if err := conn.SetDeadline(time.Now().Add(joinTimeout)); err != nil {
			return err
		}
		return n.admit(q.From)
	default:
		return errUnknownQuestion
	}
}

// peerStatus says who this node is and what it knows.
func (n *Node) peerStatus() peerStatus {
	id := n.self.now()
	s := peerStatus{
		Node: id.Node, Addr: n.port.advertise.String(), Cluster: id.Cluster, Expect: n.cfg.Expect, Seeds: n.cfg.seedsHash(),
	}
	if id.Pledge != nil {
		s.Promised = id.Pledge.Candidate
	}
	if c := n.consensus.Load(); c != nil {
		at := c.standing()
		s.Leader = at.leaderAddr
		for _, m := range at.members {
			s.Members = append(s.Members, founder{m.ID, m.Addr})
		}
	}
	return s
}
