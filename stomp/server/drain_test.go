package server_test

import (
	"context"
	"errors"
	"io"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"stampede/stomp"
	"stampede/stomp/server"
	"stampede/stomp/stomptest"
)

// ending is how and when a client's session ended.
type ending struct {
	at         time.Duration
	code       int // close code over WebSocket
	errorCode  string
	retryAfter string
	err        error
}

// watchEnd reads until the stream ends.
func watchEnd(c *client, began time.Time, to chan<- ending) {
	var e ending
	_ = c.stream.SetReadDeadline(time.Time{})
	for {
		f, err := c.reader.ReadFrame()
		if err != nil {
			e.err = err
			break
		}
		if f.Command == stomp.CommandError {
			e.errorCode, e.retryAfter = f.Value("error-code"), f.Value("retry-after")
			e.at = time.Since(began)
		}
	}
	if w, ok := c.stream.(*stomptest.WebSocketStream); ok {
		e.code, e.at = w.CloseCode(), time.Since(began)
	}
	_ = c.stream.Close()
	to <- e
}

// drainAll drains sessions of one transport and gives their ends in order.
func drainAll(t *testing.T, transport string, sessions int, over time.Duration) (ends []ending, took time.Duration) {
	t.Helper()
	h := newHouse(t, testConfig(), newBackend(), true)
	ended := make(chan ending, sessions)
	began := time.Now()
	for range sessions {
		c, _ := h.connect(t, transport)
		go watchEnd(c, began, ended)
	}
	plan := server.DrainPlan{Over: over, RetryAfter: func(i int) time.Duration { return time.Duration(i+1) * time.Millisecond }}
	if err := h.server.Drain(t.Context(), plan); err != nil {
		t.Errorf("Drain: %v", err)
	}
	took = time.Since(began)
	for range sessions {
		ends = append(ends, <-ended)
	}
	return ends, took
}

func TestDrain(t *testing.T) {
	for _, transport := range transports {
		t.Run("closes sessions evenly over its time, with goodbye, over "+transport, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const sessions, over = 200, 5 * time.Second
				ends, took := drainAll(t, transport, sessions, over)
				if took < over*9/10 || took > over+time.Second {
					t.Errorf("the drain took %v, want %v", took, over)
				}
				var perSecond [6]int
				told := map[string]bool{}
				for _, e := range ends {
					perSecond[min(int(e.at/time.Second), 5)]++
					told[e.retryAfter] = true
					if transport == "ws" && (e.code != 1012 || e.errorCode != "") {
						t.Fatalf("a session ended with %d and %q, want 1012 and no ERROR", e.code, e.errorCode)
					}
					if transport == "tcp" && (e.errorCode != stomp.CodeServerDraining || !errors.Is(e.err, io.EOF)) {
						t.Fatalf("a session ended with %q and %v, want %s", e.errorCode, e.err, stomp.CodeServerDraining)
					}
				}
				for second, n := range perSecond[:5] {
					if n < 35 || n > 45 {
						t.Errorf("%d sessions ended in second %d, want about 40", n, second)
					}
				}
				if transport == "tcp" && len(told) != sessions {
					t.Errorf("%d different retry-after, want %d", len(told), sessions)
				}
			})
		})
	}
	t.Run("is never slower than its pace", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, took := drainAll(t, "ws", 10, time.Hour)
			if most := 10 * time.Second / server.DrainPaceMin; took > most {
				t.Errorf("10 sessions took %v, want at most %v", took, most)
			}
		})
	})
	t.Run("without time all are told at once, without sessions nothing is waited for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			if _, took := drainAll(t, "tcp", 50, 0); took > 0 {
				t.Errorf("it took %v, want no time", took)
			}
			if _, took := drainAll(t, "tcp", 0, time.Hour); took > 0 {
				t.Errorf("without sessions it took %v, want no time", took)
			}
		})
	})
	t.Run("ends with its context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, testConfig(), newBackend(), true)
			for range 100 {
				c, _ := h.connect(t, "tcp")
				go func() { _, _ = io.Copy(io.Discard, c.stream) }()
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := h.server.Drain(ctx, server.DrainPlan{Over: time.Hour}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error = %v, want that of the context", err)
			}
		})
	})
}

// TestDrainAnswers: everything that was sent before is answered before the goodbye.
func TestDrainAnswers(t *testing.T) {
	bubble(t, testConfig(), func(t *testing.T, h *house, transport string) {
		var receipts []string // of the reading goroutine
		h.backend.hooks.send = func(_ *echoLink, f *stomp.Frame) *stomp.ProtocolError {
			receipts = append(receipts, f.Value("receipt")) // owed until the log has it
			return nil
		}
		h.backend.hooks.disconnect = func(l *echoLink, receipt string) {
			time.Sleep(time.Minute)
			for _, id := range receipts {
				l.session.Receipt(id)
			}
			l.receipt(receipt)
			l.session.Finish()
		}
		c, l := h.connect(t, transport)
		for i := range 5 {
			c.send("SEND\ndestination:/queue/a\nreceipt:" + strconv.Itoa(i) + "\n\n\x00")
		}
		synctest.Wait()
		if err := h.server.Drain(t.Context(), server.DrainPlan{RetryAfter: func(int) time.Duration { return time.Second }}); err != nil {
			t.Errorf("Drain: %v", err)
		}
		time.Sleep(time.Minute)
		for i := range 5 {
			c.wantReceipt(strconv.Itoa(i))
		}
		if transport == "tcp" {
			if got, want := c.wantError(stomp.CodeServerDraining).Value("retry-after"), "1000"; got != want {
				t.Errorf("retry-after = %q, want %q", got, want)
			}
			// Half of it is over: what the client still sends is read, and not handled.
			c.send("SEND\ndestination:/queue/a\nreceipt:late\n\n\x00")
		}
		if got, want := c.wantEnd(), map[string]int{"ws": 1012}[transport]; got != want {
			t.Errorf("close code = %d, want %d", got, want)
		}
		_ = c.stream.Close()
		synctest.Wait()
		if got, want := l.noted(), "send send send send send disconnect close"; got != want {
			t.Errorf("the link saw %q, want %q", got, want)
		}
	})
}

func TestDrainRefuses(t *testing.T) {
	h := newHouse(t, testConfig(), newBackend(), false)
	if err := h.server.Drain(t.Context(), server.DrainPlan{}); err != nil {
		t.Fatalf("Drain: %v", err)
	}
	c := h.open(t, "tcp")
	if got := c.wantError(stomp.CodeServerDraining).Value("retry-after"); got != "1000" {
		t.Errorf("retry-after = %q, want 1000", got)
	}
	c.wantEnd()
	if _, err := h.dial["ws"](); err == nil {
		t.Error("a draining server takes a WebSocket")
	}
	if got := h.server.Stats().ConnectionsRefused.Load(); got != 2 {
		t.Errorf("refused connections = %d, want 2", got)
	}
}

func TestShutdown(t *testing.T) {
	t.Run("says goodbye and ends every session", func(t *testing.T) {
		bubble(t, testConfig(), func(t *testing.T, h *house, transport string) {
			ended := make(chan ending, 4)
			for range 3 {
				c, _ := h.connect(t, transport)
				go watchEnd(c, time.Now(), ended)
			}
			unconnected := h.open(t, transport)
			go watchEnd(unconnected, time.Now(), ended)
			synctest.Wait()
			if err := h.server.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			for range 4 {
				if e := <-ended; e.code != 1012 && e.errorCode != stomp.CodeServerDraining {
					t.Errorf("a session ended with %d and %q, want a goodbye", e.code, e.errorCode)
				}
			}
			if got := h.server.Stats().ConnectionsActive.Load(); got != 0 {
				t.Errorf("active connections = %d, want none", got)
			}
		})
	})
	t.Run("a link that blocks in Disconnect until Gone ends with the context", func(t *testing.T) {
		bubble(t, testConfig(), func(t *testing.T, h *house, transport string) {
			h.backend.hooks.disconnect = func(l *echoLink, _ string) {
				<-l.session.Gone()
				l.session.Finish()
			}
			_, l := h.connect(t, transport)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			began := time.Now()
			if err := h.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error = %v, want that of the context", err)
			}
			if got := time.Since(began); got < time.Minute || got > time.Minute+5*time.Second {
				t.Errorf("it took %v, want a minute", got)
			}
			if got := l.closes.Load(); got != 1 {
				t.Errorf("the link was closed %d times, want once", got)
			}
		})
	})
	t.Run("a link that blocks in Send until Gone ends with the context", func(t *testing.T) {
		bubble(t, testConfig(), func(t *testing.T, h *house, transport string) {
			h.backend.hooks.send = func(l *echoLink, _ *stomp.Frame) *stomp.ProtocolError {
				<-l.session.Gone()
				return nil
			}
			c, l := h.connect(t, transport)
			c.send("SEND\ndestination:/queue/a\n\n\x00")
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := h.server.Shutdown(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("error = %v, want that of the context", err)
			}
			if got := l.closes.Load(); got != 1 {
				t.Errorf("the link was closed %d times, want once", got)
			}
		})
	})
	t.Run("a linger goes on while the server shuts down", func(t *testing.T) {
		h := newHouse(t, testConfig(), newBackend(), false)
		c, _ := h.connect(t, "tcp")
		c.send("SENDX\n\n\x00")
		shut := make(chan error, 1)
		go func() { shut <- h.server.Shutdown(context.Background()) }()
		junk := make([]byte, 1<<20)
		for i := range 8 {
			if _, err := c.stream.Write(junk); err != nil {
				t.Fatalf("megabyte %d was not taken: %v", i, err)
			}
		}
		f := c.want(stomp.CommandError)
		if got := f.Value("error-code"); got != stomp.CodeUnknownCommand && got != stomp.CodeServerDraining {
			t.Errorf("error-code = %q, want %s, or %s if the shutdown was faster", got, stomp.CodeUnknownCommand, stomp.CodeServerDraining)
		}
		c.wantEnd()
		_ = c.stream.Close()
		if err := receive(t, shut, "Shutdown"); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	t.Run("twice, and without any session", func(t *testing.T) {
		h := newHouse(t, testConfig(), newBackend(), false)
		for range 2 {
			if err := h.server.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		}
	})
}
