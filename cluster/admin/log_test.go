package admin_test

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"stampede/broker"
	"stampede/cluster"
	"stampede/cluster/admin"
	"stampede/stomp"
)

func TestLog(t *testing.T) {
	r := start(t, admin.Config{})
	s := r.connect(t, "ada")
	s.do(stomp.CommandSubscribe, "id", "q", "destination", "/queue/x", "ack", "client")
	f := stomp.NewFrame(stomp.CommandSend, "destination", "/queue/x", "expires", "99999999999999")
	f.Body = []byte("hello")
	s.write(f)
	ack := s.expect(stomp.CommandMessage).Value("ack")
	s.do(stomp.CommandAck, "id", ack)
	s.do(stomp.CommandBegin, "transaction", "1")
	s.do(stomp.CommandSend, "destination", "/topic/a", "transaction", "1")
	s.do(stomp.CommandSend, "destination", "/topic/b", "transaction", "1")
	s.do(stomp.CommandCommit, "transaction", "1")
	s.write(stomp.NewFrame(stomp.CommandAck, "id", ack, "receipt", "stale"))
	s.expect(stomp.CommandError)
	s.do(stomp.CommandSend, "destination", "/topic/end")

	all := lines[admin.LogEvent](t, r, "/api/v1/log")
	byKind := map[string]admin.LogEvent{}
	for _, e := range all {
		if _, found := byKind[e.Kind+e.Refused]; !found {
			byKind[e.Kind+e.Refused] = e
		}
	}
	t.Run("tells the essentials of each event", func(t *testing.T) {
		sent := byKind["message-sent"]
		if len(sent.Destinations) != 1 || sent.Destinations[0] != "/queue/x" || sent.BodyBytes != 5 || sent.Messages != 1 || sent.Session != 1 ||
			sent.Node != r.node.ID().String() || sent.Incarnation != 1 || sent.N == 0 || sent.Seq == 0 || sent.Index == 0 || sent.Term == 0 {
			t.Errorf("message-sent = %+v", sent)
		}
		if at, err := time.Parse(time.RFC3339, sent.Time); err != nil || time.Since(at).Abs() > time.Minute {
			t.Errorf("time = %s, want now", sent.Time)
		}
		if tx := byKind["transaction-committed"]; tx.Messages != 2 || strings.Join(tx.Destinations, " ") != "/topic/a /topic/b" || !strings.Contains(tx.Detail, "2 actions") {
			t.Errorf("transaction-committed = %+v", tx)
		}
		if sub := byKind["subscription-opened"]; sub.Destinations[0] != "/queue/x" || sub.Subscription != 1 || !strings.Contains(sub.Detail, "client, credit 100") {
			t.Errorf("subscription-opened = %+v", sub)
		}
		if settled := byKind["delivery-settled"]; settled.Subscription != 1 || settled.Detail != "acked up to 1" {
			t.Errorf("delivery-settled = %+v", settled)
		}
		if byKind["delivery-settleddelivery-gone"].Kind == "" {
			t.Error("the refused ACK is not marked")
		}
		if opened := byKind["session-opened"]; opened.User != "ada" || !strings.Contains(opened.Detail, "service") {
			t.Errorf("session-opened = %+v", opened)
		}
		if members := byKind["members-changed"]; members.Seq != 0 || !strings.Contains(members.Detail, "(voter)") {
			t.Errorf("members-changed = %+v", members)
		}
	})
	t.Run("begins and ends where it is asked to", func(t *testing.T) {
		from := byKind["message-sent"].Seq
		got := lines[admin.LogEvent](t, r, "/api/v1/log?count=2&from="+strconv.FormatUint(from, 10))
		if len(got) != 2 || got[0].Seq != from {
			t.Errorf("log from %d = %+v, want two events", from, got)
		}
		if got := lines[admin.LogEvent](t, r, "/api/v1/log?from=1000000"); len(got) != 0 {
			t.Errorf("log from far ahead = %+v, want nothing", got)
		}
		for _, query := range []string{"from=x", "from=-1", "count=1.5"} {
			code, body := r.ask(t, http.MethodGet, "/api/v1/log?"+query, "")
			wantCode(t, query, code, body, http.StatusBadRequest, "whole number")
		}
	})
	t.Run("agrees with the state on disk", func(t *testing.T) {
		got := get[admin.VerifyAnswer](t, r, "/api/v1/log/verify")
		if !got.OK || got.Digest != got.DigestOnDisk || got.Chain != got.ChainOnDisk || len(got.Faults) != 0 || len(got.Digest) != 16 {
			t.Errorf("verify = %+v, want no faults", got)
		}
		type line struct {
			OK    *bool
			Done  uint64
			Total uint64
		}
		all := lines[line](t, r, "/api/v1/log/verify?progress=true")
		if last := all[len(all)-1]; last.OK == nil || !*last.OK {
			t.Errorf("last line = %+v, want ok", last)
		}
	})
}

func TestLogReaders(t *testing.T) {
	r := start(t, admin.Config{})
	for range 3000 {
		if _, err := r.gateway.Publish(t.Context(), "/topic/"+strings.Repeat("x", 250), nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET /api/v1/log HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	// It reads no further, so that the node cannot be done with it: 1.5 MB are on their way.
	code, body := r.ask(t, http.MethodGet, "/api/v1/log/verify", "")
	if code != http.StatusTooManyRequests && code != http.StatusOK {
		t.Errorf("a second reader = %d %s", code, body)
	}
	_ = conn.Close()
	deadline := time.Now().Add(patience)
	for {
		if code, body = r.ask(t, http.MethodGet, "/api/v1/log?count=1", ""); code == http.StatusOK {
			break
		}
		wantCode(t, "a second reader", code, body, http.StatusTooManyRequests, "log-busy")
		if time.Now().After(deadline) {
			t.Fatal("the log stays busy after its reader left")
		}
	}
}

func TestNewLogEvent(t *testing.T) {
	for _, c := range []struct {
		fact broker.Fact
		kind string
		want string // of the detail
	}{
		{broker.NodeStarted{Name: "n", Version: 1}, "node-started", "n, fold version 1"},
		{broker.NodeLost{Incarnation: 3}, "node-lost", "00000000000000000000000000/3"},
		{broker.SessionClosed{Session: 1}, "session-closed", ""},
		{broker.SubscriptionClosed{Sub: 1}, "subscription-closed", ""},
		{broker.SubscriptionOpened{Mode: broker.AckAuto, Credit: 5, CreditBytes: 9, CreditBytesSet: true, Position: 7}, "subscription-opened", "auto, credit 5 and 9 bytes, from 7"},
		{broker.DeliverySettled{From: 2, To: 2, Outcome: broker.Rejected}, "delivery-settled", "rejected 2"},
		{broker.DeliverySettled{From: 2, To: 4, Outcome: broker.Requeued}, "delivery-settled", "requeued 2 to 4"},
		{broker.DeliverySettled{To: 4, Outcome: broker.Taken}, "delivery-settled", "taken up to 4"},
		{broker.DeliverySettled{To: 4, Outcome: 99}, "delivery-settled", "settled up to 4"},
		{broker.UserCovered{UpTo: 8}, "user-covered", "up to 8"},
		{broker.TransactionCommitted{Actions: []broker.Fact{broker.DeliverySettled{Sub: 2, To: 1, Outcome: broker.Acked}}}, "transaction-committed", "1 actions: subscription 2 acked up to 1"},
		{broker.PolicyChanged{Policy: broker.Policy{Set: broker.PolicyLogged}}, "policy-changed", `{"logged":false}`},
		{broker.PolicyRemoved{Pattern: "/topic/x"}, "policy-removed", ""},
		{broker.TimeAdvanced{}, "time-advanced", ""},
		{broker.FoldVersionRaised{Version: 2}, "fold-version-raised", "to 2"},
	} {
		got := admin.NewLogEvent(cluster.LogEntry{Fact: c.fact})
		if got.Kind != c.kind || got.Detail != c.want {
			t.Errorf("%T = %s (%s), want %s (%s)", c.fact, got.Kind, got.Detail, c.kind, c.want)
		}
	}
	known := strings.Join(admin.LogKinds(), " ") + " "
	for _, f := range []broker.Fact{broker.MessageSent{Message: &broker.Message{}}, broker.SessionOpened{}, broker.LimitsChanged{}} {
		if kind := admin.NewLogEvent(cluster.LogEntry{Fact: f, Refusal: broker.RefusedInvalid, Repeated: true}).Kind; !strings.Contains(known, kind+" ") {
			t.Errorf("kind %s is not in LogKinds", kind)
		}
	}
}
