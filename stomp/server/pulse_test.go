package server_test

import (
	"testing"
	"testing/synctest"
	"time"

	"stampede/stomp"
	"stampede/stomp/server"
)

// bubble runs a test in fake time on both transports.
func bubble(t *testing.T, config server.Config, test func(t *testing.T, h *house, transport string)) {
	t.Helper()
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test(t, newHouse(t, config, newBackend(), true), transport)
			})
		})
	}
}

func TestHeartBeat(t *testing.T) {
	t.Run("a server that has something to say sends no EOL", func(t *testing.T) {
		bubble(t, testConfig(), func(t *testing.T, h *house, transport string) {
			c, l := h.connect(t, transport, "heart-beat:0,10000")
			for range 20 {
				time.Sleep(5 * time.Second)
				l.session.Receipt("x")
				l.session.Wake()
				c.wantReceipt("x")
			}
			synctest.Wait()
			end, _ := l.session.Write(nil, []byte{0}, true, false)
			frame := len("RECEIPT\nreceipt-id:x\n\n\x00")
			connected := len("CONNECTED\nversion:1.2\nsession:s-1\nserver:stampede/test\nheart-beat:10000,0\n\n\x00")
			frames := 1
			if transport == "ws" {
				frame, connected, frames = frame+2, connected+2, 3 // headers of frames, the last one's too
			}
			if got, want := int(end), 20*frame+connected+frames; got != want {
				t.Errorf("the outbox took %d bytes, want %d: no EOLs among them", got, want)
			}
		})
	})
	t.Run("a client is not late while the link blocks its session", func(t *testing.T) {
		config := testConfig()
		config.WebSocketPatience = time.Second
		bubble(t, config, func(t *testing.T, h *house, transport string) {
			h.backend.hooks.send = func(l *echoLink, f *stomp.Frame) *stomp.ProtocolError {
				l.session.PauseHeartBeat(true)
				time.Sleep(time.Hour)
				l.session.PauseHeartBeat(false)
				l.receipt(f.Value("receipt"))
				return nil
			}
			c, _ := h.connect(t, transport, "heart-beat:10000,0")
			c.send("SEND\ndestination:/queue/a\nreceipt:r\n\n\x00")
			time.Sleep(59 * time.Minute)
			go func() { // over the pipe a pong waits until the server reads
				time.Sleep(time.Minute + time.Second)
				c.send("\n")
			}()
			time.Sleep(time.Minute)
			c.wantReceipt("r")
			time.Sleep(15 * time.Second)
			c.send("\n")
			c.wantOpen()
			if got := h.server.Stats().HeartbeatTimeouts.Load(); got != 0 {
				t.Errorf("%d heart-beat timeouts, want none", got)
			}
		})
	})
	t.Run("a WebSocket client that answers no ping is given up after its patience", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, testConfig(), newBackend(), true)
			c, l := h.connect(t, "ws", "heart-beat:10000,0")
			pings := 0
			c.webSocket().SetPingHandler(func(string) error { pings++; return nil })
			began := time.Now()
			_ = c.stream.SetReadDeadline(time.Now().Add(time.Hour))
			f, err := c.reader.ReadFrame()
			if err != nil || f.Value("error-code") != stomp.CodeHeartBeatTimeout {
				t.Fatalf("got %v and %v, want ERROR %s", f, err, stomp.CodeHeartBeatTimeout)
			}
			if got, want := time.Since(began), testConfig().WebSocketPatience; got < want || got > want+time.Second {
				t.Errorf("given up after %v, want %v", got, want)
			}
			if pings < 4 || pings > 6 {
				t.Errorf("%d pings came, want one for each of its intervals", pings)
			}
			if got, want := c.wantEnd(), 1002; got != want {
				t.Errorf("close code = %d, want %d", got, want)
			}
			synctest.Wait()
			if got := l.closes.Load(); got != 1 {
				t.Errorf("the link was closed %d times, want once", got)
			}
		})
	})
}

func TestConnectTimeout(t *testing.T) {
	t.Run("does not count while the login is checked", func(t *testing.T) {
		for _, transport := range transports {
			synctest.Test(t, func(t *testing.T) {
				a := loginAuth{wait: make(chan struct{})}
				h := newHouseWith(t, testConfig(), newBackend(), a, true)
				c := h.open(t, transport)
				time.Sleep(9 * time.Second)
				c.send("CONNECT\naccept-version:1.2\n\n\x00")
				time.Sleep(5 * time.Second)
				close(a.wait)
				c.want(stomp.CommandConnected)
				c.wantOpen()
			})
		}
	})
	t.Run("a login that is not checked in time is refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouseWith(t, testConfig(), newBackend(), loginAuth{wait: make(chan struct{})}, true)
			c := h.open(t, "tcp")
			c.send("CONNECT\naccept-version:1.2\n\n\x00")
			c.wantError(stomp.CodeInternalError)
			c.wantEnd()
		})
	})
	t.Run("is counted, and leaves nothing behind", func(t *testing.T) {
		bubble(t, testConfig(), func(t *testing.T, h *house, transport string) {
			c := h.open(t, transport)
			c.wantError(stomp.CodeConnectTimeout)
			c.wantEnd()
			_ = c.stream.Close()
			time.Sleep(testConfig().LingerTimeout + time.Second)
			stats := h.server.Stats()
			if timeouts, active := stats.ConnectTimeouts.Load(), stats.ConnectionsActive.Load(); timeouts != 1 || active != 0 {
				t.Errorf("timeouts = %d and active connections = %d, want 1 and 0", timeouts, active)
			}
			if len(h.backend.links) != 0 {
				t.Error("the backend was asked for a session")
			}
		})
	})
}

func TestRefusedByBackend(t *testing.T) {
	for _, severity := range []stomp.Severity{stomp.Fatal, stomp.Refused, stomp.Transient} {
		t.Run("closes whatever the severity: "+severity.String(), func(t *testing.T) {
			config := testConfig()
			config.ErrorPolicy = server.PolicyLenient
			bubble(t, config, func(t *testing.T, h *house, transport string) {
				h.backend.refusal = &stomp.ProtocolError{Code: stomp.CodeNoQuorum, Severity: severity, Message: "no", Detail: "No."}
				c := h.open(t, transport)
				c.send("CONNECT\naccept-version:1.2\n\n\x00SEND\ndestination:/queue/a\n\n\x00")
				c.wantError(stomp.CodeNoQuorum)
				c.wantEnd()
			})
		})
	}
}
