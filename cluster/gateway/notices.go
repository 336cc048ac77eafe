package gateway

import (
	"encoding/json"
	"time"

	"stampede/broker"
)

// This file publishes the broker's own notices: who comes and goes, and what the operators do. They are unlogged: a
// client that was not there asks the admin API for the whole table.

const (
	destPresence = "/topic/server.presence"
	destEvents   = "/topic/server.events"
)

var jsonHeaders = []byte("content-type:application/json\n")

type presenceNotice struct {
	Type    string `json:"type"` // opened or closed
	Session string `json:"session"`
	User    string `json:"user"`
	Node    string `json:"node"`
	At      int64  `json:"timestamp"`
}

func (g *Gateway) presence(what string, e *broker.Effect) {
	g.notice(destPresence, presenceNotice{
		Type: what, Session: sessionID(e.Node, e.Incarnation, e.Session), User: e.User, Node: e.Node.String(), At: g.now().UnixMilli(),
	})
}

type drainNotice struct {
	Type               string `json:"type"`
	Message            string `json:"message"`
	Node               string `json:"node"`
	ReconnectInSeconds int    `json:"reconnectInSeconds"`
}

// AnnounceDrain tells the sessions of all nodes that this one is going away and when its own may come back elsewhere.
func (g *Gateway) AnnounceDrain(reconnectIn time.Duration) {
	g.noticeToAll(destEvents, drainNotice{
		Type: "drain", Node: g.self.String(),
		Message: "Node " + g.self.String() + " drains: its sessions are closed in a while and can go on at another node.", ReconnectInSeconds: int(reconnectIn.Seconds()),
	})
}

// nodeNotice tells of what the log says about nodes. Every node folds it and tells its own subscribers.
type nodeNotice struct {
	Type string `json:"type"` // joined, lost or leader
	Node string `json:"node"`
	At   int64  `json:"timestamp"`
}

func (g *Gateway) nodeEvent(what string, node string) {
	g.notice(destEvents, nodeNotice{Type: what, Node: node, At: g.now().UnixMilli()})
}

// LeaderChanged implements cluster.Watcher: each node tells its own sessions who leads now, "" while nobody is known to.
func (g *Gateway) LeaderChanged(node string) { g.nodeEvent("leader", node) }

// notice tells the subscribers of this node.
func (g *Gateway) notice(dest string, body any) {
	if g.router.listened(dest) {
		g.tellNotice(dest, body, false)
	}
}

// noticeToAll tells the subscribers of all nodes.
func (g *Gateway) noticeToAll(dest string, body any) { g.tellNotice(dest, body, true) }

func (g *Gateway) tellNotice(dest string, body any, everywhere bool) {
	b, err := json.Marshal(body)
	if err != nil {
		g.logger.Error("notice not encoded", "destination", dest, "error", err)
		return
	}
	m := &broker.Message{
		Kind: broker.KindTopic, Dest: dest, At: g.nowInstant(), Headers: jsonHeaders, Body: b, Text: true, Node: g.self,
	}
	g.tellUnlogged(m)
	if everywhere {
		g.node.SendUnlogged(m, 0, nil, nil)
	}
}

// tellUnlogged gives a message that no session has sent to this node's subscribers.
func (g *Gateway) tellUnlogged(m *broker.Message) {
	g.noticeMu.Lock()
	defer g.noticeMu.Unlock()
	var e encoder
	g.stats.Delivered.Add(g.publishUnlogged(m, &e, nil, &g.noticeWakes, everybody))
	g.noticeWakes.wake()
}
