package admin

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"stampede/broker"
	"stampede/cluster"
	"stampede/stomp/server"
)

// This file is the admin listener's handler: routes, token, answers.

// Config says how the admin endpoints answer.
type Config struct {
	Token            string        // asked for by everything but /metrics and health; "" asks for none
	DrainDelay       time.Duration // told to who asks for a drain
	DrainTimeout     time.Duration // likewise
	Version          string        // of the program
	WSMaxConnections int           // shown by /health
	ReadyOrphaned    time.Duration // how long a node without a leader stays ready; a balancer must not replace the survivors of a cluster
	Logger           *slog.Logger
}

// Broker is what the endpoints ask of the gateway. All methods may be called from any goroutine and may block until the
// broker has answered or ctx ends.
type Broker interface {
	prometheus.Collector
	// Publish sends one message; headers are name, value pairs. Offset 0: it skipped the log. A fault of the caller's is a *stomp.ProtocolError.
	Publish(ctx context.Context, destination string, headers []string, body []byte) (broker.Seq, error)
	Policies() broker.PolicyTable
	SetPolicy(ctx context.Context, pattern string, p *broker.Policy) error // nil removes it
	Subscriptions() (topics, queues, users int)                            // of this node
}

// Admin serves the HTTP endpoints of one node. Its methods are safe for concurrent use.
type Admin struct {
	config   Config
	node     *cluster.Node
	broker   Broker
	server   *server.Server
	start    time.Time
	draining atomic.Bool
	drain    chan struct{} // capacity 1: POST /drain was called
	reading  sync.Mutex    // held by the one request that reads the log
	metrics  http.Handler
}

// New makes the endpoints of a node. It starts nothing.
func New(config Config, node *cluster.Node, b Broker, srv *server.Server) *Admin {
	a := &Admin{
		config: config, node: node, broker: b, server: srv, start: time.Now(), drain: make(chan struct{}, 1),
	}
	a.config.Logger = config.Logger.With("component", "admin")
	a.metrics = newMetrics(a)
	return a
}

// SetDraining says that the node drains (or does no longer): readiness follows at once.
func (a *Admin) SetDraining(on bool) { a.draining.Store(on) }

// DrainRequested is told each POST /drain.
func (a *Admin) DrainRequested() <-chan struct{} { return a.drain }

// Handler serves the admin listener.
func (a *Admin) Handler() http.Handler {
	mux := http.NewServeMux()
	a.mountHealth(mux)
	mux.Handle("GET /metrics", a.metrics)
	guarded := func(pattern string, h http.HandlerFunc) { mux.Handle(pattern, a.guard(h)) }
	guarded("GET /api/v1/status", a.getStatus)
	guarded("GET /api/v1/sessions", a.getSessions)
	guarded("GET /api/v1/destinations", a.getDestinations)
	guarded("GET /api/v1/subscriptions", a.getSubscriptions)
	guarded("GET /api/v1/policies", a.getPolicies)
	guarded("PUT /api/v1/policies", a.putPolicy)
	guarded("DELETE /api/v1/policies", a.deletePolicy)
	guarded("POST /api/v1/messages", a.postMessage)
	guarded("GET /api/v1/log", a.getLog)
	guarded("GET /api/v1/log/verify", a.getVerify)
	guarded("POST /drain", a.postDrain)
	guarded("GET /debug/pprof/", pprof.Index)
	guarded("GET /debug/pprof/cmdline", pprof.Cmdline)
	guarded("GET /debug/pprof/profile", pprof.Profile)
	guarded("GET /debug/pprof/symbol", pprof.Symbol)
	guarded("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// guard asks for the token [A3].
func (a *Admin) guard(next http.Handler) http.Handler {
	if a.config.Token == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || subtle.ConstantTimeCompare([]byte(given), []byte(a.config.Token)) != 1 {
			a.config.Logger.Warn("admin request without the token", "path", r.URL.Path, "address", r.RemoteAddr)
			w.Header().Set("WWW-Authenticate", "Bearer")
			fail(w, http.StatusUnauthorized, "unauthorized", "send the admin token: Authorization: Bearer <token>")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// postDrain asks the program to drain; it then leaves when it is told to.
func (a *Admin) postDrain(w http.ResponseWriter, _ *http.Request) {
	a.SetDraining(true)
	select {
	case a.drain <- struct{}{}:
	default: // one is under way
	}
	answer(w, http.StatusAccepted, map[string]any{
		"status": "draining", "delaySeconds": a.config.DrainDelay.Seconds(), "timeoutSeconds": a.config.DrainTimeout.Seconds(),
	})
}

// problem is the body of every answer that is not a success.
type problem struct {
	Code    string `json:"error-code"`
	Message string `json:"message"`
}

func fail(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, problem{Code: code, Message: message})
}

func answer(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the client has gone: nobody to tell
}
