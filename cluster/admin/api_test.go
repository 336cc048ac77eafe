package admin_test

import (
	"net/http"
	"strings"
	"testing"

	"stampede/cluster/admin"
	"stampede/stomp"
)

func TestMessages(t *testing.T) {
	r := start(t, admin.Config{})
	s := r.connect(t, "ada")
	for _, d := range []string{"/topic/x", "/queue/x", "/user/queue/x"} {
		s.do(stomp.CommandSubscribe, "id", d, "destination", d)
	}
	t.Run("reach subscribers of all kinds", func(t *testing.T) {
		for destination, id := range map[string]string{"/topic/x": "/topic/x", "/queue/x": "/queue/x", "/user/ada/queue/x": "/user/queue/x"} {
			code, body := r.ask(t, http.MethodPost, "/api/v1/messages", `{"destination":"`+destination+`","headers":{"note":"line\nbreak","content-type":"text/plain"},"body":"hällo"}`)
			wantCode(t, destination, code, body, http.StatusOK, `{"offset":`)
			m := s.expect(stomp.CommandMessage)
			if m.Value("subscription") != id || string(m.Body) != "hällo" || m.Value("note") != "line\nbreak" || m.Value("x-stream-offset") == "" {
				t.Errorf("%s came as %s %v", destination, m.Body, m.Value("note"))
			}
		}
	})
	t.Run("may skip the log and be binary", func(t *testing.T) {
		code, body := r.ask(t, http.MethodPost, "/api/v1/messages", `{"destination":"/topic/x","headers":{"persistent":"false"},"bodyBase64":"AAH/"}`)
		wantCode(t, "unlogged", code, body, http.StatusOK, `{"offset":0}`)
		if m := s.expect(stomp.CommandMessage); string(m.Body) != "\x00\x01\xff" || m.Has("x-stream-offset") {
			t.Errorf("came as %q", m.Body)
		}
	})
	t.Run("are refused for what a SEND would be", func(t *testing.T) {
		for _, c := range []struct {
			body string
			code int
			word string
		}{
			{`{"destination":"/topic/*"}`, http.StatusBadRequest, "invalid-destination"},
			{`{"destination":"/topic/server.events"}`, http.StatusBadRequest, "forbidden-destination"},
			{`{"destination":"/user/queue/x"}`, http.StatusBadRequest, "invalid-destination"},
			{`{"destination":"/topic/x","headers":{"delay":"5"}}`, http.StatusBadRequest, "unsupported-header"},
			{`{"destination":"/topic/x","headers":{"expires":"x"}}`, http.StatusBadRequest, "invalid-header"},
			{`{"destination":"/topic/x","headers":{"":"x"}}`, http.StatusBadRequest, "invalid-header"},
			{`{"destination":"/topic/x","headers":{"a":"x\u0000y"}}`, http.StatusBadRequest, "invalid-header"},
			{`{"destination":"/topic/x","headers":{"a\u0000":"x"}}`, http.StatusBadRequest, "invalid-header"},
			{`{"destination":"/topic/x","headers":{"a":"` + strings.Repeat("x", 100<<10) + `"}}`, http.StatusBadRequest, "invalid-header"},
			{`{"body":"x"}`, http.StatusBadRequest, "missing-header"},
			{`{"destination":"/topic/x","unknown":1}`, http.StatusBadRequest, "unknown field"},
			{`{"destination":5}`, http.StatusBadRequest, "malformed-frame"},
			{``, http.StatusBadRequest, "empty"},
			{`{"destination":"/topic/x","body":"` + strings.Repeat("x", 21<<20) + `"}`, http.StatusRequestEntityTooLarge, "body-too-large"},
		} {
			code, body := r.ask(t, http.MethodPost, "/api/v1/messages", c.body)
			wantCode(t, c.body[:min(len(c.body), 80)], code, body, c.code, c.word)
		}
		s.do(stomp.CommandSend, "destination", "/topic/nobody") // none of them came
	})
}

type policyList struct {
	Items []struct {
		Pattern string
		Policy  map[string]any
	}
}

func TestPolicies(t *testing.T) {
	r := start(t, admin.Config{})
	put := func(t *testing.T, pattern, policy string) {
		t.Helper()
		code, body := r.ask(t, http.MethodPut, "/api/v1/policies?pattern="+pattern, policy)
		wantCode(t, "PUT "+pattern, code, body, http.StatusOK, pattern)
	}
	send := func(destination string) (int, string) {
		return r.ask(t, http.MethodPost, "/api/v1/messages", `{"destination":"`+destination+`"}`)
	}
	t.Run("bound the depth of a queue", func(t *testing.T) {
		put(t, "/queue/small", `{"max-depth":1}`)
		code, body := send("/queue/small")
		wantCode(t, "first", code, body, http.StatusOK, "offset")
		code, body = send("/queue/small")
		wantCode(t, "second", code, body, http.StatusServiceUnavailable, "queue-full")
	})
	t.Run("are listed, changed and removed", func(t *testing.T) {
		put(t, "/topic/a", `{"logged":false,"max-returns":1000}`)
		put(t, "/topic/a", `{"max-deliveries":7}`)
		l := get[policyList](t, r, "/api/v1/policies")
		found := false
		for _, p := range l.Items {
			if p.Pattern == "/topic/a" {
				found = len(p.Policy) == 1 && p.Policy["max-deliveries"] == 7.0
			}
		}
		if !found {
			t.Errorf("policies = %+v, want /topic/a with max-deliveries alone", l.Items)
		}
		code, body := r.ask(t, http.MethodPut, "/api/v1/policies?pattern=/topic/a", `{"max-age":1000}`)
		wantCode(t, "retention, which is not there", code, body, http.StatusBadRequest, "max-age")
		code, body = r.ask(t, http.MethodDelete, "/api/v1/policies?pattern=/topic/a", "")
		wantCode(t, "DELETE", code, body, http.StatusOK, "removed")
		for _, p := range get[policyList](t, r, "/api/v1/policies").Items {
			if p.Pattern == "/topic/a" {
				t.Errorf("policy %+v is still there", p)
			}
		}
	})
	t.Run("logged:false keeps messages out of the log", func(t *testing.T) {
		put(t, "/topic/unlogged.*", `{"logged":false}`)
		code, body := send("/topic/unlogged.x")
		wantCode(t, "unlogged", code, body, http.StatusOK, `{"offset":0}`)
		code, body = r.ask(t, http.MethodDelete, "/api/v1/policies?pattern=/topic/unlogged.*", "")
		wantCode(t, "DELETE", code, body, http.StatusOK, "removed")
		if _, body = send("/topic/unlogged.x"); strings.Contains(body, `:0}`) {
			t.Errorf("message after the policy was removed: %s, want an offset", body)
		}
	})
	t.Run("that are none are refused", func(t *testing.T) {
		for _, c := range []struct{ pattern, policy string }{
			{"", `{}`}, {"/topic/a", `{"max-dept":1}`}, {"/topic/a", ``}, {"/topic/a", `{"max-depth":"x"}`}, {"/topic/a", `{"max-depth":-1}`},
		} {
			if code, body := r.ask(t, http.MethodPut, "/api/v1/policies?pattern="+c.pattern, c.policy); code != http.StatusBadRequest {
				t.Errorf("PUT %q %s = %d %s, want 400", c.pattern, c.policy, code, body)
			}
		}
	})
}

type rows struct {
	Items []map[string]any
	More  bool
}

func TestLists(t *testing.T) {
	r := start(t, admin.Config{})
	if got := get[rows](t, r, "/api/v1/sessions"); got.Items == nil || len(got.Items) != 0 || got.More {
		t.Errorf("sessions = %+v, want an empty list", got)
	}
	s := r.connect(t, "ada")
	s.do(stomp.CommandSubscribe, "id", "q", "destination", "/queue/x", "ack", "client", "prefetch-count", "2")
	s.do(stomp.CommandSubscribe, "id", "u", "destination", "/user/queue/x")
	for range 3 {
		s.write(stomp.NewFrame(stomp.CommandSend, "destination", "/queue/x"))
	}
	s.expect(stomp.CommandMessage)
	s.expect(stomp.CommandMessage)
	s.do(stomp.CommandSend, "destination", "/topic/y")

	t.Run("of sessions", func(t *testing.T) {
		got := get[rows](t, r, "/api/v1/sessions")
		if len(got.Items) != 1 || got.Items[0]["user"] != "ada" || got.Items[0]["service"] != true || got.Items[0]["subscriptions"] != 2.0 {
			t.Errorf("sessions = %+v", got)
		}
	})
	t.Run("of destinations", func(t *testing.T) {
		found := map[string]map[string]any{}
		for _, row := range get[rows](t, r, "/api/v1/destinations").Items {
			found[row["name"].(string)] = row
		}
		if q := found["/queue/x"]; q["kind"] != "queue" || q["waiting"] != 1.0 || q["unsettled"] != 2.0 || q["subscriptions"] != 1.0 {
			t.Errorf("queue = %+v", q)
		}
		if y := found["/topic/y"]; y["kind"] != "topic" || y["messages"] != 1.0 || y["lastOffset"] == 0.0 {
			t.Errorf("topic = %+v", y)
		}
	})
	t.Run("of subscriptions", func(t *testing.T) {
		kinds := map[any]map[string]any{}
		for _, row := range get[rows](t, r, "/api/v1/subscriptions").Items {
			kinds[row["kind"]] = row
		}
		if q := kinds["queue"]; q["destination"] != "/queue/x" || q["credit"] != 2.0 || q["unsettled"] != 2.0 {
			t.Errorf("queue subscription = %+v", q)
		}
		if u := kinds["user"]; u["destination"] != "/user/ada/queue/x" || u["user"] != "ada" {
			t.Errorf("user subscription = %+v", u)
		}
	})
	t.Run("and the status", func(t *testing.T) {
		got := get[admin.Status](t, r, "/api/v1/status")
		if got.Node != r.node.ID().String() || got.Leader != got.Node || !got.Ready || got.Status != "ok" || got.Connections != 1 ||
			got.Subscriptions != 2 || len(got.Members) != 1 || got.AppliedSeq == 0 || got.Version != "v0.0.0-test" {
			t.Errorf("status = %+v", got)
		}
	})
}
