package main

// bench_fanout.go: `stampede bench fanout`: publishers send to a topic, every subscriber counts.

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// FanoutCmd measures a topic.
type FanoutCmd struct {
	BenchFlags
	SendFlags
	Subscribers int           `default:"1" help:"Subscribing connections."`
	Receipts    bool          `help:"Ask for a receipt for each SEND, and measure how long it takes."`
	Rate        float64       `default:"0" help:"Messages a second of all publishers together (0: as many as go)."`
	Warmup      time.Duration `default:"1s" help:"Time before the measuring begins."`
	Latency     bool          `help:"Measure from SEND to MESSAGE (always with --rate)."`
	Verify      bool          `help:"Check that each subscriber gets what each publisher sends once and in its order; anything else is a failure."`
	Against     string        `enum:",bare" default:"" placeholder:"bare" help:"bare: measure a fan-out without broker logic, in this process, over the transport of --url."`
}

// Validate reports bad usage.
func (c *FanoutCmd) Validate() error {
	return errors.Join(c.ClientFlags.Validate(), c.SendFlags.Validate(),
		within("--subscribers", c.Subscribers, 0, benchSessionsMax),
		within("--rate", c.Rate, 0, 1e9),
		within("--warmup", c.Warmup, 0, benchDurationMax))
}

// Run measures and prints.
func (c *FanoutCmd) Run(ctx context.Context) error {
	result, err := c.measure(ctx)
	if err != nil {
		return err
	}
	if err := result.print(&c.BenchFlags); err != nil {
		return err
	}
	return c.verdict(result)
}

// verdict is the error that --verify ends with.
func (c *FanoutCmd) verdict(r *benchResult) error {
	if !c.Verify {
		return nil
	}
	if repeated, skipped, lost := r.value("repeated"), r.value("skipped"), r.value("lost"); repeated != 0 || skipped != 0 || lost != 0 {
		return fmt.Errorf("not once and in order: %.0f deliveries repeated or late, %.0f skipped, %.0f lost", repeated, skipped, lost)
	}
	return nil
}

func (c *FanoutCmd) measure(ctx context.Context) (*benchResult, error) {
	if c.Against == "bare" {
		bare, err := startBare(ctx, "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer bare.close()
		c.PublishURL, c.SubURL = nil, nil
		if c.URL, err = bare.urlLike(c.URL); err != nil {
			return nil, err
		}
	}
	members, ctx := newCrew(ctx)
	defer members.disband()
	f := &fanout{cmd: c, destination: c.destinationOr("/topic/"), clock: newStopwatch(), window: newMeasuredTime(), crew: members}
	if err := f.open(ctx); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, err
	}
	shown := c.startProgress(f.progressLine)
	defer shown.end()
	return f.run(ctx)
}

// fanout is one run.
type fanout struct {
	cmd         *FanoutCmd
	destination string
	clock       stopwatch
	window      *measuredTime
	crew        *crew
	senders     []*sender
	receivers   []*receiver
}

func (f *fanout) timed() bool { return f.cmd.Latency || f.cmd.Rate > 0 }

func (f *fanout) open(ctx context.Context) error {
	c := f.cmd
	f.receivers = make([]*receiver, c.Subscribers)
	subscribe, err := parseHeaders(c.SubHeader)
	if err != nil {
		return err
	}
	err = openAll(ctx, c.Subscribers, openParallel, func(ctx context.Context, i int) (err error) {
		if f.receivers[i], err = f.openReceiver(ctx, i, subscribe); err == nil {
			f.crew.own(f.receivers[i].session.conn)
		}
		return err
	})
	if err != nil {
		return err
	}
	plan, err := f.plan()
	if err != nil {
		return err
	}
	f.senders = make([]*sender, c.Publishers)
	return openAll(ctx, c.Publishers, openParallel, func(ctx context.Context, i int) (err error) {
		if f.senders[i], err = c.at(c.PublishURL, i).openSender(ctx, plan, i, f.window); err == nil {
			f.crew.own(f.senders[i].session.conn)
		}
		return err
	})
}

func (f *fanout) plan() (*sendPlan, error) {
	c := f.cmd
	headers, err := parseHeaders(c.Header)
	if err != nil {
		return nil, err
	}
	plan := &sendPlan{
		destination: f.destination, headers: headers, persistent: c.Persistent, bodyBytes: c.Body,
		receipts: c.Receipts, window: c.Window, stamped: f.timed() || c.Verify, serial: c.Verify, rate: c.Rate / float64(c.Publishers), clock: f.clock,
	}
	if c.Backlog > 0 && c.Subscribers > 0 {
		gate := &backlogGate{most: c.Backlog, count: func() (sent, received uint64) {
			n := f.count()
			return n.sent, n.received / uint64(len(f.receivers))
		}}
		plan.gate = gate.open
	}
	return plan, nil
}

func (f *fanout) openReceiver(ctx context.Context, i int, headers []string) (*receiver, error) {
	r := &receiver{number: i, window: f.window}
	if f.cmd.Verify {
		r.order = &orderCheck{next: make([]uint64, f.cmd.Publishers)}
	}
	if f.timed() {
		r.latency = &histogram{}
	}
	var err error
	if r.session, err = f.cmd.at(f.cmd.SubURL, i).openMetered(ctx, f.clock, r.publish); err != nil {
		return nil, err
	}
	if err = r.session.subscribe(f.destination, "0", "auto", headers); err != nil {
		return nil, errors.Join(err, r.session.conn.Close())
	}
	return r, nil
}

// run lets everybody go, measures between warm-up and end, and waits for what is on its way.
func (f *fanout) run(ctx context.Context) (*benchResult, error) {
	sending, stop := context.WithCancel(ctx)
	defer stop()
	f.window.paceFrom.Store(f.clock.now())
	for _, r := range f.receivers {
		f.crew.run(r.run)
	}
	var active atomic.Int64
	for _, s := range f.senders {
		active.Add(1)
		f.crew.run(s.readReceipts)
		f.crew.run(func() error { defer active.Add(-1); return s.run(sending) })
	}
	if err := spend(ctx, f.cmd.Warmup); err != nil {
		return nil, err
	}
	f.window.from.Store(f.clock.now())
	before := f.count()
	if err := spend(ctx, f.cmd.Duration); err != nil {
		return nil, err
	}
	f.window.to.Store(f.clock.now())
	after := f.count()
	stop()
	whole := func() bool {
		now := f.count()
		return active.Load() == 0 && now.received >= now.sent*uint64(len(f.receivers)) && (!f.cmd.Receipts || now.confirmed == now.sent)
	}
	if err := awaitStill(ctx, stallTimeout, whole, func() uint64 { now := f.count(); return now.received + now.confirmed + now.sent }); err != nil {
		return nil, err
	}
	f.crew.disband()
	return f.result(before, after, f.count()), nil
}

// fanoutCount is how far a run has come.
type fanoutCount struct{ sent, confirmed, received uint64 }

func (f *fanout) count() (n fanoutCount) {
	for _, s := range f.senders {
		n.sent += s.sent.Load()
		n.confirmed += s.confirmed.Load()
	}
	for _, r := range f.receivers {
		n.received += r.received.Load()
	}
	return n
}

func (f *fanout) progressLine() string {
	n, seconds := f.count(), time.Duration(f.clock.now()).Seconds()
	return fmt.Sprintf("%.0f s: %s sent, %s delivered", seconds, humanNumber(float64(n.sent)), humanNumber(float64(n.received)))
}

func (f *fanout) result(before, after, end fanoutCount) *benchResult {
	c := f.cmd
	r := &benchResult{bench: "fanout"}
	e, _ := parseEndpoint(c.at(c.PublishURL, 0).URL) // was parsed to connect
	broker := "url"
	if c.Against != "" {
		broker = c.Against
	}
	r.param("against", broker)
	r.param("transport", e.scheme)
	r.nodes(&c.SendFlags)
	r.param("publishers", c.Publishers)
	r.param("subscribers", c.Subscribers)
	r.param("body", c.Body)
	r.param("persistent", c.Persistent)
	r.param("receipts", c.Receipts)
	if c.Receipts {
		r.param("window", c.Window)
	}
	r.param("rate", strconv.FormatFloat(c.Rate, 'f', -1, 64))
	seconds := time.Duration(f.window.to.Load() - f.window.from.Load()).Seconds()
	r.metric(float64(after.sent-before.sent)/seconds, "msg/s")
	r.metric(float64(after.received-before.received)/seconds, "deliveries/s")
	lost := int64(end.sent)*int64(len(f.receivers)) - int64(end.received)
	r.metric(float64(lost), "lost")
	if c.Verify {
		order := f.order()
		r.metric(float64(order.repeated), "repeated")
		r.metric(float64(order.skipped), "skipped")
	}
	r.latencies("", f.latency())
	if c.Receipts {
		r.latencies("receipt-", f.receiptLatency())
	}
	return r
}

func (f *fanout) order() (all orderCheck) {
	for _, r := range f.receivers {
		all.repeated += r.order.repeated
		all.skipped += r.order.skipped
	}
	return all
}

func (f *fanout) latency() *histogram {
	all := &histogram{}
	for _, r := range f.receivers {
		if r.latency != nil {
			all.merge(r.latency)
		}
	}
	return all
}

func (f *fanout) receiptLatency() *histogram {
	all := &histogram{}
	for _, s := range f.senders {
		if s.receipt != nil {
			all.merge(s.receipt)
		}
	}
	return all
}
