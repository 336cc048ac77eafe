package server_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"stampede/stomp"
	"stampede/stomp/server"
)

func TestConnectionsMax(t *testing.T) {
	config := testConfig()
	config.ConnectionsMax = 2
	t.Run("tells a connection too many", func(t *testing.T) {
		h := newHouse(t, config, newBackend(), false)
		h.connect(t, "tcp")
		h.connect(t, "ws")
		c := h.open(t, "tcp")
		// It sends before it reads, so that a close without care would reset the connection.
		c.send("CONNECT\naccept-version:1.2\n\n\x00" + strings.Repeat("\n", 1<<20))
		c.wantError(stomp.CodeTooManyConnections)
		c.wantEnd()
		d := websocket.Dialer{}
		_, response, err := d.Dial("ws://"+h.http+"/ws", nil)
		if err == nil || response == nil {
			t.Fatalf("handshake: %v, want a refusal", err)
		}
		_ = response.Body.Close()
		if got, after := response.StatusCode, response.Header.Get("Retry-After"); got != http.StatusServiceUnavailable || after == "" {
			t.Errorf("status = %d and Retry-After = %q, want %d and a time", got, after, http.StatusServiceUnavailable)
		}
		stats := h.server.Stats()
		if active, all, refused := stats.ConnectionsActive.Load(), stats.ConnectionsTotal.Load(), stats.ConnectionsRefused.Load(); active != 2 || all != 2 || refused != 2 {
			t.Errorf("active, total and refused = %d, %d, %d, want 2, 2, 2", active, all, refused)
		}
	})
	t.Run("a place is free again after a session", func(t *testing.T) {
		b := newBackend()
		closed := make(chan struct{}, 10)
		b.hooks.closed = func(*echoLink) { closed <- struct{}{} }
		h := newHouse(t, config, b, false)
		for range 5 {
			c, _ := h.connect(t, "tcp")
			d, _ := h.connect(t, "ws")
			_, _ = c.stream.Close(), d.stream.Close()
			receive(t, closed, "a Close")
			receive(t, closed, "a Close")
			awaitActive(t, h.server, 0)
		}
	})
	t.Run("one too many that says nothing does not stop the others", func(t *testing.T) {
		h := newHouse(t, config, newBackend(), false)
		c, _ := h.connect(t, "tcp")
		h.connect(t, "tcp")
		for range 3 {
			h.open(t, "tcp")
		}
		_ = c.stream.Close()
		awaitActive(t, h.server, 1)
		h.connect(t, "tcp")
	})
}

// awaitActive waits until so many connections are left.
func awaitActive(t *testing.T, s *server.Server, want int64) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for s.Stats().ConnectionsActive.Load() != want {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("active connections = %d after %v, want %d", s.Stats().ConnectionsActive.Load(), patience, want)
		}
	}
}

func TestConnectionsPerUserMax(t *testing.T) {
	config := testConfig()
	config.ConnectionsPerUserMax = 2
	for _, c := range []struct {
		login   string
		limited bool
	}{{"proven-alice", true}, {"alice", false}, {"proven-service", false}} {
		t.Run(c.login, func(t *testing.T) {
			h := newHouse(t, config, newBackend(), false)
			first, _ := h.connect(t, "tcp", "login:"+c.login)
			h.connect(t, "ws", "login:"+c.login)
			if !c.limited {
				h.connect(t, "tcp", "login:"+c.login)
				return
			}
			third := h.open(t, "tcp")
			third.send("CONNECT\naccept-version:1.2\nlogin:" + c.login + "\n\n\x00")
			third.wantError(stomp.CodeTooManyConnections)
			third.wantEnd()
			_ = third.stream.Close()
			h.connect(t, "tcp", "login:proven-bob")
			_ = first.stream.Close()
			awaitActive(t, h.server, 2)
			h.connect(t, "tcp", "login:"+c.login)
		})
	}
}

func TestOrigins(t *testing.T) {
	cases := []struct {
		allowed []string
		origin  string
		ok      bool
	}{
		{nil, "", true},
		{nil, "http://HOST", true}, // the page came from the server itself
		{nil, "https://HOST", true},
		{nil, "http://evil.example", false},
		{nil, "null", false},
		{nil, "http://HOST.evil.example", false},
		{nil, "://", false},
		{[]string{"https://app.example.com"}, "https://app.example.com", true},
		{[]string{"https://app.example.com"}, "HTTPS://App.Example.com", true},
		{[]string{"https://app.example.com"}, "http://HOST", true},
		{[]string{"https://app.example.com"}, "http://app.example.com", false},
		{[]string{"https://app.example.com"}, "https://app.example.com:8443", false},
		{[]string{"https://app.example.com"}, "", true},
		{[]string{"https://*.example.com"}, "https://a.example.com", true},
		{[]string{"https://*.EXAMPLE.com"}, "https://A.example.com", true},
		{[]string{"https://*.example.com"}, "https://example.com", false},
		{[]string{"https://*.example.com"}, "https://evil.com/.example.com", false},
		{[]string{"https://a.example", "https://b.example:*"}, "https://b.example:3000", true},
		{[]string{"*"}, "https://anybody.example", true},
	}
	for _, c := range cases {
		config := testConfig()
		config.AllowedOrigins = c.allowed
		h := newHouse(t, config, newBackend(), false)
		header := http.Header{}
		if c.origin != "" {
			header.Set("Origin", strings.Replace(c.origin, "HOST", h.http, 1))
		}
		conn, response, err := (&websocket.Dialer{}).Dial("ws://"+h.http+"/ws", header)
		if got := err == nil; got != c.ok {
			t.Errorf("allowed %q, origin %q: taken is %v (%v), want %v", c.allowed, c.origin, got, err, c.ok)
		}
		if err == nil {
			_ = conn.Close()
			continue
		}
		if response == nil || response.StatusCode != http.StatusForbidden || h.server.Stats().OriginsRefused.Load() != 1 {
			t.Errorf("allowed %q, origin %q: %v, want status 403, counted", c.allowed, c.origin, err)
		}
	}
}

func TestCookie(t *testing.T) {
	cookie := func(t *testing.T, response *http.Response) *http.Cookie {
		t.Helper()
		cookies := response.Cookies()
		if len(cookies) != 1 || cookies[0].Name != "WEBSOCKET_SESSION" {
			t.Fatalf("cookies = %v, want WEBSOCKET_SESSION", cookies)
		}
		c := cookies[0]
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Value == "" {
			t.Errorf("cookie = %v, want HttpOnly, SameSite=Lax, Path=/ and a value", c)
		}
		return c
	}
	t.Run("http", func(t *testing.T) {
		h := newHouse(t, testConfig(), newBackend(), false)
		_, response := h.dialWebSocket(t, false, nil)
		first := cookie(t, response)
		if first.Secure {
			t.Error("the cookie is Secure although the client came by http")
		}
		_, response = h.dialWebSocket(t, false, nil)
		if second := cookie(t, response); second.Value == first.Value {
			t.Error("two handshakes got the same cookie")
		}
	})
	t.Run("https at the balancer", func(t *testing.T) {
		h := newHouse(t, testConfig(), newBackend(), false)
		_, response := h.dialWebSocket(t, false, http.Header{"X-Forwarded-Proto": {"https"}})
		if !cookie(t, response).Secure {
			t.Error("the cookie is not Secure although the client came by https")
		}
	})
	t.Run("https", func(t *testing.T) {
		h := newHouse(t, testConfig(), newBackend(), false)
		web := httptest.NewTLSServer(h.server)
		defer web.Close()
		d := websocket.Dialer{TLSClientConfig: web.Client().Transport.(*http.Transport).TLSClientConfig}
		conn, response, err := d.Dial(strings.Replace(web.URL, "https", "wss", 1)+"/ws", nil)
		if err != nil {
			t.Fatalf("dial: %v", err)
		}
		defer func() { _ = conn.Close() }()
		if !cookie(t, response).Secure {
			t.Error("the cookie is not Secure although the client came by https")
		}
	})
}

// TestTLS: a session over TLS, a plain client on the TLS port, and a refusal there that waits for nobody.
func TestTLS(t *testing.T) {
	config := testConfig()
	config.ConnectionsMax = 1
	h := newHouse(t, config, newBackend(), false)
	addr, trust := h.serveTLS(t)
	open := func() *client {
		conn, err := tls.Dial("tcp", addr, trust)
		if err != nil {
			t.Fatalf("dial: %v", err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return &client{t: t, stream: conn, reader: stomp.NewReader(conn, stomp.DefaultLimits())}
	}
	c := open()
	c.send("CONNECT\naccept-version:1.2\n\n\x00")
	c.want(stomp.CommandConnected)
	for range 3 {
		silent, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = silent.Close() }()
	}
	refused := open()
	refused.wantError(stomp.CodeTooManyConnections)
	c.send("SENDX\n\n\x00")
	c.wantError(stomp.CodeUnknownCommand)
	c.wantEnd()
}

func TestConfig(t *testing.T) {
	if err := server.DefaultConfig().Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	bad := server.Config{HeartBeatSendMillis: -1, ErrorPolicy: "mild"}
	err := bad.Validate()
	for _, part := range []string{"heart-beat", "connect timeout", "linger", "stall", "outbox", "body", "service", "subscription", "transaction", "connection limit", "user", "mild"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error = %v, want one that names %q too", err, part)
		}
	}
	if _, err := server.New(bad, newBackend(), loginAuth{}, nil); err == nil {
		t.Error("New takes a bad configuration")
	}
}
