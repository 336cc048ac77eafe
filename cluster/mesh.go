package cluster

// This file holds the mesh: which node wants which unlogged messages, and the links on which they travel. Each node opens a link to every
// other member, says on it what its subscribers want, and receives what matches. mesh_link.go has the two ends of a link.

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"stampede/broker"
)

const (
	// meshQueueMax is how much may wait for one node; past it a publisher waits for room, and then the message is dropped for that node.
	meshQueueMax = 4 << 20
	// meshPause lies between two tries to open a link.
	meshPause = 200 * time.Millisecond
	// meshPeersEvery is how often the members are looked at.
	meshPeersEvery = 250 * time.Millisecond
	// confirmWait is how long a subscription waits for the nodes linked to confirm that they know of it.
	confirmWait = time.Second
)

// Receiver takes the unlogged messages that other nodes send. A Performer that is one gets them. Calls for one other node come in the order
// in which it sent, from one goroutine; those for several come at the same time.
type Receiver interface {
	// ReceiveUnlogged takes a message, which is the receiver's to keep. It may be given to subscribers once this node has applied after. The
	// other side knew of all interest up to known when it sent it: who subscribed later must not be given it, since it may have been given
	// it elsewhere.
	ReceiveUnlogged(m *broker.Message, after broker.Seq, known uint64)
	// FlushUnlogged says that no more is at hand for now.
	FlushUnlogged()
}

// MeshStats are the figures of the mesh. All but Links and QueuedBytes only grow.
type MeshStats struct {
	Links                   int // nodes that send to this one, as far as it knows
	Sent, Received, Dropped uint64
	QueuedBytes             int64
}

// interest is what a node's subscribers want: a destination, or a pattern of them.
type interest struct {
	text    string
	pattern bool
}

// mesh holds this node's links.
//
// Goroutines: runMesh, and for each member runLink, which has a writer and a reader while the link is open; for each link that a member
// has opened, the port's and a writer.
type mesh struct {
	node     *Node
	receiver Receiver

	outs   atomic.Pointer[[]*MeshLink] // links of others that are open, for publishers to walk; replaced as a whole
	counts struct{ sent, received, dropped atomic.Uint64 }

	number atomic.Uint64 // of the last change of wanted; changed under mu

	mu      sync.Mutex       // guards the fields below
	wanted  map[interest]int // subscriptions that have it
	in      map[broker.NodeID]*meshInlet
	waiters map[*waiter]struct{}
}

// waiter waits until links have confirmed a change.
type waiter struct {
	number uint64
	links  map[*meshInlet]struct{}
	done   chan struct{}
	timer  *time.Timer
}

func newMesh(n *Node) *mesh {
	m := &mesh{node: n, wanted: make(map[interest]int), in: make(map[broker.NodeID]*meshInlet), waiters: make(map[*waiter]struct{})}
	m.outs.Store(new([]*MeshLink))
	return m
}

// AddInterest notes a subscription of this node to a topic, or to a pattern of topics, and tells the other nodes. number names the
// subscription to ReceiveUnlogged; confirmed is closed when all nodes that are linked at the call know of it, at the latest after a second,
// and is nil when there are none.
func (n *Node) AddInterest(text string, pattern bool) (number uint64, confirmed <-chan struct{}) {
	if n.cfg.Addr == "" {
		return 0, nil // alone
	}
	m := n.mesh
	m.mu.Lock()
	defer m.mu.Unlock()
	i := interest{text, pattern}
	m.wanted[i]++
	number = m.number.Add(1)
	m.tellLocked(i, true)
	return number, m.awaitLocked(number)
}

// RemoveInterest takes back one AddInterest.
func (n *Node) RemoveInterest(text string, pattern bool) {
	if n.cfg.Addr == "" {
		return // alone
	}
	m := n.mesh
	m.mu.Lock()
	defer m.mu.Unlock()
	i := interest{text, pattern}
	if m.wanted[i]--; m.wanted[i] == 0 {
		delete(m.wanted, i)
		m.number.Add(1)
		m.tellLocked(i, false)
	}
}

// tellLocked queues the last change on every link.
func (m *mesh) tellLocked(i interest, add bool) {
	for _, l := range m.in {
		l.queueLocked(appendInterest(nil, m.number.Load(), i, add))
	}
}

// awaitLocked gives what is closed once all open links have confirmed a change, nil when they have.
func (m *mesh) awaitLocked(number uint64) <-chan struct{} {
	var w *waiter
	for _, l := range m.in {
		if l.confirmed >= number {
			continue
		}
		if w == nil {
			w = &waiter{number: number, links: make(map[*meshInlet]struct{}), done: make(chan struct{})}
		}
		w.links[l] = struct{}{}
	}
	if w == nil {
		return nil
	}
	m.waiters[w] = struct{}{}
	w.timer = time.AfterFunc(confirmWait, func() { m.endWait(w) })
	return w.done
}

func (m *mesh) endWait(w *waiter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endWaitLocked(w)
}

func (m *mesh) endWaitLocked(w *waiter) {
	if _, open := m.waiters[w]; open {
		delete(m.waiters, w)
		w.timer.Stop()
		close(w.done)
	}
}

// settleLocked takes a link out of what is waited for: it has confirmed up to number, or has ended.
func (m *mesh) settleLocked(l *meshInlet, number uint64) {
	for w := range m.waiters {
		if number >= w.number {
			delete(w.links, l)
			if len(w.links) == 0 {
				m.endWaitLocked(w)
			}
		}
	}
}

// Interest is the number of the last AddInterest: subscriptions with a higher one came later.
func (n *Node) Interest() uint64 {
	return n.mesh.number.Load()
}

// SendUnlogged gives a stamped unlogged message to the links of the nodes that want it. It does not keep m. Where there is room it goes at once; then
// patience is asked for each link that is full, and tells whether it has room now; nil has none. What finds no room is dropped and counted, and
// what the other node has got new subscribers for meanwhile, who may have had it where they were before. trail, unless nil, notes where it went.
func (n *Node) SendUnlogged(msg *broker.Message, after broker.Seq, patience func(*MeshLink) bool, trail *MeshTrail) {
	outs := *n.mesh.outs.Load()
	if len(outs) == 0 {
		return
	}
	var frame []byte
	var full []*MeshLink
	var known []uint64
	for _, l := range outs {
		if !l.wants(msg.Dest) {
			continue
		}
		if frame == nil {
			frame = appendUnlogged(nil, msg, after)
		}
		if l.full() {
			full, known = append(full, l), append(known, l.known())
			continue
		}
		trail.note(l, l.send(frame))
		n.mesh.counts.sent.Add(1)
	}
	for i, l := range full {
		if patience != nil && patience(l) {
			if number := l.sendIf(known[i], frame); number > 0 {
				trail.note(l, number)
				n.mesh.counts.sent.Add(1)
				continue
			}
		}
		n.mesh.counts.dropped.Add(1)
	}
}

// MeshStats gives the figures of the mesh.
func (n *Node) MeshStats() MeshStats {
	m := n.mesh
	s := MeshStats{Sent: m.counts.sent.Load(), Received: m.counts.received.Load(), Dropped: m.counts.dropped.Load()}
	for _, l := range *m.outs.Load() {
		s.QueuedBytes += l.queued.Load()
	}
	m.mu.Lock()
	s.Links = len(m.in)
	m.mu.Unlock()
	return s
}

// runMesh keeps a link to every other member.
func (n *Node) runMesh(ctx context.Context) error {
	if n.port == nil {
		return nil // alone
	}
	n.port.handle(streamMesh, n.mesh.take)
	ticker := time.NewTicker(meshPeersEvery)
	defer ticker.Stop()
	links := make(map[string]context.CancelFunc) // by node and address
	var running sync.WaitGroup
	defer running.Wait()
	defer func() {
		for _, cancel := range links {
			cancel()
		}
	}()
	for {
		members := n.consensus.Load().standing().members
		now := make(map[string]bool)
		for _, peer := range members {
			key := peer.ID + " " + peer.Addr
			now[key] = true
			if _, has := links[key]; has || peer.ID == n.self.now().Node {
				continue
			}
			id, err := broker.ParseNodeID(peer.ID)
			if err != nil {
				return fmt.Errorf("member %s: %w", peer.ID, err)
			}
			linkCtx, cancel := context.WithCancel(ctx)
			links[key] = cancel
			running.Go(func() { n.mesh.runLink(linkCtx, id, peer.Addr) })
		}
		for key, cancel := range links {
			if !now[key] {
				cancel()
				delete(links, key)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
