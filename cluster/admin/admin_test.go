package admin_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"stampede/cluster/admin"
	"stampede/stomp"
)

type healthBody struct {
	Status    string
	Timestamp time.Time
	WebSocket struct {
		Ready          bool
		Connections    int
		MaxConnections int
	}
	Cluster struct {
		Node   string
		Leader *string
		Role   string
		Term   uint64
	}
	System struct {
		Memory uint64
		Uptime float64
	}
}

func TestHealth(t *testing.T) {
	t.Run("is ok on both listeners", func(t *testing.T) {
		r := start(t, admin.Config{})
		r.connect(t, "ada")
		for _, base := range []string{r.url, r.public} {
			for _, path := range []string{"/health", "/health/ready"} {
				code, body := r.askAs(t, "", http.MethodGet, base+path, "")
				var h healthBody
				if err := json.Unmarshal([]byte(body), &h); err != nil || code != http.StatusOK {
					t.Fatalf("%s = %d %s, %v", path, code, body, err)
				}
				id := r.node.ID().String()
				if h.Status != "ok" || !h.WebSocket.Ready || h.WebSocket.Connections != 1 || h.WebSocket.MaxConnections != 123 ||
					h.Cluster.Node != id || h.Cluster.Leader == nil || *h.Cluster.Leader != id || h.Cluster.Role != "leader" ||
					h.Cluster.Term == 0 || h.System.Memory == 0 || h.System.Uptime < 0 || time.Since(h.Timestamp).Abs() > time.Minute {
					t.Errorf("%s = %s", path, body)
				}
			}
			code, body := r.askAs(t, "", http.MethodGet, base+"/health/live", "")
			wantCode(t, "live", code, body, http.StatusOK, "ok")
			code, body = r.askAs(t, "", http.MethodGet, base+"/actuator/health", "")
			wantCode(t, "actuator", code, body, http.StatusOK, `{"status":"UP"}`)
		}
	})
	t.Run("is not ready before the node has caught up", func(t *testing.T) {
		start(t, admin.Config{}, func(r *running) {
			code, body := r.askAs(t, "", http.MethodGet, r.public+"/health", "")
			wantCode(t, "health", code, body, http.StatusServiceUnavailable, `"status":"starting"`)
			wantCode(t, "health", code, body, http.StatusServiceUnavailable, `"leader":null`)
			code, body = r.askAs(t, "", http.MethodGet, r.public+"/actuator/health", "")
			wantCode(t, "actuator", code, body, http.StatusServiceUnavailable, "OUT_OF_SERVICE")
			code, body = r.askAs(t, "", http.MethodGet, r.public+"/health/live", "")
			wantCode(t, "live", code, body, http.StatusOK, "ok")
		})
	})
	t.Run("is not ready while draining, at once", func(t *testing.T) {
		r := start(t, admin.Config{DrainDelay: 5 * time.Second, DrainTimeout: 20 * time.Second})
		code, body := r.ask(t, http.MethodPost, "/drain", "")
		wantCode(t, "drain", code, body, http.StatusAccepted, `"delaySeconds":5`)
		code, body = r.ask(t, http.MethodPost, "/drain", "") // again
		wantCode(t, "drain", code, body, http.StatusAccepted, "draining")
		for _, path := range []string{"/health", "/health/ready"} {
			code, body = r.askAs(t, "", http.MethodGet, r.public+path, "")
			wantCode(t, path, code, body, http.StatusServiceUnavailable, `"status":"draining"`)
		}
		code, body = r.askAs(t, "", http.MethodGet, r.public+"/health/live", "")
		wantCode(t, "live", code, body, http.StatusOK, "ok")
		select {
		case <-r.admin.DrainRequested():
		default:
			t.Error("the program was not told of the drain")
		}
		r.admin.SetDraining(false)
		code, body = r.askAs(t, "", http.MethodGet, r.public+"/health", "")
		wantCode(t, "health", code, body, http.StatusOK, "ok")
	})
	t.Run("answers while the fold is busy", func(t *testing.T) {
		r := start(t, admin.Config{})
		release := r.hold(t)
		defer release()
		for _, path := range []string{"/health", "/health/live", "/actuator/health", "/metrics"} {
			if code, body := r.ask(t, http.MethodGet, path, ""); code != http.StatusOK {
				t.Errorf("%s = %d %s, want 200", path, code, body)
			}
		}
	})
	t.Run("is all that the public listener has", func(t *testing.T) {
		r := start(t, admin.Config{})
		for _, path := range []string{"/metrics", "/api/v1/status", "/debug/pprof/", "/api/v1/log"} {
			if code, body := r.askAs(t, "", http.MethodGet, r.public+path, ""); code != http.StatusNotFound {
				t.Errorf("%s = %d %s, want 404", path, code, body)
			}
		}
	})
}

func TestToken(t *testing.T) {
	r := start(t, admin.Config{Token: "secret"})
	guarded := map[string]string{
		"/api/v1/status": "GET", "/api/v1/sessions": "GET", "/api/v1/destinations": "GET", "/api/v1/subscriptions": "GET",
		"/api/v1/policies": "GET", "/api/v1/messages": "POST", "/api/v1/log": "GET", "/api/v1/log/verify": "GET", "/drain": "POST",
		"/debug/pprof/": "GET", "/debug/pprof/cmdline": "GET",
	}
	t.Run("is asked for", func(t *testing.T) {
		for path, method := range guarded {
			for _, token := range []string{"", "wrong", "secretly", "Secret"} {
				code, body := r.askAs(t, token, method, r.url+path, "")
				wantCode(t, path+" with "+token, code, body, http.StatusUnauthorized, "unauthorized")
				if strings.Contains(body, "secret") {
					t.Errorf("%s tells the token: %s", path, body)
				}
			}
		}
	})
	t.Run("opens", func(t *testing.T) {
		for path, method := range guarded {
			if path == "/drain" {
				continue
			}
			if code, body := r.ask(t, method, path, ""); code == http.StatusUnauthorized {
				t.Errorf("%s = %d %s, want an answer", path, code, body)
			}
		}
	})
	t.Run("is not asked for by health and metrics", func(t *testing.T) {
		for _, path := range []string{"/health", "/health/live", "/health/ready", "/actuator/health", "/metrics"} {
			if code, body := r.askAs(t, "", http.MethodGet, r.url+path, ""); code != http.StatusOK {
				t.Errorf("%s = %d %s, want 200", path, code, body)
			}
		}
	})
}

func TestMetrics(t *testing.T) {
	r := start(t, admin.Config{})
	t.Run("are there at zero", func(t *testing.T) {
		_, body := r.ask(t, http.MethodGet, "/metrics", "")
		for _, line := range []string{
			"websocket_connections_active 0", "websocket_messages_received_total 0", "websocket_messages_sent_total 0",
			"websocket_message_processing_time_seconds_count 0", "websocket_message_processing_time_seconds_sum 0",
			`websocket_message_processing_time_seconds_bucket{le="0.001"} 0`, `websocket_message_processing_time_seconds_bucket{le="+Inf"} 0`,
			"websocket_connection_errors_total 0", "stampede_messages_dropped_total 0", "stampede_messages_dead_lettered_total 0",
			"stampede_messages_expired_total 0", "stampede_stale_acks_total 0", `stampede_subscriptions{kind="topic"} 0`,
			`stampede_subscriptions{kind="queue"} 0`, `stampede_subscriptions{kind="user"} 0`, "stampede_connections_total 0",
			"stampede_heartbeat_timeouts_total 0", "stampede_raft_is_leader 1", "stampede_ready 1", `stampede_build_info{version="v0.0.0-test"} 1`,
			"# TYPE websocket_message_processing_time_seconds histogram", "# TYPE websocket_messages_sent_total counter", "# TYPE websocket_connections_active gauge",
		} {
			if !strings.Contains(body, line+"\n") {
				t.Errorf("metrics have no %q", line)
			}
		}
	})
	t.Run("count", func(t *testing.T) {
		s := r.connect(t, "zaphod")
		s.do(stomp.CommandSubscribe, "id", "s", "destination", "/topic/x")
		s.write(stomp.NewFrame(stomp.CommandSend, "destination", "/topic/x"))
		s.expect(stomp.CommandMessage)
		s.do(stomp.CommandSend, "destination", "/queue/x")
		_, body := r.ask(t, http.MethodGet, "/metrics", "")
		for _, line := range []string{
			"websocket_connections_active 1", "websocket_messages_received_total 3", "websocket_messages_sent_total 1",
			"websocket_message_processing_time_seconds_count 2", `stampede_subscriptions{kind="topic"} 1`,
		} {
			if !strings.Contains(body, line+"\n") {
				t.Errorf("metrics have no %q", line)
			}
		}
	})
	t.Run("name no user, session or destination", func(t *testing.T) {
		_, body := r.ask(t, http.MethodGet, "/metrics", "")
		for _, word := range []string{"zaphod", "/topic", "/queue"} {
			if strings.Contains(body, word) {
				t.Errorf("metrics have %q", word)
			}
		}
	})
}
