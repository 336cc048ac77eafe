package admin

import (
	"fmt"
	"net/http"
	"time"
)

// This file is the node's status, as `stampede status` shows it.

// Status is the body of GET /api/v1/status.
type Status struct {
	Node        string  `json:"node"`
	Cluster     string  `json:"cluster"`           // "" while the node looks for it
	Address     string  `json:"address,omitempty"` // where other nodes find it; "" for a node that stays alone
	Waiting     string  `json:"waiting,omitempty"` // what keeps the node out of its cluster
	Incarnation uint64  `json:"incarnation"`
	Version     string  `json:"version"`
	FoldVersion uint32  `json:"foldVersion"`
	Status      string  `json:"status"` // ok, degraded, starting or draining
	Ready       bool    `json:"ready"`
	Uptime      float64 `json:"uptimeSeconds"`

	Role         string   `json:"role"`
	Leader       string   `json:"leader"` // "" when none is known
	Term         uint64   `json:"term"`
	Members      []Member `json:"members"`
	LastIndex    uint64   `json:"lastIndex"`
	AppliedIndex uint64   `json:"appliedIndex"`
	Lag          uint64   `json:"lag"`
	AppliedSeq   uint64   `json:"appliedSeq"`

	DigestSeq uint64 `json:"digestSeq"` // the place in the log that digest and chain speak of
	Digest    string `json:"digest"`
	Chain     string `json:"chain"`

	Connections   int64 `json:"connections"`
	Sessions      int   `json:"sessions"` // of the whole cluster, as the log knows them
	Subscriptions int   `json:"subscriptions"`
	Topics        int   `json:"topics"`
	Queues        int   `json:"queues"`
	QueueWaiting  int   `json:"queueWaiting"`
	Unsettled     int   `json:"unsettled"`
	UserWaiting   int   `json:"userWaiting"`
}

// Member is one server of the cluster.
type Member struct {
	Node    string `json:"node"`
	Address string `json:"address"`
	Voter   bool   `json:"voter"`
	Leader  bool   `json:"leader"`
	Self    bool   `json:"self"`
}

func (a *Admin) status() Status {
	s := a.node.Status()
	ready, word := a.readiness()
	out := Status{
		Node: s.Node.String(), Cluster: s.Cluster, Address: s.Addr, Waiting: s.Waiting, Incarnation: s.Incarnation, Version: a.config.Version, FoldVersion: s.FoldVersion,
		Status: word, Ready: ready, Uptime: time.Since(a.start).Seconds(),
		Role: s.Role, Leader: s.Leader, Term: s.Term, Members: []Member{}, LastIndex: s.LastIndex,
		AppliedIndex: s.AppliedIndex, Lag: s.Lag, AppliedSeq: uint64(s.AppliedSeq),
		DigestSeq: uint64(s.DigestSeq), Digest: hex(s.Digest), Chain: hex(s.Chain),
		Connections: a.server.Stats().ConnectionsActive.Load(), Sessions: s.Counts.Sessions,
		Topics: s.Counts.Topics, Queues: s.Counts.Queues, QueueWaiting: s.Counts.QueueWaiting,
		Unsettled: s.Counts.Unsettled, UserWaiting: s.Counts.UserWaiting,
	}
	topics, queues, users := a.broker.Subscriptions()
	out.Subscriptions = topics + queues + users
	for _, m := range s.Members {
		out.Members = append(out.Members, Member{Node: m.ID, Address: m.Addr, Voter: m.Voter, Leader: m.Leader, Self: m.ID == s.Node.String()})
	}
	return out
}

func (a *Admin) getStatus(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, a.status())
}

func hex(v uint64) string { return fmt.Sprintf("%016x", v) }
