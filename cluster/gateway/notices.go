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

// AnnounceDrain tells the sessions of this node that it is going away and when to come back elsewhere.
func (g *Gateway) AnnounceDrain(reconnectIn time.Duration) {
	g.notice(destEvents, drainNotice{
		Type: "drain", Message: "This node drains: connect again, the balancer takes you to another.",
		Node: g.self.String(), ReconnectInSeconds: int(reconnectIn.Seconds()),
	})
}

func (g *Gateway) notice(dest string, body any) {
	if !g.router.listened(dest) {
		return
	}
	b, err := json.Marshal(body)
	if err != nil {
		g.logger.Error("notice not encoded", "destination", dest, "error", err)
		return
	}
	g.noticeMu.Lock()
	defer g.noticeMu.Unlock()
	m := &broker.Message{
		Kind: broker.KindTopic, Dest: dest, At: g.nowInstant(), Headers: jsonHeaders, Body: b, Text: true, Node: g.self,
	}
	var e encoder
	e.reset(m, g.unloggedID())
	g.stats.Delivered.Add(g.publishUnlogged(&e, nil))
	g.noticeWakes.wake()
}
