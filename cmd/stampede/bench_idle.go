package main

// bench_idle.go: `stampede bench idle`: many sessions that do nothing, and what one costs the broker.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

// localAddressSessions is how many sessions share one loopback address of ours: each needs a port of its own.
const localAddressSessions = 20_000

// CrowdFlags are common to the sub-commands that open many sessions.
type CrowdFlags struct {
	Sessions  int           `default:"1000" help:"Sessions to open."`
	Parallel  int           `default:"${parallel=64}" help:"Sessions that are being opened at a time."`
	Topic     string        `default:"/topic/bench.crowd." placeholder:"PREFIX" help:"Each session subscribes to this and its number."`
	HeartBeat time.Duration `default:"0s" help:"Heart-beat offered both ways, and kept (0: none)."`
	Timeout   time.Duration `default:"2m" help:"All sessions must be open by then."`
}

// Validate reports bad usage.
func (f *CrowdFlags) Validate() error {
	return errors.Join(
		within("--sessions", f.Sessions, 1, benchSessionsMax),
		within("--parallel", f.Parallel, 1, benchSessionsMax),
		within("--heart-beat", f.HeartBeat, 0, time.Hour),
		within("--timeout", f.Timeout, time.Second, benchDurationMax))
}

// IdleCmd measures idle sessions.
type IdleCmd struct {
	BenchFlags
	CrowdFlags
	Hold time.Duration `default:"10s" help:"How long to hold them before the memory is read."`
	PID  int           `name:"pid" help:"Process of the broker on this machine: its RssAnon is read before and after."`
}

// Validate reports bad usage.
func (c *IdleCmd) Validate() error {
	return errors.Join(c.ClientFlags.Validate(), c.CrowdFlags.Validate(), within("--hold", c.Hold, 0, benchDurationMax))
}

// Run opens, holds, measures and prints.
func (c *IdleCmd) Run(ctx context.Context) error {
	before, err := c.memory()
	if err != nil {
		return err
	}
	crowd := newCrowd(&c.BenchFlags, &c.CrowdFlags)
	shown := c.startProgress(crowd.progressLine)
	defer shown.end()
	members, ctx := newCrew(ctx)
	defer members.disband()
	if err := crowd.open(ctx, members); err != nil {
		return err
	}
	seconds := crowd.clock.seconds()
	if err := spend(ctx, c.Hold); err != nil {
		return err
	}
	after, err := c.memory()
	if err != nil {
		return err
	}
	shown.end()
	r := crowd.result("idle")
	r.metric(seconds, "s-to-all")
	r.metric(float64(c.Sessions)/seconds, "sessions/s")
	r.latencies("open-", crowd.opening)
	r.metric(float64(crowd.dropped.Load()), "dropped")
	if c.PID > 0 {
		r.metric(float64(before), "before-KB")
		r.metric(float64(after), "after-KB")
		r.metric(float64(after-before)/float64(c.Sessions), "KB/session")
	}
	return r.print(&c.BenchFlags)
}

// memory reads RssAnon in KB: resident memory without mapped files.
func (c *IdleCmd) memory() (int64, error) {
	if c.PID == 0 {
		return 0, nil
	}
	status, err := os.ReadFile("/proc/" + strconv.Itoa(c.PID) + "/status")
	if err != nil {
		return 0, fmt.Errorf("read the broker's memory: %w", err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		if value, found := bytes.CutPrefix(lines.Bytes(), []byte("RssAnon:")); found {
			return strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(value), []byte("kB")))), 10, 64)
		}
	}
	return 0, fmt.Errorf("process %d has no RssAnon", c.PID)
}

// crowd is a number of sessions, each subscribed to a topic of its own.
type crowd struct {
	bench   *BenchFlags
	flags   *CrowdFlags
	clock   stopwatch
	ready   atomic.Int64 // sessions that are subscribed now
	dropped atomic.Int64 // sessions that the broker ended
	opening *histogram   // from dialling to subscribed
}

func newCrowd(bench *BenchFlags, flags *CrowdFlags) *crowd {
	return &crowd{bench: bench, flags: flags, clock: newStopwatch(), opening: &histogram{}}
}

func (s stopwatch) seconds() float64 { return time.Duration(s.now()).Seconds() }

func (c *crowd) progressLine() string {
	return fmt.Sprintf("%.0f s: %s of %s sessions", c.clock.seconds(), humanNumber(float64(c.ready.Load())), humanNumber(float64(c.flags.Sessions)))
}

func (c *crowd) result(bench string) *benchResult {
	r := &benchResult{bench: bench}
	e, _ := parseEndpoint(c.bench.URL) // was parsed to connect
	r.param("transport", e.scheme)
	r.param("sessions", c.flags.Sessions)
	r.param("parallel", c.flags.Parallel)
	r.param("heartbeat", c.flags.HeartBeat)
	return r
}

// open opens all sessions; members read them until they end.
func (c *crowd) open(ctx context.Context, members *crew) error {
	limit, cancel := context.WithTimeoutCause(ctx, c.flags.Timeout, fmt.Errorf("only %w", errCrowdTimeout))
	defer cancel()
	took := make([]int64, c.flags.Sessions)
	err := openAll(limit, c.flags.Sessions, c.flags.Parallel, func(_ context.Context, i int) error {
		if limit.Err() != nil {
			return context.Cause(limit)
		}
		began := c.clock.now()
		session, err := c.openOne(limit, i)
		if err != nil {
			return fmt.Errorf("session %d: %w", i, err)
		}
		took[i] = c.clock.now() - began
		members.own(session.conn)
		c.ready.Add(1)
		members.run(func() error { c.hold(ctx, session); return nil })
		return nil
	})
	if err != nil {
		return fmt.Errorf("%d of %d sessions were open: %w", c.ready.Load(), c.flags.Sessions, err)
	}
	for _, t := range took {
		c.opening.add(t)
	}
	return nil
}

var errCrowdTimeout = errors.New("--timeout is over")

func (c *crowd) openOne(ctx context.Context, i int) (*client, error) {
	session, err := c.bench.connect(ctx, heartBeat(c.flags.HeartBeat), c.localAddress(i), nil)
	if err != nil {
		return nil, err
	}
	if err := session.subscribe(c.flags.Topic+strconv.Itoa(i), "0", "auto", nil); err != nil {
		return nil, errors.Join(err, session.conn.Close())
	}
	return session, nil
}

// localAddress spreads the sessions to a loopback broker over several addresses of ours, so that the ports are enough.
func (c *crowd) localAddress(i int) net.Addr {
	e, err := parseEndpoint(c.bench.URL)
	if err != nil || e.name != "127.0.0.1" {
		return nil
	}
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i/localAddressSessions))}
}

// hold reads a session, and keeps its heart-beat, until it ends.
func (c *crowd) hold(ctx context.Context, session *client) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if session.sends > 0 {
		go session.runHeartBeats(ctx)
	}
	for {
		if _, err := session.read(); err != nil {
			break
		}
	}
	c.ready.Add(-1)
	if ctx.Err() == nil {
		c.dropped.Add(1)
	}
}
