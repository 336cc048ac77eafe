package gateway

import (
	"sync"
	"sync/atomic"

	"stampede/broker"
)

// This file takes the unlogged messages of other nodes' sessions, and keeps those that must not overtake a logged one of the same session
// until this node has applied that one.

// heldBytesMax bounds what is kept on a node; past it a message that would have to wait is dropped and counted.
const heldBytesMax = 16 << 20

// publisher is a session of any node.
type publisher struct {
	node    broker.NodeID
	session uint64
}

// remote holds what came from other nodes and waits for the log.
type remote struct {
	waiting atomic.Bool // held is not empty

	mu      sync.Mutex // guards the fields below
	held    map[publisher][]heldMessage
	bytes   int
	encoder encoder
	wakes   wakeList
	given   uint64 // deliveries not counted yet
}

type heldMessage struct {
	message *broker.Message
	after   broker.Seq
	known   uint64 // interest that its node knew of when it sent it
}

// ReceiveUnlogged implements cluster.Receiver. What comes behind a message of the same session that waits waits too.
func (g *Gateway) ReceiveUnlogged(m *broker.Message, after broker.Seq, known uint64) {
	r := &g.remote
	r.mu.Lock()
	defer r.mu.Unlock()
	from := publisher{m.Node, m.Session}
	if queue := r.held[from]; len(queue) == 0 && after <= broker.Seq(g.pushed.Load()) {
		g.giveRemote(m, known)
		return
	}
	g.hold(from, heldMessage{m, after, known})
	g.releaseLocked(broker.Seq(g.pushed.Load())) // the fold may have passed it before it could know that somebody waits
}

// hold keeps a message; the caller holds the lock.
func (g *Gateway) hold(from publisher, h heldMessage) {
	r := &g.remote
	if r.bytes+h.message.Size() > heldBytesMax {
		g.stats.Dropped.Add(1)
		return
	}
	if r.held == nil {
		r.held = make(map[publisher][]heldMessage)
	}
	r.held[from] = append(r.held[from], h)
	r.bytes += h.message.Size()
	r.waiting.Store(true)
}

// giveRemote gives a message to the subscribers of this node that its sender's node knew of; the caller holds the lock.
func (g *Gateway) giveRemote(m *broker.Message, known uint64) {
	r := &g.remote
	r.given += g.publishUnlogged(m, &r.encoder, nil, &r.wakes, known)
}

// FlushUnlogged implements cluster.Receiver.
func (g *Gateway) FlushUnlogged() {
	g.remote.mu.Lock()
	defer g.remote.mu.Unlock()
	g.flushRemote()
}

func (g *Gateway) flushRemote() {
	r := &g.remote
	r.wakes.wake()
	if r.given > 0 {
		g.stats.Delivered.Add(r.given)
		r.given = 0
	}
}

// releaseHeld gives what may go now that this node has applied a place; on the fold's goroutine.
func (g *Gateway) releaseHeld(applied broker.Seq) {
	r := &g.remote
	if !r.waiting.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	g.releaseLocked(applied)
	g.flushRemote()
}

func (g *Gateway) releaseLocked(applied broker.Seq) {
	r := &g.remote
	for from, queue := range r.held {
		n := 0
		for n < len(queue) && queue[n].after <= applied {
			r.bytes -= queue[n].message.Size()
			g.giveRemote(queue[n].message, queue[n].known)
			n++
		}
		if n == len(queue) {
			delete(r.held, from)
		} else {
			r.held[from] = queue[n:]
		}
	}
	r.waiting.Store(len(r.held) > 0)
}
