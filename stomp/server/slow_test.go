package server_test

import (
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"stampede/stomp"
)

// TestReaderThatNeverReads: what waits for a client that takes nothing is bounded, whatever it does, and its time too.
func TestReaderThatNeverReads(t *testing.T) {
	t.Run("a backend that asks Full stays within the outbox", func(t *testing.T) {
		bubble(t, testConfig(), func(t *testing.T, h *house, transport string) {
			_, l := h.connect(t, transport)
			body := make([]byte, 10_000)
			for !l.session.Full() {
				l.session.Write([]byte("MESSAGE\n\n"), append(body, 0), false, true)
				l.session.Wake()
				synctest.Wait()
			}
			limit := int64(testConfig().OutboxBytesMax)
			if got := l.session.Queued(); got < limit || got > limit+11_000 {
				t.Errorf("%d bytes wait, want between %d and one message more", got, limit)
			}
			wantStalled(t, h, l)
		})
	})
	t.Run("receipts stop the reading of a client that does not read them", func(t *testing.T) {
		bubble(t, testConfig(), func(t *testing.T, h *house, transport string) {
			c, l := h.connect(t, transport)
			wantBlocked(t, c, "BEGIN\ntransaction:t\nreceipt:"+strings.Repeat("r", 10_000)+"\n\n\x00ABORT\ntransaction:t\n\n\x00")
			wantStalled(t, h, l)
		})
	})
	t.Run("errors stop the reading of a lenient client that does not read them", func(t *testing.T) {
		config := testConfig()
		config.ErrorPolicy = "lenient"
		bubble(t, config, func(t *testing.T, h *house, transport string) {
			c, l := h.connect(t, transport)
			wantBlocked(t, c, "SEND\nreceipt:"+strings.Repeat("r", 10_000)+"\n\n\x00")
			wantStalled(t, h, l)
		})
	})
	t.Run("a client that reads after all goes on", func(t *testing.T) {
		bubble(t, testConfig(), func(t *testing.T, h *house, transport string) {
			c, _ := h.connect(t, transport)
			id := strings.Repeat("r", 10_000)
			const frames = 200
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				for range frames {
					_, _ = io.WriteString(c.stream, "BEGIN\ntransaction:t\nreceipt:"+id+"\n\n\x00ABORT\ntransaction:t\n\n\x00")
				}
			}()
			time.Sleep(20 * time.Second)
			for range frames {
				c.wantReceipt(id)
			}
			<-sent
			c.wantOpen()
		})
	})
	t.Run("pings are answered only while there is room", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			config := testConfig()
			config.OutboxBytesMax = 2000
			h := newHouse(t, config, newBackend(), true)
			c, l := h.connect(t, "ws")
			for range 1000 {
				if err := c.webSocket().WriteControl(websocket.PingMessage, make([]byte, 125), time.Now().Add(time.Second)); err != nil {
					t.Fatalf("ping: %v", err)
				}
			}
			synctest.Wait()
			if got := l.session.Queued(); got > 2200 {
				t.Errorf("%d bytes of pongs wait, want no more than the outbox holds", got)
			}
			wantStalled(t, h, l)
		})
	})
	t.Run("a client that takes a little goes on", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, testConfig(), newBackend(), true)
			c, l := h.connect(t, "tcp")
			l.session.Write(nil, make([]byte, 1000), true, false)
			l.session.Wake()
			_ = c.stream.SetReadDeadline(time.Time{})
			for range 10 {
				time.Sleep(25 * time.Second)
				if _, err := io.ReadFull(c.stream, make([]byte, 100)); err != nil {
					t.Fatalf("read: %v", err)
				}
			}
			if got := h.server.Stats().SlowConsumers.Load(); got != 0 {
				t.Errorf("%d slow consumers, want none", got)
			}
		})
	})
}

// wantBlocked sends the frame over and over until the server reads no more, which it does at some point.
func wantBlocked(t *testing.T, c *client, frame string) {
	t.Helper()
	var sent atomic.Int64
	go func() {
		for {
			if _, err := io.WriteString(c.stream, frame); err != nil {
				return
			}
			sent.Add(int64(len(frame)))
		}
	}()
	synctest.Wait()
	config := testConfig()
	if got, most := sent.Load(), int64(config.OutboxBytesMax+512<<10); got > most || got < int64(config.OutboxBytesMax) {
		t.Errorf("the server took %d bytes of frames whose answers nobody reads, want about %d", got, most)
	}
}

// wantStalled lets WriteStallTimeout pass and checks that the session has ended then, and not before.
func wantStalled(t *testing.T, h *house, l *echoLink) {
	t.Helper()
	stall := testConfig().WriteStallTimeout
	time.Sleep(stall * 7 / 10) // the deadline is not set anew at each write
	if l.closes.Load() != 0 {
		t.Error("the session ended before the client stalled")
	}
	time.Sleep(stall*3/10 + time.Second)
	synctest.Wait()
	if got := l.closes.Load(); got != 1 {
		t.Fatalf("the link was closed %d times after the stall, want once", got)
	}
	select {
	case <-l.session.Gone():
	default:
		t.Error("Gone is not closed")
	}
	if got := h.server.Stats().SlowConsumers.Load(); got != 1 {
		t.Errorf("slow consumers = %d, want 1", got)
	}
	if got := h.server.Stats().ConnectionsActive.Load(); got != 0 {
		t.Errorf("active connections = %d, want none", got)
	}
	if _, wake := l.session.Write(nil, []byte("MESSAGE\n\n\x00"), true, false); wake {
		t.Error("an ended session takes a frame")
	}
}

// TestSlowOverLoopback is the same with the system's sockets between.
func TestSlowOverLoopback(t *testing.T) {
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) {
			config := testConfig()
			config.WriteStallTimeout = 300 * time.Millisecond
			b := newBackend()
			closed := make(chan struct{})
			b.hooks.closed = func(*echoLink) { close(closed) }
			h := newHouse(t, config, b, false)
			_, l := h.connect(t, transport)
			message := append(make([]byte, 100_000), 0)
			var most int64
			for ended := false; !ended; {
				if l.session.AwaitSpace(10 * time.Millisecond) {
					l.session.Write([]byte("MESSAGE\n\n"), message, false, true)
					l.session.Wake()
				}
				most = max(most, l.session.Queued())
				select {
				case <-closed:
					ended = true
				default:
				}
			}
			if limit := int64(config.OutboxBytesMax) + 101_000; most > limit {
				t.Errorf("up to %d bytes waited, want at most %d", most, limit)
			}
			if got := h.server.Stats().SlowConsumers.Load(); got != 1 {
				t.Errorf("slow consumers = %d, want 1", got)
			}
		})
	}
}

// TestTransactionKeepsCopies: frames are views that end with the call, and a transaction's frames outlive it.
func TestTransactionKeepsCopies(t *testing.T) {
	b := newBackend()
	h := newHouse(t, testConfig(), b, false)
	c, _ := h.connect(t, "tcp")
	c.send("SUBSCRIBE\nid:0\ndestination:/queue/a\n\n\x00BEGIN\ntransaction:t\n\n\x00")
	for i := range 20 {
		c.send("SEND\ndestination:/queue/a\ntransaction:t\n\n" + strings.Repeat(string(rune('a'+i)), 3000) + "\x00")
	}
	c.send("COMMIT\ntransaction:t\n\n\x00")
	for i := range 20 {
		got := string(c.want(stomp.CommandMessage).Body)
		if want := strings.Repeat(string(rune('a'+i)), 3000); got != want {
			t.Fatalf("message %d = %.20q..., want %.20q...", i, got, want)
		}
	}
}
