package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"stampede/stomp"
)

// endless gives the same bytes again and again.
type endless struct {
	bytes []byte
	at    int
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		k := copy(p[n:], e.bytes[e.at:])
		n += k
		if e.at += k; e.at == len(e.bytes) {
			e.at = 0
		}
	}
	return n, nil
}

// encodedMessages are MESSAGE frames as a broker sends them: some that fill a read, cut where it happens.
func encodedMessages(bodyBytes int, overWebSocket bool) []byte {
	f := stomp.NewFrame(stomp.CommandMessage, "subscription", "0", "message-id", "1-0-123456", "destination", "/topic/bench-0123456789ab", "timestamp", "1700000000000", "x-stream-offset", "123456")
	f.Body = bytes.Repeat([]byte{'x'}, bodyBytes)
	one := stomp.AppendFrame(nil, stomp.V12, f)
	if overWebSocket {
		one = append(appendFrameHeader(nil, opText, len(one), 0), one...)
	}
	return bytes.Repeat(one, 1000)
}

// BenchmarkReceive is what counting one delivery costs, without the socket: at most 400 ns and no allocation.
func BenchmarkReceive(b *testing.B) {
	for _, transport := range []string{"tcp", "ws"} {
		for _, timed := range []bool{false, true} {
			b.Run(fmt.Sprintf("transport=%s/latency=%t", transport, timed), func(b *testing.B) {
				var src io.Reader = &endless{bytes: encodedMessages(128, transport == "ws")}
				if transport == "ws" {
					src = &wsReader{src: src}
				}
				m := &meter{src: src, clock: newStopwatch(), buf: make([]byte, benchReadBytes)}
				r := &receiver{session: &meteredClient{client: &client{reader: stomp.NewReader(m, stomp.DefaultLimits())}, meter: m}, window: newMeasuredTime()}
				m.before = r.publish
				if timed {
					r.latency = &histogram{}
				}
				b.ReportAllocs()
				for b.Loop() {
					if err := r.next(); err != nil {
						b.Fatal(err)
					}
				}
				if r.count == 0 {
					b.Fatal("nothing was counted")
				}
			})
		}
	}
}

// runBench runs a bench with --json and gives its figures.
func runBench(t *testing.T, command interface {
	Run(context.Context) error
}, flags *BenchFlags, args ...string) map[string]float64 {
	t.Helper()
	if err := parseCommand(t, command, append(args, "--json")...); err != nil {
		t.Fatalf("bench %v: %v", args, err)
	}
	out := &lockedBuffer{}
	flags.stdio = stdio{out: out, err: &lockedBuffer{}}
	if err := command.Run(t.Context()); err != nil {
		t.Fatalf("bench %v: %v", args, err)
	}
	var result struct {
		Metrics map[string]float64 `json:"metrics"`
	}
	if err := json.Unmarshal([]byte(out.String()), &result); err != nil {
		t.Fatalf("bench %v printed %q: %v", args, out.String(), err)
	}
	return result.Metrics
}

func TestBenchFanout(t *testing.T) {
	checkLeaks(t)
	for _, scheme := range []string{"tcp", "ws"} {
		t.Run("counts every delivery over "+scheme, func(t *testing.T) {
			c := &FanoutCmd{}
			m := runBench(t, c, &c.BenchFlags, "--against", "bare", "--url", scheme+"://any", "--publishers", "2", "--subscribers", "3",
				"--receipts", "--window", "50", "--latency", "--verify", "--duration", "100ms", "--warmup", "10ms", "--backlog", "5000")
			if m["lost"] != 0 || m["deliveries/s"] <= 0 || m["p99-ms"] <= 0 || m["p99-ms"] > m["max-ms"]+1 || m["receipt-p50-ms"] <= 0 {
				t.Errorf("figures %v, want deliveries, none lost, and latencies", m)
			}
		})
	}
	t.Run("keeps its rate", func(t *testing.T) {
		c := &FanoutCmd{}
		m := runBench(t, c, &c.BenchFlags, "--against", "bare", "--rate", "2000", "--publishers", "2", "--duration", "300ms", "--warmup", "0s")
		if got := m["msg/s"]; got < 1500 || got > 2100 {
			t.Errorf("%v msg/s, want about 2000", got)
		}
		if m["lost"] != 0 || m["p50-ms"] <= 0 {
			t.Errorf("figures %v, want latencies and nothing lost", m)
		}
	})
	t.Run("says what the broker says", func(t *testing.T) {
		url := startScript(t, func(s *scriptConn) {
			s.accept()
			s.expect("SUBSCRIBE")
			s.say("ERROR\nmessage:no topics here\nerror-code:forbidden-destination\n\n\x00")
		})
		c := &FanoutCmd{}
		if err := parseCommand(t, c, "--url", url); err != nil {
			t.Fatal(err)
		}
		if err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "no topics here [forbidden-destination]") {
			t.Errorf("error %v, want the broker's", err)
		}
	})
	t.Run("says whose connection was lost", func(t *testing.T) {
		url := startScript(t, func(s *scriptConn) {
			s.accept()
			s.expect("SEND")
			_ = s.conn.Close()
		})
		c := &FanoutCmd{}
		if err := parseCommand(t, c, "--url", url, "--subscribers", "0", "--duration", "1h"); err != nil {
			t.Fatal(err)
		}
		if err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "publisher 0: ") {
			t.Errorf("error %v, want one of publisher 0", err)
		}
	})
	t.Run("ends when it is interrupted", func(t *testing.T) {
		c := &FanoutCmd{}
		if err := parseCommand(t, c, "--against", "bare", "--duration", "1h"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := c.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want %v", err, context.DeadlineExceeded)
		}
	})
}

func TestBenchQueue(t *testing.T) {
	checkLeaks(t)
	for _, scheme := range []string{"tcp", "ws"} {
		for _, ack := range []string{"auto", "client", "client-individual"} {
			t.Run("processes each message once over "+scheme+" with "+ack, func(t *testing.T) {
				c := &QueueCmd{}
				m := runBench(t, c, &c.BenchFlags, "--url", startTestBroker(t, scheme), "--messages", "5001", "--prefetch", "10", "--ack", ack, "--verify")
				if m["sent"] != 5001 || m["lost"]+m["missing"]+m["duplicates"] != 0 || m["msg/s"] <= 0 {
					t.Errorf("figures %v, want 5001 sent and processed once", m)
				}
			})
		}
	}
	t.Run("fails when a message comes again and another never", func(t *testing.T) {
		url := startQueueThat(t, func(serial int) int { return []int{1, 2, 0, 1}[serial%4] })
		c := &QueueCmd{}
		if err := parseCommand(t, c, "--url", url, "--messages", "8", "--publishers", "1", "--consumers", "1", "--verify"); err != nil {
			t.Fatal(err)
		}
		c.patience = 50 * time.Millisecond
		c.stdio = stdio{out: &lockedBuffer{}, err: &lockedBuffer{}}
		err := c.Run(t.Context())
		if want := "not exactly once: 2 messages missing, 2 processed again, 0 that nobody sent"; err == nil || err.Error() != want {
			t.Errorf("error %v, want %q", err, want)
		}
	})
}

// startQueueThat is a broker of one queue that delivers each message as often as times says. It takes one consumer, then one publisher.
func startQueueThat(t *testing.T, times func(serial int) int) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var playing sync.WaitGroup
	t.Cleanup(playing.Wait)
	accept := func() *scriptConn {
		conn, err := listener.Accept()
		if err != nil {
			return nil
		}
		t.Cleanup(func() { _ = conn.Close() })
		s := &scriptConn{conn: conn, reader: bufio.NewReader(conn)}
		s.accept()
		return s
	}
	playing.Go(func() {
		consumer := accept()
		consumer.receipt(consumer.expect("SUBSCRIBE"))
		playing.Go(func() { consumer.expect("DISCONNECT"); _ = consumer.conn.Close() })
		publisher := accept()
		for serial := 0; ; serial++ {
			frame := publisher.expect("SEND")
			if frame == "" {
				return
			}
			_, body, _ := strings.Cut(frame, "\n\n")
			for range times(serial) {
				consumer.say("MESSAGE\nsubscription:0\nmessage-id:1\ndestination:/queue/a\nack:1\n\n" + body)
			}
			publisher.receipt(frame)
		}
	})
	return "tcp://" + listener.Addr().String()
}

func TestBenchCrowds(t *testing.T) {
	checkLeaks(t)
	for _, scheme := range []string{"tcp", "ws"} {
		url := startTestBroker(t, scheme)
		t.Run("idle over "+scheme, func(t *testing.T) {
			c := &IdleCmd{}
			m := runBench(t, c, &c.BenchFlags, "--url", url, "--sessions", "50", "--hold", "1ms", "--pid", strconv.Itoa(os.Getpid()))
			if m["sessions/s"] <= 0 || m["dropped"] != 0 || m["before-KB"] <= 0 || m["after-KB"] <= 0 {
				t.Errorf("figures %v, want a rate, none dropped, and memory", m)
			}
		})
		t.Run("reconnect over "+scheme, func(t *testing.T) {
			c := &ReconnectCmd{}
			m := runBench(t, c, &c.BenchFlags, "--url", url, "--sessions", "50", "--rounds", "2")
			if m["sessions/s"] <= 0 || m["since-drop-p50-ms"] <= 0 || m["since-drop-max-ms"] < m["since-drop-p50-ms"]*0.9 {
				t.Errorf("figures %v, want a rate and percentiles", m)
			}
		})
	}
	t.Run("idle fails where nobody listens", func(t *testing.T) {
		c := &IdleCmd{}
		if err := parseCommand(t, c, "--url", "tcp://127.0.0.1:1", "--sessions", "3"); err != nil {
			t.Fatal(err)
		}
		if err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "0 of 3 sessions were open") {
			t.Errorf("error %v, want how many were open", err)
		}
	})
}

func TestBenchBareServes(t *testing.T) {
	checkLeaks(t)
	ctx, cancel := context.WithCancel(t.Context())
	notes := &lockedBuffer{}
	c := &BareCmd{Serve: "127.0.0.1:0"}
	c.stdio = stdio{err: notes}
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	notes.await(t, "bare fan-out on tcp://")
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("error %v, want none", err)
	}
}

func TestBenchFlags(t *testing.T) {
	cases := []struct {
		args string
		bad  string
	}{
		{"fanout --publishers 0", "--publishers"},
		{"fanout --subscribers 1000000", "--subscribers"},
		{"fanout --duration 48h", "--duration"},
		{"fanout --persistent maybe", "must be one of"},
		{"fanout --header x", "want name:value"},
		{"fanout --url x://y", "want tcp://"},
		{"fanout --publish-url tcp://a,x://y", "--publish-url: "},
		{"queue --subscribe-url tcp://a --subscribe-url nowhere", "--subscribe-url: "},
		{"queue --publish-url tcp://a:1,tcp://b:1 --subscribe-url ws://c", ""},
		{"queue --consumers 0", "--consumers"},
		{"queue --window 0", "--window"},
		{"idle --sessions 0", "--sessions"},
		{"reconnect --rounds 0", "--rounds"},
		{"bare --serve 127.0.0.1:0", ""},
		{"queue --no-receipts --publishers 3", ""},
	}
	for _, c := range cases {
		err := parseCommand(t, &BenchCmd{}, strings.Fields(c.args)...)
		if (err == nil) != (c.bad == "") || err != nil && !strings.Contains(err.Error(), c.bad) {
			t.Errorf("bench %s: error %v, want %q", c.args, err, c.bad)
		}
	}
	var defaults BenchCmd
	if err := parseCommand(t, &defaults, "queue"); err != nil {
		t.Fatal(err)
	}
	if q := defaults.Queue; q.Publishers != 2 || q.Consumers != 4 || q.Backlog != 100_000 || !q.Receipts {
		t.Errorf("queue defaults %+v, want 2 publishers, 4 consumers, a backlog of 100000 and receipts", q)
	}
}
