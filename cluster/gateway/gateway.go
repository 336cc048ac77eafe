package gateway

import (
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"stampede/broker"
	"stampede/cluster"
	"stampede/stomp"
	"stampede/stomp/server"
)

// This file is the gateway itself: what all sessions of the node share.

// Gateway implements server.Backend and cluster.Performer.
type Gateway struct {
	node   *cluster.Node
	logger *slog.Logger
	start  time.Time
	self   broker.NodeID

	sessions      atomic.Uint64 // numbers given out
	subscriptions atomic.Uint64
	unloggedCount atomic.Uint64
	pushed        atomic.Uint64 // every subscription was given all up to this offset, or lags
	policyCount   atomic.Uint64
	policies      atomic.Pointer[broker.PolicyTable]
	policyMu      sync.Mutex // one ReadPolicies at a time
	lastMIME      atomic.Pointer[string]

	router      *router
	refillers   sync.Pool // of *refiller
	collections sync.Pool // of *collection
	stats       Stats

	queues numbered[*queueSub]
	users  numbered[*topicSub]

	linksMu sync.Mutex
	links   map[*link]struct{} // of all sessions; guarded by linksMu
	evicted uint64             // the last incarnation that has ended under its sessions; 0 none; guarded by linksMu

	// Of the fold's goroutine.
	encoder   encoder
	wakes     wakeList
	delivered uint64
	answers   []answer // outcomes of events that are not performed yet

	remote remote // unlogged messages of other nodes

	noticeMu    sync.Mutex // one notice of the broker at a time
	noticeWakes wakeList   // guarded by noticeMu
}

var (
	_ server.Backend    = (*Gateway)(nil)
	_ cluster.Performer = (*Gateway)(nil)
	_ cluster.Receiver  = (*Gateway)(nil)
	_ cluster.Watcher   = (*Gateway)(nil)
)

// New makes the gateway of a node. It starts nothing: the node calls it from Run.
func New(node *cluster.Node, logger *slog.Logger) *Gateway {
	g := &Gateway{
		node: node, logger: logger.With("component", "gateway"), start: time.Now(), self: node.ID(),
		router: newRouter(), links: make(map[*link]struct{}),
	}
	g.refillers.New = func() any { return new(refiller) }
	g.collections.New = func() any { return new(collection) }
	g.stats.Processing = newProcessing()
	g.setPolicies(broker.PolicyTable{})
	return g
}

// Open implements server.Backend.
func (g *Gateway) Open(s *server.Session) (string, server.Link, *stomp.ProtocolError) {
	number := g.sessions.Add(1)
	identity := s.Identity()
	l := &link{
		gateway: g, session: s, version: s.Version(), number: number, user: identity.User,
		unblock: make(chan struct{}, 1),
	}
	if !g.enter(l) {
		return "", nil, elsewhere()
	}
	l.tell(broker.SessionOpened{
		Session: number, User: identity.User, Service: identity.Service, RemoteAddr: s.RemoteAddr(),
	})
	return sessionID(g.self, l.incarnation, number), l, nil
}

// sessionID is the name of a session that its client and operators see.
func sessionID(node broker.NodeID, incarnation, number uint64) string {
	return fmt.Sprintf("%s-%d-%d", node, incarnation, number)
}

// forget takes everything of a session out of the node's tables.
func (g *Gateway) forget(l *link) {
	g.leave(l)
	l.takeLagging()
	for _, s := range l.topics {
		l.dropTopic(s)
	}
	for _, s := range l.queues {
		g.queues.remove(s.number)
		s.close()
	}
	if l.received > 0 {
		g.stats.Received.Add(l.received)
		l.received = 0
	}
}

// numbered finds the subscriptions of this node that the fold knows by their numbers.
type numbered[S any] struct {
	mu sync.RWMutex
	of map[uint64]S // guarded by mu
}

func (n *numbered[S]) add(number uint64, s S) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.of == nil {
		n.of = map[uint64]S{}
	}
	n.of[number] = s
}

func (n *numbered[S]) remove(number uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.of, number)
}

// get gives the zero value for a number that is not there (any more).
func (n *numbered[S]) get(number uint64) S {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.of[number]
}

func (n *numbered[S]) count() int {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return len(n.of)
}

// Subscriptions tells how many subscriptions to topics, queues and user destinations this node holds.
func (g *Gateway) Subscriptions() (topics, queues, users int) {
	g.router.mu.RLock()
	topics = len(g.router.patterns)
	for _, t := range g.router.routes {
		topics += len(t.exact)
	}
	g.router.mu.RUnlock()
	users = g.users.count()
	return topics - users, g.queues.count(), users
}

// now is the node's clock: for unlogged messages, relative expiry and statistics only.
func (g *Gateway) now() time.Time { return time.Now() }

func (g *Gateway) nowInstant() broker.Instant { return broker.Instant(g.now().UnixMilli()) }

// tick is the unit in which the age of a command is kept in its ticket.
const tick = 10 * time.Microsecond

// ticks is the time since the gateway's start in ticks, never 0.
func (g *Gateway) ticks() int64 { return int64(time.Since(g.start)/tick) + 1 }

// A ticket's Aux holds a subscription's number (SUBSCRIBE) or the command's size, and when it came.
const (
	auxBits = 28 // a command is at most 16 MiB and something
	auxMask = 1<<auxBits - 1
)

func packAux(value uint64, begun int64) uint64 { return uint64(begun)<<auxBits | value&auxMask }

func unpackAux(aux uint64) (value uint64, begun int64) { return aux & auxMask, int64(aux >> auxBits) }

// age is the time from begun to now in ticks. begun has lost its upper bits, which change once in eight days.
func age(now, begun int64) int64 { return (now - begun) & (1<<(64-auxBits) - 1) }

// unloggedID makes the message-id of an unlogged message: after the last logged one that its subscriber was given, so
// that it can be resumed after.
func (g *Gateway) unloggedID(place broker.Seq) string {
	b := make([]byte, 0, 40)
	b = append(b, messageIDTag...)
	b = strconv.AppendUint(b, uint64(place), 10)
	b = append(b, '.')
	return string(strconv.AppendUint(b, g.unloggedCount.Add(1), 10))
}

func internalError(err error) *stomp.ProtocolError {
	return &stomp.ProtocolError{
		Code: stomp.CodeInternalError, Severity: stomp.Fatal, Message: "internal error",
		Detail: "The broker could not read its log: " + err.Error(),
	}
}

func stopping() *stomp.ProtocolError {
	return &stomp.ProtocolError{
		Code: stomp.CodeOutcomeUnknown, Severity: stomp.Fatal, Message: "the node stops",
		Detail: "This node stops. What was not receipted may or may not have taken effect; connect again and repeat it.",
	}
}
