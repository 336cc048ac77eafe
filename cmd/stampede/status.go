package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"text/tabwriter"
	"time"

	"stampede/cluster/admin"
)

// This file is `stampede status`.

// StatusCmd shows what a node says of itself and its cluster.
type StatusCmd struct {
	AdminFlags `embed:""`
	JSON       bool   `name:"json" help:"Print JSON."`
	Health     bool   `help:"Only tell by the exit code whether the node answers its liveness probe (for container health checks)."`
	HTTPAddr   string `name:"http-addr" help:"Public HTTP address, for --health." default:"127.0.0.1:8080" placeholder:"HOST:PORT" env:"STAMPEDE_HTTP_ADDR"`
}

// Run asks the node and prints.
func (c *StatusCmd) Run(ctx context.Context) error {
	if c.Health {
		return c.checkHealth(ctx)
	}
	var s admin.Status
	if err := c.get(ctx, "/api/v1/status", &s); err != nil {
		return fmt.Errorf("status: %w", err)
	}
	if c.JSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(s)
	}
	return printStatus(os.Stdout, s)
}

func (c *StatusCmd) checkHealth(ctx context.Context) error {
	f := AdminFlags{Admin: localAddress(c.HTTPAddr)}
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	body, err := f.request(ctx, http.MethodGet, "/health/live")
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	return body.Close()
}

func printStatus(w io.Writer, s admin.Status) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("node", "%s (incarnation %d, version %s, fold version %d)", s.Node, s.Incarnation, s.Version, s.FoldVersion)
	row("cluster", "%s", cmp.Or(s.Cluster, "none yet"))
	if s.Address != "" {
		row("address", "%s", s.Address)
	}
	if s.Waiting != "" {
		row("waiting", "for %s", s.Waiting)
	}
	row("status", "%s, up %s", s.Status, (time.Duration(s.Uptime) * time.Second).String())
	row("role", "%s, term %d, leader %s", s.Role, s.Term, cmp.Or(s.Leader, "none"))
	row("log", "last index %d, applied index %d, lag %d", s.LastIndex, s.AppliedIndex, s.Lag)
	row("appliedSeq", "%d", s.AppliedSeq)
	row("digest", "%s at appliedSeq %d (chain %s)", s.Digest, s.DigestSeq, s.Chain)
	row("sessions", "%d in the cluster, %d connections here", s.Sessions, s.Connections)
	row("destinations", "%d topics, %d queues, %d subscriptions here", s.Topics, s.Queues, s.Subscriptions)
	row("messages", "%d waiting in queues, %d unsettled, %d waiting for users", s.QueueWaiting, s.Unsettled, s.UserWaiting)
	for _, m := range s.Members {
		row("member", "%s at %s, %s%s%s", m.Node, m.Address, voterWord(m.Voter), wordIf(m.Leader, ", leader"), wordIf(m.Self, ", this node"))
	}
	return t.Flush()
}

func voterWord(voter bool) string {
	if voter {
		return "voter"
	}
	return "non-voter"
}

func wordIf(on bool, word string) string {
	if on {
		return word
	}
	return ""
}
