package cluster_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"stampede/broker"
	"stampede/cluster"
)

func TestNodeReadLog(t *testing.T) {
	t.Run("gives what is applied, while the node goes on", func(t *testing.T) {
		n := run(t, testConfig(t.TempDir()))
		n.submit(t, "a", broker.SessionOpened{Session: 1, User: "ada"}, sent("/topic/x", "one"))
		n.await(t, 2)
		var kinds []string
		err := n.ReadLog(t.Context(), func(e cluster.LogEntry) error {
			if e.Fact != nil {
				kinds = append(kinds, broker.KindName(e.Fact))
			}
			if len(kinds) == 1 { // what comes meanwhile is not read
				n.submit(t, "b", sent("/topic/x", "late"))
				n.await(t, 3)
				kinds = append(kinds, "meanwhile")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := strings.Join(kinds, " "), "NodeStarted meanwhile SessionOpened MessageSent"; got != want {
			t.Errorf("log = %s, want %s", got, want)
		}
	})

	t.Run("ends with what the callback says", func(t *testing.T) {
		n := run(t, testConfig(t.TempDir()))
		enough := errors.New("enough")
		if err := n.ReadLog(t.Context(), func(cluster.LogEntry) error { return enough }); !errors.Is(err, enough) {
			t.Errorf("read log = %v, want %v", err, enough)
		}
	})

	t.Run("says that the node has stopped", func(t *testing.T) {
		n := run(t, testConfig(t.TempDir()))
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
		err := n.ReadLog(t.Context(), func(cluster.LogEntry) error { return nil })
		if !errors.Is(err, cluster.ErrStopped) {
			t.Errorf("read log = %v, want %v", err, cluster.ErrStopped)
		}
		if _, err := n.Verify(t.Context(), nil); !errors.Is(err, cluster.ErrStopped) {
			t.Errorf("verify = %v, want %v", err, cluster.ErrStopped)
		}
	})
}

func TestNodeVerify(t *testing.T) {
	t.Run("agrees with itself while messages come in", func(t *testing.T) {
		cfg := testConfig(t.TempDir())
		n := run(t, cfg)
		publish(t, n, 300)
		ctx, stopPublishing := context.WithCancel(t.Context())
		published := make(chan struct{})
		go publishUntil(ctx, n, published)
		var reports int
		for last := uint64(0); reports < 5 || last == 0; reports++ {
			report, err := n.Verify(t.Context(), func(done, total uint64) {
				if done > total {
					t.Errorf("progress = %d of %d", done, total)
				}
			})
			if err != nil || report.Err() != nil {
				t.Fatalf("verify = %+v, %v", report, err)
			}
			if report.Index < last {
				t.Errorf("verified up to %d after %d", report.Index, last)
			}
			last = report.Index
		}
		stopPublishing()
		<-published
	})

	t.Run("ends with its context", func(t *testing.T) {
		cfg := testConfig(t.TempDir())
		n := run(t, cfg)
		publish(t, n, 10)
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
		n = run(t, cfg) // all of the first run is on disk
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := n.Verify(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("verify = %v, want %v", err, context.Canceled)
		}
	})
}

// publishUntil sends messages until ctx ends.
func publishUntil(ctx context.Context, n *running, done chan<- struct{}) {
	defer close(done)
	facts := broker.AppendFact(nil, sent("/topic/x", strings.Repeat("x", 100)))
	for ctx.Err() == nil {
		if n.Submit(ctx, facts, []cluster.Ticket{{Owner: n}}) != nil {
			return
		}
	}
}
