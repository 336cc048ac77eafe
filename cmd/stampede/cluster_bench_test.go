package main

// cluster_bench_test.go: the load generator with its sessions on different nodes.

import (
	"strings"
	"testing"
)

func (c testCluster) urls() string {
	var urls []string
	for _, b := range c {
		urls = append(urls, b.tcp)
	}
	return strings.Join(urls, ",")
}

func TestBenchSpread(t *testing.T) {
	f := &BenchFlags{ClientFlags: ClientFlags{URL: "tcp://default"}, Quiet: true}
	for _, c := range []struct {
		urls []string
		want []string // by session
	}{
		{nil, []string{"tcp://default", "tcp://default"}},
		{[]string{"tcp://a", "ws://b"}, []string{"tcp://a", "ws://b", "tcp://a"}},
	} {
		for i, want := range c.want {
			if got := f.at(c.urls, i); got.URL != want || !got.Quiet {
				t.Errorf("session %d of %v is at %s, want %s", i, c.urls, got.URL, want)
			}
		}
	}
	if f.URL != "tcp://default" {
		t.Errorf("--url is %s now", f.URL)
	}
}

func TestClusterBench(t *testing.T) {
	skipShort(t)
	c := newTestCluster(t)
	c.start(t)
	_, followers := c.leader(t)

	t.Run("processes_each_message_of_a_queue_once_over_three_nodes", func(t *testing.T) {
		q := &QueueCmd{}
		m := runBench(t, q, &q.BenchFlags, "--publish-url", c.urls(), "--subscribe-url", c.urls(), "--publishers", "3", "--consumers", "6",
			"--messages", "20001", "--verify")
		if m["sent"] != 20001 || m["lost"]+m["missing"]+m["duplicates"]+m["redelivered"] != 0 || m["receipt-p50-ms"] <= 0 {
			t.Errorf("figures %v, want 20001 sent and processed once", m)
		}
	})
	t.Run("counts_what_the_subscribers_of_all_nodes_get_and_their_order", func(t *testing.T) {
		// What is not logged is dropped for a subscriber of another node whose outbox is full: it is never far ahead of them.
		for persistent, window := range map[string]string{"true": "500", "false": "10"} {
			f := &FanoutCmd{}
			args := []string{
				"--publish-url", c.urls(), "--subscribe-url", c.urls(), "--publishers", "3", "--subscribers", "6", "--receipts", "--verify",
				"--persistent", persistent, "--backlog", window, "--window", window, "--duration", "200ms", "--warmup", "50ms",
			}
			m := runBench(t, f, &f.BenchFlags, args...)
			if m["lost"]+m["repeated"]+m["skipped"] != 0 || m["deliveries/s"] <= 0 {
				t.Errorf("persistent %s: figures %v, want deliveries, each once and in order", persistent, m)
			}
		}
	})
	t.Run("measures_latency_from_follower_to_follower", func(t *testing.T) {
		f := &FanoutCmd{}
		m := runBench(t, f, &f.BenchFlags, "--publish-url", followers[0].tcp, "--subscribe-url", followers[1].tcp, "--rate", "200",
			"--duration", "300ms", "--warmup", "50ms")
		if m["lost"] != 0 || m["p50-ms"] <= 0 || m["p90-ms"] < m["p50-ms"] || m["p99-ms"] < m["p90-ms"] || m["max-ms"] <= 0 {
			t.Errorf("figures %v, want percentiles and nothing lost", m)
		}
	})
	t.Run("ends_with_an_error_when_one_of_its_nodes_dies", func(t *testing.T) {
		await(t, "the sessions of the run before to be gone", func() bool { return followers[0].status(t).Connections == 0 })
		f := &FanoutCmd{}
		if err := parseCommand(t, f, "--publish-url", followers[0].tcp, "--subscribe-url", followers[1].tcp, "--duration", "1h"); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- f.Run(t.Context()) }()
		await(t, "the publisher, who comes after the subscriber", func() bool { return followers[0].status(t).Connections > 0 })
		followers[1].kill(t)
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "subscriber 0: ") {
			t.Errorf("error %v, want one of subscriber 0", err)
		}
	})
}
