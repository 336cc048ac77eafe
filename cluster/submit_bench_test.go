package cluster_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"stampede/broker"
	"stampede/cluster"
)

// counter is a Performer that only counts, and lets the submitter go on.
type counter struct {
	done  atomic.Int64
	space chan struct{} // of the capacity of the window
}

func (c *counter) Outcome(cluster.Ticket, broker.Seq, broker.Refusal) { c.done.Add(1); <-c.space }
func (c *counter) Perform(*broker.Effects)                            {}
func (c *counter) Flush()                                             {}
func (c *counter) Unanswered(cluster.Ticket, bool)                    {}
func (c *counter) Evicted()                                           {}

// BenchmarkSubmit measures Submit -> fsync -> Outcome, one message a submission, with a window of submissions without outcome.
func BenchmarkSubmit(b *testing.B) {
	for _, size := range []int{128} {
		for _, window := range []int{1, 4096} {
			b.Run(fmt.Sprintf("size=%d/window=%d", size, window), func(b *testing.B) {
				benchmarkSubmit(b, size, window)
			})
		}
	}
}

func benchmarkSubmit(b *testing.B, size, window int) {
	cfg := testConfig(b.TempDir())
	cfg.RingEventsMax = cluster.DefaultConfig().RingEventsMax
	c := &counter{space: make(chan struct{}, window)}
	node, err := cluster.Open(cfg, quiet())
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- node.Run(ctx, c) }()
	<-node.Ready()

	facts := broker.AppendFact(nil, broker.MessageSent{Message: &broker.Message{
		Kind: broker.KindTopic, Dest: "/topic/bench", Headers: []byte("content-type:text/plain\n"), Body: make([]byte, size),
	}})
	tickets := []cluster.Ticket{{Owner: c}}
	lone := make([]time.Duration, 0, 1<<16)
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		c.space <- struct{}{}
		if err := node.Submit(ctx, facts, tickets); err != nil {
			b.Fatal(err)
		}
		if window == 1 {
			c.space <- struct{}{}
			<-c.space
			if len(lone) < cap(lone) {
				lone = append(lone, time.Since(start))
			}
		}
	}
	for c.done.Load() < int64(b.N) {
		runtime.Gosched()
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	if len(lone) > 0 {
		slices.Sort(lone)
		b.ReportMetric(float64(lone[len(lone)/2].Microseconds()), "p50-µs")
		b.ReportMetric(float64(lone[len(lone)*99/100].Microseconds()), "p99-µs")
	}
	cancel()
	if err := <-result; err != nil {
		b.Fatal(err)
	}
}
