package server_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stampede/stomp"
	"stampede/stomp/server"
)

// What a Backend may rely on.

func TestAwaitSpace(t *testing.T) {
	fill := func(l *echoLink) {
		for !l.session.Full() {
			l.session.Write(nil, make([]byte, 1000), true, false)
		}
		l.session.Wake()
	}
	t.Run("returns at once while there is space", func(t *testing.T) {
		bubble(t, testConfig(), func(t *testing.T, h *house, transport string) {
			_, l := h.connect(t, transport)
			began := time.Now()
			if !l.session.AwaitSpace(time.Hour) || time.Since(began) > 0 {
				t.Errorf("it took %v", time.Since(began))
			}
		})
	})
	t.Run("is false when the time is up", func(t *testing.T) {
		bubble(t, testConfig(), func(t *testing.T, h *house, transport string) {
			_, l := h.connect(t, transport)
			fill(l)
			began := time.Now()
			if l.session.AwaitSpace(time.Second) || time.Since(began) != time.Second {
				t.Errorf("it is true, or took %v, want a second", time.Since(began))
			}
		})
	})
	t.Run("is true for all who wait once the client reads", func(t *testing.T) {
		bubble(t, testConfig(), func(t *testing.T, h *house, transport string) {
			c, l := h.connect(t, transport)
			fill(l)
			got := make(chan bool, 5)
			for range cap(got) {
				go func() { got <- l.session.AwaitSpace(20 * time.Second) }()
			}
			time.Sleep(10 * time.Second)
			_ = c.stream.SetReadDeadline(time.Time{})
			go func() { _, _ = io.Copy(io.Discard, c.stream) }()
			for range cap(got) {
				if !<-got {
					t.Error("it is false although the client reads")
				}
			}
			if l.session.Full() {
				t.Error("the outbox is still full")
			}
		})
	})
	t.Run("lets go when the session ends", func(t *testing.T) {
		bubble(t, testConfig(), func(t *testing.T, h *house, transport string) {
			c, l := h.connect(t, transport)
			fill(l)
			got := make(chan bool, 1)
			go func() { got <- l.session.AwaitSpace(time.Hour) }()
			synctest.Wait()
			_ = c.stream.Close()
			began := time.Now()
			if !<-got || time.Since(began) > time.Second {
				t.Errorf("it is false, or took %v", time.Since(began))
			}
			if !l.session.AwaitSpace(time.Hour) {
				t.Error("an ended session makes wait")
			}
		})
	})
}

func TestRefill(t *testing.T) {
	t.Run("comes when at least half of the outbox is free, and only when asked for", func(t *testing.T) {
		bubble(t, testConfig(), func(t *testing.T, h *house, transport string) {
			var mu sync.Mutex
			var spaces []int
			h.backend.hooks.refill = func(_ *echoLink, space int) {
				mu.Lock()
				spaces = append(spaces, space)
				mu.Unlock()
			}
			count := func() int {
				mu.Lock()
				defer mu.Unlock()
				return len(spaces)
			}
			c, l := h.connect(t, transport)
			for !l.session.Full() {
				l.session.Write(nil, make([]byte, 1000), true, false)
			}
			l.session.RequestRefill()
			l.session.RequestRefill()
			synctest.Wait()
			if got := count(); got != 0 {
				t.Fatalf("%d Refills while the outbox was full", got)
			}
			_ = c.stream.SetReadDeadline(time.Time{})
			go func() { _, _ = io.Copy(io.Discard, c.stream) }()
			synctest.Wait()
			if got := count(); got != 1 {
				t.Fatalf("%d Refills for two requests at once, want 1", got)
			}
			limit := testConfig().OutboxBytesMax
			if got := spaces[0]; got <= limit/2 || got > limit {
				t.Errorf("space = %d, want more than half of %d", got, limit)
			}
			l.session.RequestRefill()
			synctest.Wait()
			if got := count(); got != 2 {
				t.Errorf("%d Refills after another request, want 2", got)
			}
		})
	})
	t.Run("can ask for the next from inside, and end", func(t *testing.T) {
		bubble(t, testConfig(), func(t *testing.T, h *house, transport string) {
			left := 1000 // of the writing goroutine
			h.backend.hooks.refill = func(l *echoLink, space int) {
				for ; left > 0 && space > 0; left-- {
					body := strings.Repeat("m", 5000)
					l.session.Write([]byte("MESSAGE\n\n"), append([]byte(body), 0), true, false)
					space -= len(body)
				}
				if left > 0 {
					l.session.RequestRefill()
				}
			}
			c, l := h.connect(t, transport)
			l.session.RequestRefill()
			for range 1000 {
				c.want(stomp.CommandMessage)
				if got, most := l.session.Queued(), int64(testConfig().OutboxBytesMax+10_000); got > most {
					t.Fatalf("%d bytes wait, want at most %d", got, most)
				}
			}
			c.wantOpen()
		})
	})
}

func TestTrackWrites(t *testing.T) {
	bubble(t, testConfig(), func(t *testing.T, h *house, transport string) {
		var mu sync.Mutex
		var ends []uint64
		h.backend.hooks.written = func(_ *echoLink, end uint64) {
			mu.Lock()
			ends = append(ends, end)
			mu.Unlock()
		}
		last := func() (n int, end uint64) {
			mu.Lock()
			defer mu.Unlock()
			for i := 1; i < len(ends); i++ {
				if ends[i] <= ends[i-1] {
					t.Errorf("Written went from %d to %d", ends[i-1], ends[i])
				}
			}
			if len(ends) == 0 {
				return 0, 0
			}
			return len(ends), ends[len(ends)-1]
		}
		c, l := h.connect(t, transport)
		l.session.Receipt("untracked")
		l.session.Wake()
		c.wantReceipt("untracked")
		synctest.Wait()
		if n, _ := last(); n != 0 {
			t.Errorf("%d calls of Written without TrackWrites", n)
		}
		l.session.TrackWrites(true)
		message := append([]byte("MESSAGE\n\n"), append(make([]byte, 0, 50_000), strings.Repeat("x", 50_000)+"\x00"...)...)
		var end uint64
		for range 10 {
			end, _ = l.session.Write(nil, message, true, false)
			l.session.Wake()
		}
		synctest.Wait()
		if _, got := last(); got >= end {
			t.Errorf("Written = %d of %d before the client read", got, end)
		}
		for range 10 {
			c.want(stomp.CommandMessage)
		}
		synctest.Wait()
		if _, got := last(); got != end {
			t.Errorf("Written = %d after the client read all, want %d", got, end)
		}
	})
}

// TestNeverWritten: what an ending session did not take is never told as written, or a delivery would be lost.
func TestNeverWritten(t *testing.T) {
	bubble(t, testConfig(), func(t *testing.T, h *house, transport string) {
		var last uint64 // of the writing goroutine
		h.backend.hooks.written = func(_ *echoLink, end uint64) { last = end }
		refills := 0 // of the writing goroutine
		h.backend.hooks.refill = func(l *echoLink, _ int) { refills++; l.session.RequestRefill() }
		h.backend.hooks.disconnect = func(l *echoLink, receipt string) {
			l.session.TrackWrites(true)
			l.session.Receipt(receipt)
			l.session.Finish()
			if end, wake := l.session.Write(nil, []byte("MESSAGE\n\n\x00"), true, false); end != server.NeverWritten || wake {
				t.Errorf("a finished session takes a frame up to %d, wake is %v", end, wake)
			}
			l.session.RequestRefill() // is not asked again and again for what goes nowhere
			synctest.Wait()
		}
		c, l := h.connect(t, transport)
		c.send("DISCONNECT\nreceipt:r\n\n\x00")
		c.wantReceipt("r")
		c.wantEnd()
		_ = c.stream.Close()
		synctest.Wait()
		if end, _ := l.session.Write(nil, []byte("MESSAGE\n\n\x00"), true, false); end != server.NeverWritten {
			t.Errorf("an ended session takes a frame up to %d", end)
		}
		if last == 0 || last == server.NeverWritten || refills != 0 {
			t.Errorf("Written = %d and %d Refills, want the position of the goodbye and none", last, refills)
		}
	})
}

func TestLinkCalls(t *testing.T) {
	t.Run("Flush comes before each wait, Heard after each arrival", func(t *testing.T) {
		bubble(t, testConfig(), func(t *testing.T, h *house, transport string) {
			c, l := h.connect(t, transport)
			synctest.Wait()
			for range 3 {
				flushes, heards := l.flushes.Load(), l.heards.Load()
				c.send("SEND\ndestination:/queue/a\n\n\x00")
				synctest.Wait()
				if l.flushes.Load() == flushes || l.heards.Load() == heards {
					t.Errorf("Flush %d times and Heard %d times, want both once more", l.flushes.Load(), l.heards.Load())
				}
				heards = l.heards.Load()
				c.send("\n")
				synctest.Wait()
				if l.heards.Load() == heards {
					t.Error("an EOL was not Heard")
				}
			}
		})
	})
	t.Run("many frames in one read are flushed together", func(t *testing.T) {
		h := newHouse(t, testConfig(), newBackend(), false)
		c, l := h.connect(t, "tcp")
		c.send(strings.Repeat("SEND\ndestination:/queue/a\n\n\x00", 10_000))
		c.wantOpen()
		if sends, flushes := l.sends.Load(), l.flushes.Load(); sends != 10_000 || flushes > sends/10 {
			t.Errorf("%d frames and %d Flushes, want 10000 and far fewer", sends, flushes)
		}
	})
	t.Run("Close is the last, once", func(t *testing.T) {
		bubble(t, testConfig(), func(t *testing.T, h *house, transport string) {
			c, l := h.connect(t, transport)
			c.send("SUBSCRIBE\nid:0\ndestination:/queue/a\n\n\x00UNSUBSCRIBE\nid:0\n\n\x00SEND\ndestination:/queue/a\n\n\x00DISCONNECT\nreceipt:r\n\n\x00")
			c.wantReceipt("r")
			c.wantEnd()
			_ = c.stream.Close()
			synctest.Wait()
			if got, want := l.noted(), "subscribe unsubscribe send disconnect close"; got != want {
				t.Errorf("the link saw %q, want %q", got, want)
			}
		})
	})
	t.Run("the session tells what CONNECT said", func(t *testing.T) {
		for _, transport := range transports {
			h := newHouse(t, testConfig(), newBackend(), false)
			_, l := h.connect(t, transport, "login:proven-alice", "host:tenant")
			s := l.session
			if s.ID() != "s-1" || s.Identity().User != "proven-alice" || s.Version() != stomp.V12 || s.Host() != "tenant" || s.Lenient() || s.RemoteAddr() == "" {
				t.Errorf("session = %q, %v, %v, %q, %v, %q", s.ID(), s.Identity(), s.Version(), s.Host(), s.Lenient(), s.RemoteAddr())
			}
		}
	})
}

// failingListener fails once for a while, then for good.
type failingListener struct {
	net.Listener
	failures []error
}

type shortage struct{ error }

func (shortage) Temporary() bool { return true }

func (f *failingListener) Accept() (net.Conn, error) {
	err := f.failures[0]
	f.failures = f.failures[1:]
	return nil, err
}

func TestServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, testConfig(), newBackend(), true)
		broken := errors.New("broken")
		ln, _ := listen(t, true)
		f := &failingListener{ln, []error{shortage{errors.New("no descriptors")}, shortage{errors.New("none yet")}, broken}}
		if err := h.server.Serve(t.Context(), f, false); !errors.Is(err, broken) {
			t.Errorf("error = %v, want that of the listener", err)
		}
		f.failures = []error{net.ErrClosed}
		if err := h.server.Serve(t.Context(), f, false); err != nil {
			t.Errorf("a closed listener gives %v, want nothing", err)
		}
	})
}

var _ server.Backend = (*echoBackend)(nil)
