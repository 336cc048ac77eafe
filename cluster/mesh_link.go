package cluster

// This file holds the two ends of a link of the mesh: the inlet, at the node that opened it and wants messages, and the MeshLink, at the
// node that sends them. FORMAT.md has the frames.

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"stampede/broker"
)

const (
	// meshPing is how often something is said on a link; meshSilence is how long nothing may come before it is given up.
	meshPing    = time.Second
	meshSilence = 6 * time.Second
	// meshStale is how long a node that takes messages may have been held up. One that was for longer closes the link: the other side may have
	// given the link up, and what is still on the way may not come any more. It is shorter than meshSilence by more than two pings.
	meshStale = 3 * time.Second
	// meshTakenEvery is how many messages are taken before it is said, when more are at hand.
	meshTakenEvery = 256
	// meshFrameMax bounds a frame; above the largest message.
	meshFrameMax = 32 << 20
	// meshTextMax bounds a destination or pattern.
	meshTextMax = 4 << 10
	// meshMatchesMax bounds the remembered destinations of a link that has patterns; beyond it they are forgotten and matched anew.
	meshMatchesMax = 1 << 16

	frameHeadBytes = 4 + 1
)

// The frames of a link.
const (
	frameInterest = 'I' // to the sender: number, add or remove, pattern or not, text
	framePing     = 'P' // both ways
	frameConfirm  = 'C' // to the inlet: number
	frameMessage  = 'M' // to the inlet: after, stored form of a message
	frameTaken    = 'T' // to the sender: how many messages were taken
)

var (
	errMeshFrame = errors.New("frame of the mesh is not understood")
	errMeshStale = errors.New("this node was held up; the other side may have given the link up")
)

// beginFrame appends the head of a frame, whose length endFrame fills in.
func beginFrame(dst []byte, kind byte) []byte { return append(dst, 0, 0, 0, 0, kind) }

func endFrame(frame []byte) []byte {
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	return frame
}

func appendInterest(dst []byte, number uint64, i interest, add bool) []byte {
	frame := binary.BigEndian.AppendUint64(beginFrame(dst, frameInterest), number)
	frame = append(frame, flagByte(add), flagByte(i.pattern))
	return endFrame(append(frame, i.text...))
}

func flagByte(on bool) byte {
	if on {
		return 1
	}
	return 0
}

func appendUnlogged(dst []byte, m *broker.Message, after broker.Seq) []byte {
	frame := binary.BigEndian.AppendUint64(beginFrame(dst, frameMessage), uint64(after))
	return endFrame(broker.AppendMessage(frame, m))
}

// readFrame reads a frame. One of a message is the caller's to keep.
func readFrame(r *bufio.Reader) (kind byte, payload []byte, err error) {
	var head [frameHeadBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	length := binary.BigEndian.Uint32(head[:])
	kind = head[4]
	if length == 0 || length > meshFrameMax || (kind != frameMessage && length > meshTextMax+16) {
		return 0, nil, fmt.Errorf("%w: kind %q of %d bytes", errMeshFrame, kind, length)
	}
	payload = make([]byte, length-1)
	_, err = io.ReadFull(r, payload)
	return kind, payload, err
}

// MeshLink is the way of unlogged messages to one other node.
type MeshLink struct {
	*frameQueue
	peer    broker.NodeID
	Stalled atomic.Bool // a publisher waited for it in vain; until it has room again nobody waits
	taken   counter     // messages that the other node has taken

	table    sync.RWMutex // guards the fields below
	number   uint64       // of the last change of interest that was confirmed
	exact    map[string]struct{}
	patterns map[string]broker.Pattern
	matches  map[string]bool // of the patterns, by destination
}

// AwaitRoom waits up to d for room, and tells whether there is.
func (l *MeshLink) AwaitRoom(d time.Duration) bool { return l.awaitRoom(d) }

// Full tells whether there is no room.
func (l *MeshLink) Full() bool { return l.full() }

// send queues a message and tells which of the link's messages it is.
func (l *MeshLink) send(frame []byte) (number uint64) { return l.putCounting(frame, 1) }

// known is the number of the last change of the other node's interest.
func (l *MeshLink) known() uint64 {
	l.table.RLock()
	defer l.table.RUnlock()
	return l.number
}

// sendIf queues a message unless the interest has changed since, and tells which of the link's messages it is; 0 if it did not go.
func (l *MeshLink) sendIf(known uint64, frame []byte) (number uint64) {
	l.table.RLock()
	defer l.table.RUnlock()
	if l.number != known {
		return 0
	}
	return l.send(frame)
}

// wants tells whether a subscriber of the other node may want messages of dest.
func (l *MeshLink) wants(dest string) bool {
	l.table.RLock()
	_, exact := l.exact[dest]
	if exact || len(l.patterns) == 0 {
		l.table.RUnlock()
		return exact
	}
	match, known := l.matches[dest]
	l.table.RUnlock()
	if known {
		return match
	}
	l.table.Lock()
	defer l.table.Unlock()
	for _, p := range l.patterns {
		match = match || p.Match(dest)
	}
	if len(l.matches) >= meshMatchesMax {
		clear(l.matches)
	}
	l.matches[dest] = match
	return match
}

// hear takes what the other node says: what it wants, and how much it has taken.
func (l *MeshLink) hear(kind byte, payload []byte) error {
	if kind == frameTaken && len(payload) == 8 {
		l.taken.reach(binary.BigEndian.Uint64(payload))
		return nil
	}
	return l.interested(kind, payload)
}

// interested takes a change of the other node's interest, and confirms it.
func (l *MeshLink) interested(kind byte, payload []byte) error {
	if kind != frameInterest || len(payload) < 10 {
		return fmt.Errorf("%w: kind %q of %d bytes", errMeshFrame, kind, len(payload))
	}
	number, add, pattern, text := payload[:8], payload[8] == 1, payload[9] == 1, string(payload[10:])
	l.table.Lock()
	defer l.table.Unlock()
	if err := l.changeLocked(text, pattern, add); err != nil {
		return err
	}
	l.number = binary.BigEndian.Uint64(number)
	l.put(endFrame(append(beginFrame(nil, frameConfirm), number...)))
	return nil
}

func (l *MeshLink) changeLocked(text string, pattern, add bool) error {
	_, known := l.patterns[text]
	switch {
	case pattern && add && known: // one more subscription
	case pattern && add:
		p, err := broker.ParsePattern(text)
		if err != nil {
			return fmt.Errorf("%w: %w", errMeshFrame, err)
		}
		l.patterns[text] = p
		clear(l.matches)
	case pattern:
		delete(l.patterns, text)
		clear(l.matches)
	case add:
		l.exact[text] = struct{}{}
	default:
		delete(l.exact, text)
	}
	return nil
}

// take serves a link that another node has opened. It is the handler of the port. A node has one link: a new one ends the one before.
func (m *mesh) take(conn net.Conn, peer member) {
	l := &MeshLink{
		frameQueue: newFrameQueue(conn), peer: peer.node, exact: make(map[string]struct{}),
		patterns: make(map[string]broker.Pattern), matches: make(map[string]bool),
	}
	m.replace(l)
	var writing sync.WaitGroup
	writing.Go(l.write)
	err := l.read(l.hear, func() {})
	if errors.Is(err, errMeshFrame) {
		m.node.logger.Warn("link of a node ended", "node", peer.node.String(), "error", err)
	}
	writing.Wait()
	m.drop(l)
}

func (m *mesh) replace(l *MeshLink) {
	m.mu.Lock()
	defer m.mu.Unlock()
	outs := []*MeshLink{l}
	for _, other := range *m.outs.Load() {
		if other.peer == l.peer {
			other.end()
		} else {
			outs = append(outs, other)
		}
	}
	m.outs.Store(&outs)
}

func (m *mesh) drop(l *MeshLink) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var outs []*MeshLink
	for _, other := range *m.outs.Load() {
		if other != l {
			outs = append(outs, other)
		}
	}
	m.outs.Store(&outs)
}

// meshInlet is the end of a link at the node that opened it.
type meshInlet struct {
	*frameQueue
	confirmed uint64 // guarded by the mesh's mu
	taken     uint64 // messages taken; of the reading goroutine
	told      uint64 // how many of them the other side knows of; of the reading goroutine
}

// queueLocked queues a frame; the caller holds the mesh's mu, so that the changes go out in their order.
func (l *meshInlet) queueLocked(frame []byte) { l.put(frame) }

// runLink keeps a link to one other member until ctx ends.
func (m *mesh) runLink(ctx context.Context, peer broker.NodeID, addr string) {
	for ctx.Err() == nil {
		dialing, cancel := context.WithTimeout(ctx, dialTimeout)
		conn, who, err := m.node.port.dial(dialing, addr, streamMesh)
		cancel()
		switch {
		case err != nil:
			m.node.logger.Debug("link not opened", "node", peer.String(), "addr", addr, "error", err)
		case who.node != peer:
			_ = conn.Close() // somebody else is at that address
		default:
			m.serve(ctx, conn, peer)
		}
		select {
		case <-time.After(meshPause/2 + rand.N(meshPause)):
		case <-ctx.Done():
		}
	}
}

// serve says what this node wants on a link that is open, and takes what comes, until it ends.
func (m *mesh) serve(ctx context.Context, conn net.Conn, peer broker.NodeID) {
	l := &meshInlet{frameQueue: newFrameQueue(conn)}
	l.stale = meshStale
	stop := context.AfterFunc(ctx, l.end)
	defer stop()
	m.mu.Lock()
	for i := range m.wanted {
		l.queueLocked(appendInterest(nil, m.number.Load(), i, true))
	}
	m.in[peer] = l
	m.mu.Unlock()
	m.node.logger.Info("link opened", "node", peer.String())
	var writing sync.WaitGroup
	writing.Go(l.write)
	err := l.read(func(kind byte, payload []byte) error { return m.receive(l, kind, payload) }, func() {
		m.flush()
		l.tellTaken()
	})
	writing.Wait()
	m.mu.Lock()
	if m.in[peer] == l { // it may have moved, and have another one already
		delete(m.in, peer)
	}
	m.settleLocked(l, ^uint64(0))
	m.mu.Unlock()
	if ctx.Err() == nil {
		m.node.logger.Info("link ended", "node", peer.String(), "error", err)
	}
}

// tellTaken says how many messages were taken.
func (l *meshInlet) tellTaken() {
	if l.told == l.taken {
		return
	}
	l.told = l.taken
	l.put(endFrame(binary.BigEndian.AppendUint64(beginFrame(nil, frameTaken), l.taken)))
}

func (m *mesh) flush() {
	if m.receiver != nil {
		m.receiver.FlushUnlogged()
	}
}

// receive takes one frame at the inlet.
func (m *mesh) receive(l *meshInlet, kind byte, payload []byte) error {
	if len(payload) < 8 {
		return errMeshFrame
	}
	number := binary.BigEndian.Uint64(payload)
	switch kind {
	case frameConfirm:
		m.mu.Lock()
		l.confirmed = max(l.confirmed, number)
		m.settleLocked(l, l.confirmed)
		m.mu.Unlock()
		return nil
	case frameMessage:
		msg, err := broker.DecodeMessage(payload[8:])
		if err != nil {
			return fmt.Errorf("%w: %w", errMeshFrame, err)
		}
		m.counts.received.Add(1)
		if m.receiver != nil {
			m.receiver.ReceiveUnlogged(msg, broker.Seq(number), l.confirmed) // only this goroutine changes it
		}
		if l.taken++; l.taken-l.told >= meshTakenEvery {
			l.tellTaken()
		}
		return nil
	}
	return errMeshFrame
}
