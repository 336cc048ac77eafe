package admin

import (
	"net/http"
	"runtime/metrics"
	"time"
)

// This file answers balancers and container platforms.

// HealthHandler serves the health endpoints for the public listener.
func (a *Admin) HealthHandler() http.Handler {
	mux := http.NewServeMux()
	a.mountHealth(mux)
	return mux
}

func (a *Admin) mountHealth(mux *http.ServeMux) {
	mux.HandleFunc("GET /health", a.getHealth)
	mux.HandleFunc("GET /health/ready", a.getHealth)
	mux.HandleFunc("GET /health/live", a.getLive)
	mux.HandleFunc("GET /actuator/health", a.getActuator)
}

// Words of the health status.
const (
	statusOK       = "ok"
	statusDegraded = "degraded" // no leader: goes on serving what it can
	statusStarting = "starting"
	statusDraining = "draining"
)

type health struct {
	Status    string        `json:"status"`
	Timestamp string        `json:"timestamp"`
	WebSocket webSocketPart `json:"websocket"`
	Cluster   clusterPart   `json:"cluster"`
	System    systemPart    `json:"system"`
}

type webSocketPart struct {
	Ready          bool  `json:"ready"`
	Connections    int64 `json:"connections"`
	MaxConnections int   `json:"maxConnections"`
}

type clusterPart struct {
	Node         string  `json:"node"`
	Leader       *string `json:"leader"`
	Role         string  `json:"role"`
	Term         uint64  `json:"term"`
	AppliedIndex uint64  `json:"appliedIndex"`
	Lag          uint64  `json:"lag"`
}

type systemPart struct {
	Memory uint64  `json:"memory"` // bytes obtained from the system
	Uptime float64 `json:"uptime"` // seconds
}

// readiness is the one decision that all endpoints share [A2].
func (a *Admin) readiness() (ready bool, status string) {
	if a.draining.Load() {
		return false, statusDraining
	}
	select {
	case <-a.node.Ready():
	default:
		return false, statusStarting
	}
	switch s := a.node.Status(); {
	case s.Adrift:
		return false, statusStarting
	case s.Leader == "":
		return s.Orphaned < a.config.ReadyOrphaned, statusDegraded
	}
	return true, statusOK
}

func (a *Admin) getHealth(w http.ResponseWriter, _ *http.Request) {
	ready, status := a.readiness()
	s := a.node.Status()
	h := health{
		Status: status, Timestamp: time.Now().UTC().Format(time.RFC3339Nano),
		WebSocket: webSocketPart{
			Ready: ready, Connections: a.server.Stats().ConnectionsActive.Load(), MaxConnections: a.config.WSMaxConnections,
		},
		Cluster: clusterPart{Node: s.Node.String(), Role: s.Role, Term: s.Term, AppliedIndex: s.AppliedIndex, Lag: s.Lag},
		System:  systemPart{Memory: memoryBytes(), Uptime: time.Since(a.start).Seconds()},
	}
	if s.Leader != "" {
		h.Cluster.Leader = &s.Leader
	}
	answer(w, code(ready), h)
}

// getLive tells that the process answers, and nothing else [A1].
func (a *Admin) getLive(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]string{"status": statusOK})
}

// getActuator is the readiness in the shape of Spring Boot's actuator, for target groups made for it.
func (a *Admin) getActuator(w http.ResponseWriter, _ *http.Request) {
	ready, _ := a.readiness()
	word := "UP"
	if !ready {
		word = "OUT_OF_SERVICE"
	}
	answer(w, code(ready), map[string]string{"status": word})
}

func code(ready bool) int {
	if ready {
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}

// memoryBytes is what the process holds of the system's memory; reading it does not stop the world.
func memoryBytes() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
