package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"stampede/broker"
	"stampede/cluster"
)

// publish sends count messages, to even and odd in turn, and returns their Seqs.
func publish(t *testing.T, n *running, count int) []broker.Seq {
	t.Helper()
	before := len(n.await(t, 0))
	for i := range count {
		dest := "/topic/even"
		if i%2 == 1 {
			dest = "/topic/odd"
		}
		n.submit(t, "p", sent(dest, fmt.Sprint("body ", i)))
	}
	var seqs []broker.Seq
	for _, o := range n.await(t, before+count)[before:] {
		seqs = append(seqs, o.seq)
	}
	return seqs
}

// scanAll scans in small steps until it has caught up.
func scanAll(t *testing.T, n *running, dest string, match func(string) bool, from broker.Seq, step int) []*broker.Message {
	t.Helper()
	var all []*broker.Message
	for from <= n.Applied() {
		got, next, err := n.Scan(dest, match, from, step, 1<<20, nil)
		if err != nil {
			t.Fatalf("scan from %d: %v", from, err)
		}
		if next <= from {
			t.Fatalf("scan from %d goes on at %d", from, next)
		}
		if len(got) > step {
			t.Fatalf("scan gave %d messages, want at most %d", len(got), step)
		}
		all = append(all, got...)
		from = next
	}
	return all
}

func bodies(msgs []*broker.Message) string {
	var b []string
	for _, m := range msgs {
		b = append(b, strings.TrimPrefix(string(m.Body), "body "))
	}
	return strings.Join(b, " ")
}

func numbers(from, to, step int) string {
	var b []string
	for i := from; i < to; i += step {
		b = append(b, fmt.Sprint(i))
	}
	return strings.Join(b, " ")
}

func TestScan(t *testing.T) {
	const count = 400
	for _, ring := range []struct {
		name   string
		events int
	}{{"from memory", 1 << 14}, {"from disk and memory", 64}, {"from disk", 1}} {
		t.Run(ring.name, func(t *testing.T) {
			cfg := testConfig(t.TempDir())
			cfg.RingEventsMax = ring.events
			n := run(t, cfg)
			seqs := publish(t, n, count)
			any := func(string) bool { return true }
			odd := func(dest string) bool { return dest == "/topic/odd" }

			for _, step := range []int{1, 7, 1000} {
				if got, want := bodies(scanAll(t, n, "/topic/even", nil, 0, step)), numbers(0, count, 2); got != want {
					t.Errorf("even in steps of %d = %s, want %s", step, got, want)
				}
				if got, want := bodies(scanAll(t, n, "", odd, 1, step)), numbers(1, count, 2); got != want {
					t.Errorf("odd in steps of %d = %s, want %s", step, got, want)
				}
				if got, want := bodies(scanAll(t, n, "", any, seqs[count/2], step)), numbers(count/2, count, 1); got != want {
					t.Errorf("second half in steps of %d = %s, want %s", step, got, want)
				}
			}
			if got := scanAll(t, n, "/topic/none", nil, 1, 10); len(got) != 0 {
				t.Errorf("messages of a destination without any = %d, want none", len(got))
			}
			for i, seq := range seqs {
				m, err := n.Message(seq)
				if err != nil || m.Seq != seq || string(m.Body) != fmt.Sprint("body ", i) {
					t.Fatalf("message %d = %+v, %v, want body %d", seq, m, err, i)
				}
			}
			if _, err := n.Message(n.Applied() + 1); !errors.Is(err, cluster.ErrNoMessage) {
				t.Errorf("message of the future: %v, want %v", err, cluster.ErrNoMessage)
			}
			if first, last := n.Bounds("/topic/odd"); first != seqs[1] || last != seqs[count-1] {
				t.Errorf("bounds = %d, %d, want %d, %d", first, last, seqs[1], seqs[count-1])
			}
		})
	}

	t.Run("stops at the limit of bytes, but never before the first message", func(t *testing.T) {
		n := run(t, testConfig(t.TempDir()))
		n.submit(t, "a", sent("/topic/x", strings.Repeat("a", 100)), sent("/topic/x", strings.Repeat("b", 100)), sent("/topic/x", "c"))
		n.await(t, 3)
		got, next, err := n.Scan("/topic/x", nil, 1, 10, 150, nil)
		if err != nil || len(got) != 1 || next != got[0].Seq+1 {
			t.Fatalf("scan of 150 bytes = %d messages, next %d, %v, want one", len(got), next, err)
		}
		got, _, err = n.Scan("/topic/x", nil, next, 10, 1, got)
		if err != nil || len(got) != 2 || got[1].Body[0] != 'b' {
			t.Errorf("scan of 1 byte appended %d messages, %v, want the second", len(got)-1, err)
		}
	})

	t.Run("finds messages of before a restart", func(t *testing.T) {
		cfg := testConfig(t.TempDir())
		n := run(t, cfg)
		seqs := publish(t, n, 10)
		at, err := n.Message(seqs[4])
		if err != nil {
			t.Fatal(err)
		}
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
		n = run(t, cfg)
		if got, want := bodies(scanAll(t, n, "/topic/odd", nil, 1, 3)), numbers(1, 10, 2); got != want {
			t.Errorf("odd = %s, want %s", got, want)
		}
		if first, last := n.Bounds("/topic/even"); first != seqs[0] || last != seqs[8] {
			t.Errorf("bounds = %d, %d, want %d, %d", first, last, seqs[0], seqs[8])
		}
		if n.Recent(seqs[0]) != nil {
			t.Error("a message of before the restart is in the ring")
		}
		seq, err := n.SeqAt(at.At)
		if err != nil || seq > at.Seq || seq < seqs[0] {
			t.Errorf("seq at %d = %d, %v, want at most %d", at.At, seq, err, at.Seq)
		}
		if seq, err = n.SeqAt(at.At + 3_600_000); err != nil || seq != n.Applied()+1 {
			t.Errorf("seq in an hour = %d, %v, want %d", seq, err, n.Applied()+1)
		}
	})

	t.Run("misses nothing that leaves memory while it looks", func(t *testing.T) {
		cfg := testConfig(t.TempDir())
		cfg.RingEventsMax = 64
		n := run(t, cfg)
		const count = 20_000
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range count {
				n.submit(t, "p", sent("/topic/x", fmt.Sprint("body ", i)))
			}
		}()
		any := func(string) bool { return true }
		for from, want := broker.Seq(1), 0; want < count; {
			got, next, err := n.Scan("", any, from, 50, 1<<20, nil)
			if err != nil {
				t.Fatalf("scan from %d: %v", from, err)
			}
			for _, m := range got {
				if string(m.Body) != fmt.Sprint("body ", want) {
					t.Fatalf("message %d has %s, want body %d", m.Seq, m.Body, want)
				}
				want++
			}
			from = next
		}
		<-done
	})

	t.Run("has a message before it is performed", func(t *testing.T) {
		r := newRecorder()
		var n *running
		started := make(chan struct{})
		missing := 0
		r.onStored = func(m *broker.Message) {
			<-started
			if n.Recent(m.Seq) != m || n.Applied() < m.Seq {
				missing++
			}
		}
		n = runWith(t, testConfig(t.TempDir()), r)
		close(started)
		publish(t, n, 100)
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
		if missing > 0 {
			t.Errorf("%d of 100 messages were performed before they could be read", missing)
		}
	})
}

func TestStatus(t *testing.T) {
	cfg := testConfig(t.TempDir())
	n := run(t, cfg)
	publish(t, n, 10)
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	s := n.Status()
	if s.Node != n.ID() || s.Incarnation != 1 || s.Name != cfg.Name || s.Cluster == "" {
		t.Errorf("identity in %+v", s)
	}
	if s.Role != "stopped" || s.AppliedSeq != n.Applied() || s.Lag != 0 || s.CommandsWaiting != 0 {
		t.Errorf("progress in %+v, want all folded", s)
	}
	if s.DigestSeq != s.AppliedSeq || s.DigestIndex != s.AppliedIndex || s.Digest == 0 || s.Chain == 0 {
		t.Errorf("digest in %+v, want that of the last seq", s)
	}
	if s.Counts.Topics != 2 || s.Counts.Nodes != 1 {
		t.Errorf("counts = %+v, want two topics and one node", s.Counts)
	}
}

func TestInspect(t *testing.T) {
	n := run(t, testConfig(t.TempDir()))
	publish(t, n, 4)
	var next broker.Seq
	if err := n.Inspect(context.Background(), func(s *broker.State) { next = s.Next() }); err != nil || next != n.Applied()+1 {
		t.Errorf("inspect = %v, next %d, want %d", err, next, n.Applied()+1)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := n.Inspect(ctx, func(*broker.State) { t.Error("inspected after the context ended") }); !errors.Is(err, context.Canceled) {
		t.Errorf("inspect = %v, want %v", err, context.Canceled)
	}
}

func TestLimitsComeByTheLog(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Limits.MessageBytesMax = 100
	n := run(t, cfg)
	awaitLimits(t, n, 100)
	n.submit(t, "big", sent("/topic/x", strings.Repeat("x", 200)))
	if got := n.await(t, 1)[0].refusal; got != broker.RefusedTooLarge {
		t.Errorf("outcome of a large message = %v, want %v", got, broker.RefusedTooLarge)
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	report, err := cluster.Verify(context.Background(), cfg.DataDir, nil)
	if err != nil || report.Err() != nil {
		t.Errorf("verify = %+v, %v", report, err)
	}
}

// awaitLimits waits until the limits are folded: messages go through the log until then.
func awaitLimits(t *testing.T, n *running, bytes int) {
	t.Helper()
	for range 1000 {
		var limits broker.Limits
		if err := n.Inspect(context.Background(), func(s *broker.State) { limits = s.Limits() }); err != nil {
			t.Fatal(err)
		}
		if limits.MessageBytesMax == bytes {
			n.recorder.mu.Lock()
			n.recorder.outcomes = nil
			n.recorder.mu.Unlock()
			return
		}
		n.submit(t, "turn", sent("/topic/turn", ""))
		n.await(t, 1)
	}
	t.Fatal("limits do not come")
}
