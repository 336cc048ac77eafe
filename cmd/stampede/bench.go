package main

// bench.go: `stampede bench`, the load generator: its sub-commands and the flags that they share.

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"stampede/stomp"
)

const (
	benchSessionsMax = 100_000          // more is refused: one address pair has not that many ports, nor a machine the memory
	benchSendersMax  = 1000             // publishers of one run; more is refused
	benchBodyMax     = 16 << 20         // bytes of one body; more is refused
	benchDurationMax = 24 * time.Hour   // of one run; more is refused
	benchWindowMax   = 1 << 20          // frames waiting for receipts on one connection; more is refused
	stallTimeout     = 10 * time.Second // a run whose counters stand still this long after its end is given up and says what is missing
	drainTimeout     = 2 * time.Minute  // after the publishing, what is on its way may take this long; the rest counts as missing
	openParallel     = 64               // connections that are opened at a time, unless a flag says otherwise
	benchBatchBytes  = 64 << 10         // frames gathered for one write
	benchReadBytes   = 64 << 10         // one read of a connection that is measured
)

// BenchCmd is the load generator. It speaks plain STOMP 1.2, so that other brokers can be measured with it too.
type BenchCmd struct {
	Fanout    FanoutCmd    `cmd:"" help:"Publish to a topic and count what its subscribers get."`
	Queue     QueueCmd     `cmd:"" help:"Publish to a queue and consume from it; with --verify, prove that each message came exactly once."`
	Idle      IdleCmd      `cmd:"" help:"Open sessions, each subscribed to a topic of its own, and hold them; with --pid, say what one costs the broker."`
	Reconnect ReconnectCmd `cmd:"" help:"Drop all sessions at once and see how long they take to be subscribed again."`
	Bare      BareCmd      `cmd:"" help:"Measure a bare fan-out without any broker logic: the ceiling of this machine; or serve it."`
}

// BenchFlags are common to all sub-commands.
type BenchFlags struct {
	ClientFlags
	JSON    bool `name:"json" help:"Print the result as one JSON object."`
	Gobench bool `name:"gobench" help:"Print the result as a line of Go's benchmark format, for benchstat."`
	Quiet   bool `short:"q" help:"No progress on the terminal."`

	stdio stdio
}

// SendFlags are common to the sub-commands that publish.
type SendFlags struct {
	Destination string        `placeholder:"DEST" help:"Destination to use (default: one of its own for each run)."`
	Publishers  int           `default:"${publishers=1}" help:"Publishing connections."`
	Body        int           `default:"128" help:"Bytes of each body."`
	Persistent  string        `enum:"true,false" default:"true" help:"The persistent header of SEND: true or false."`
	Window      int           `default:"200" help:"With receipts: frames on one connection that may wait for theirs."`
	Backlog     uint64        `default:"${backlog=0}" help:"Publishers wait while this many messages are sent and not received (0: never)."`
	Header      []string      `short:"H" sep:"none" placeholder:"NAME:VALUE" help:"Header of SEND; may be repeated."`
	PublishURL  []string      `name:"publish-url" placeholder:"URL" help:"Publish at these nodes of a cluster instead of --url: a list with commas, or repeated; each publisher takes the next one, round robin."`
	SubURL      []string      `name:"subscribe-url" placeholder:"URL" help:"Subscribe at these nodes instead of --url, given and taken in the same way."`
	SubHeader   []string      `name:"subscribe-header" sep:"none" placeholder:"NAME:VALUE" help:"Header of SUBSCRIBE; may be repeated."`
	Duration    time.Duration `default:"${duration=10s}" help:"How long to publish."`
}

// Validate reports bad usage.
func (f *SendFlags) Validate() error {
	_, sendErr := parseHeaders(f.Header)
	_, subErr := parseHeaders(f.SubHeader)
	return errors.Join(sendErr, subErr, checkURLs("--publish-url", f.PublishURL), checkURLs("--subscribe-url", f.SubURL),
		within("--publishers", f.Publishers, 1, benchSendersMax),
		within("--body", f.Body, 0, benchBodyMax),
		within("--window", f.Window, 1, benchWindowMax),
		within("--duration", f.Duration, time.Millisecond, benchDurationMax))
}

func checkURLs(flag string, urls []string) error {
	for _, url := range urls {
		if _, err := parseEndpoint(url); err != nil {
			return fmt.Errorf("%s: %w", flag, err)
		}
	}
	return nil
}

// at is f for the session of a number, with the URL that is its turn.
func (f *BenchFlags) at(urls []string, number int) *BenchFlags {
	if len(urls) == 0 {
		return f
	}
	turn := *f
	turn.URL = urls[number%len(urls)]
	return &turn
}

// nodes adds how the sessions are spread over a cluster; nothing when all are at --url.
func (r *benchResult) nodes(s *SendFlags) {
	if len(s.PublishURL)+len(s.SubURL) > 0 {
		r.param("publish-nodes", max(1, len(s.PublishURL)))
		r.param("subscribe-nodes", max(1, len(s.SubURL)))
	}
}

func within[T int | uint64 | float64 | time.Duration](flag string, got, low, high T) error {
	if got < low || got > high {
		return fmt.Errorf("%s is %v: want %v to %v", flag, got, low, high)
	}
	return nil
}

// destinationOr gives the destination of the run: the one asked for, or a new one that no earlier run has left anything in.
func (f *SendFlags) destinationOr(prefix string) string {
	if f.Destination != "" {
		return f.Destination
	}
	return prefix + newRunName()
}

func newRunName() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return "bench-" + hex.EncodeToString(b[:])
}

// stopwatch gives the time since the run began, in nanoseconds. Stamps in bodies are its readings.
type stopwatch struct{ began time.Time }

func newStopwatch() stopwatch { return stopwatch{began: time.Now()} }

func (s stopwatch) now() int64 { return int64(time.Since(s.began)) }

// subscribe asks for a subscription and waits until the broker has it.
func (s *client) subscribe(destination, id, ack string, extra []string) error {
	pairs := []string{"id", id, "destination", destination, "ack", ack, "receipt", "subscribe-" + id}
	if err := s.write(stomp.NewFrame(stomp.CommandSubscribe, append(pairs, extra...)...)); err != nil {
		return err
	}
	if err := s.conn.SetReadDeadline(time.Now().Add(receiptTimeout)); err != nil {
		return err
	}
	for {
		f, err := s.read()
		if err != nil {
			return fmt.Errorf("subscribe to %s: %w", destination, err)
		}
		if f.Command == stomp.CommandReceipt {
			return s.conn.SetReadDeadline(time.Time{})
		}
	}
}
