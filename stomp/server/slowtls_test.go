package server_test

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"stampede/stomp"
)

// TestClientThatTakesALargeMessageSlowly: as long as it takes anything it is not given up, over TLS too.
func TestClientThatTakesALargeMessageSlowly(t *testing.T) {
	config := testConfig()
	config.WriteStallTimeout = 500 * time.Millisecond
	h := newHouse(t, config, newBackend(), false)
	secure, trust := h.serveTLS(t)
	for name, addr := range map[string]string{"tcp": h.tcp, "tls": secure} {
		t.Run(name, func(t *testing.T) {
			raw, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = raw.Close() }()
			if err := raw.(*net.TCPConn).SetReadBuffer(128 << 10); err != nil {
				t.Fatal(err)
			}
			conn := raw
			if name == "tls" {
				conn = tls.Client(raw, trust)
			}
			c := &client{t: t, stream: conn, reader: stomp.NewReader(conn, stomp.DefaultLimits())}
			c.send("CONNECT\naccept-version:1.2\n\n\x00")
			c.want(stomp.CommandConnected)
			l := receive(t, h.backend.links, "the session")
			const size = 16 << 20
			l.session.Write([]byte("MESSAGE\n\n"), make([]byte, size), false, true)
			l.session.Wake()
			_ = conn.SetReadDeadline(time.Now().Add(patience))
			pace := time.Tick(20 * time.Millisecond)
			for taken := 0; taken < size; taken += 128 << 10 {
				if _, err := io.ReadFull(conn, make([]byte, 128<<10)); err != nil {
					t.Fatalf("after %d KiB of %d: %v, want the message", taken>>10, size>>10, err)
				}
				<-pace
			}
		})
	}
}
