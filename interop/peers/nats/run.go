package main

// run.go: one run: stream, subscribers, publisher, figures.

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	subject     = "peers.load"
	streamName  = "peers"
	streamReady = 30 * time.Second // servers that have no leader for the stream by then have failed
)

// run is one measurement.
//
// Goroutines: acknowledge; those of the client library.
type run struct {
	*options
	began   time.Time
	from    atomic.Int64 // what was sent from here on
	to      atomic.Int64 // up to here counts for latencies; nanoseconds since began
	sent    atomic.Uint64
	fault   atomic.Pointer[error]
	readers []*reader
	acks    []int64 // from publishing to the acknowledgement, in nanoseconds; owned by acknowledge
}

// reader is a subscriber. Its callback runs on one goroutine of the library.
type reader struct {
	conn     *nats.Conn
	received atomic.Uint64
	mu       sync.Mutex // guards delays
	delays   []int64
}

func (r *run) now() int64 { return int64(time.Since(r.began)) }

func connect(url string) (*nats.Conn, error) {
	c, err := nats.Connect(url, nats.NoReconnect(), nats.DontRandomize(), nats.IgnoreDiscoveredServers())
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", url, err)
	}
	return c, nil
}

func (r *run) all() error {
	if err := r.makeStream(); err != nil {
		return err
	}
	for i := range r.subscribers {
		if err := r.subscribeAt(r.servers[r.subscribe[i%len(r.subscribe)]]); err != nil {
			return err
		}
	}
	conn, err := connect(r.servers[r.publish])
	if err != nil {
		return err
	}
	defer conn.Close()
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() { defer close(ended); r.send(conn, stop) }()
	time.Sleep(r.warmup)
	r.from.Store(r.now())
	sent, received := r.sent.Load(), r.received()
	time.Sleep(r.duration)
	r.to.Store(r.now())
	seconds := time.Duration(r.to.Load() - r.from.Load()).Seconds()
	rate, delivered := float64(r.sent.Load()-sent)/seconds, float64(r.received()-received)/seconds
	close(stop)
	<-ended
	if fault := r.fault.Load(); fault != nil {
		return *fault
	}
	r.awaitRest()
	r.print(rate, delivered)
	return nil
}

// makeStream makes the stream anew and puts the server that leads it first.
func (r *run) makeStream() error {
	names := map[string]string{}
	for _, url := range r.servers {
		c, err := connect(url)
		if err != nil {
			return err
		}
		names[c.ConnectedServerName()] = url
		defer c.Close()
	}
	if r.core {
		return nil
	}
	c, err := connect(r.servers[0])
	if err != nil {
		return err
	}
	defer c.Close()
	js, err := c.JetStream()
	if err != nil {
		return err
	}
	config := &nats.StreamConfig{Name: streamName, Subjects: []string{subject}, Storage: nats.FileStorage, Replicas: len(r.servers), MaxBytes: 8 << 30}
	for late := time.Now().Add(streamReady); ; time.Sleep(100 * time.Millisecond) {
		_ = js.DeleteStream(streamName) // there may be none
		info, err := js.AddStream(config)
		if err == nil && info.Cluster != nil && names[info.Cluster.Leader] != "" {
			leader := names[info.Cluster.Leader]
			r.servers = append([]string{leader}, slices.DeleteFunc(slices.Clone(r.servers), func(url string) bool { return url == leader })...)
			return nil
		}
		if time.Now().After(late) {
			return fmt.Errorf("make the stream: %w", errors.Join(err, errors.New("no leader")))
		}
	}
}

func (r *run) subscribeAt(url string) error {
	conn, err := connect(url)
	if err != nil {
		return err
	}
	reader := &reader{conn: conn}
	r.readers = append(r.readers, reader)
	take := func(m *nats.Msg) {
		at := r.now()
		reader.received.Add(1)
		if r.rate == 0 {
			return
		}
		stamp, err := strconv.ParseInt(string(m.Data[:stampBytes]), 16, 64)
		if err == nil && stamp >= r.from.Load() && r.from.Load() > 0 && (r.to.Load() == 0 || stamp < r.to.Load()) {
			reader.mu.Lock()
			reader.delays = append(reader.delays, at-stamp)
			reader.mu.Unlock()
		}
	}
	var subscription *nats.Subscription
	if r.core {
		subscription, err = conn.Subscribe(subject, take)
	} else {
		js, jsErr := conn.JetStream()
		if jsErr != nil {
			return jsErr
		}
		subscription, err = js.Subscribe(subject, take, nats.OrderedConsumer(), nats.DeliverNew())
	}
	if err != nil {
		return fmt.Errorf("subscribe at %s: %w", url, err)
	}
	if err := subscription.SetPendingLimits(-1, -1); err != nil { // the backlog bounds it
		return err
	}
	return conn.Flush()
}

func (r *run) received() (n uint64) {
	for _, reader := range r.readers {
		n += reader.received.Load()
	}
	return n
}

// awaitRest waits for what is on its way.
func (r *run) awaitRest() {
	want := r.sent.Load() * uint64(len(r.readers))
	for last, since := r.received(), time.Now(); last < want && time.Since(since) < stall; time.Sleep(5 * time.Millisecond) {
		if now := r.received(); now != last {
			last, since = now, time.Now()
		}
	}
}

func (r *run) print(rate, delivered float64) {
	kind := "jetstream"
	if r.core {
		kind = "core"
	}
	fmt.Printf("BenchmarkBench/%s/subscribers=%d/body=%d/window=%d/rate=%g\t1\t%.3f msg/s\t%.3f deliveries/s\t%d lost", kind, r.subscribers, r.body,
		r.window, r.rate, rate, delivered, int64(r.sent.Load())*int64(len(r.readers))-int64(r.received()))
	var delays []int64
	for _, reader := range r.readers {
		reader.mu.Lock()
		delays = append(delays, reader.delays...)
		reader.mu.Unlock()
	}
	percentiles("", delays)
	percentiles("receipt-", r.acks)
	fmt.Println()
}

func percentiles(prefix string, values []int64) {
	if len(values) == 0 {
		return
	}
	slices.Sort(values)
	for _, p := range []struct {
		name string
		of   float64
	}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}} {
		fmt.Printf("\t%.4f %s%s-ms", float64(values[min(int(p.of*float64(len(values))), len(values)-1)])/1e6, prefix, p.name)
	}
}
