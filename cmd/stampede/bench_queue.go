package main

// bench_queue.go: `stampede bench queue`: publishers fill a queue, consumers empty it and acknowledge.

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// queueMessagesMax bounds the messages of one run: with --verify each costs a bit of memory.
	queueMessagesMax = 1 << 30
	// queueTimedMessages is how many messages there may be when --messages is 0 and the time decides; then the publishers stop early.
	queueTimedMessages = 1 << 28
	// prefetchMax bounds --prefetch: more is refused.
	prefetchMax = 1 << 20
)

// QueueCmd measures a queue.
type QueueCmd struct {
	BenchFlags
	SendFlags `kong:"set='publishers=2',set='backlog=100000'"`
	Consumers int     `default:"4" help:"Consuming connections."`
	Ack       string  `enum:"auto,client,client-individual" default:"client-individual" help:"auto, client or client-individual."`
	Messages  uint64  `default:"100000" help:"Messages of all publishers together; 0: as many as go in --duration."`
	Receipts  bool    `default:"true" negatable:"" help:"Ask for a receipt for each SEND, and measure how long it takes."`
	Prefetch  int     `default:"0" help:"Messages a consumer may hold unacknowledged: sent as prefetch-count and activemq.prefetchSize (0: the broker's default)."`
	Rate      float64 `default:"0" help:"Messages a second of all publishers together (0: as many as go)."`
	Verify    bool    `help:"Check that each message was processed exactly once; anything else is a failure."`

	patience time.Duration // how long nothing may come before the rest is given up; 0: stallTimeout
}

// Validate reports bad usage.
func (c *QueueCmd) Validate() error {
	return errors.Join(c.ClientFlags.Validate(), c.SendFlags.Validate(),
		within("--consumers", c.Consumers, 1, benchSessionsMax),
		within("--messages", c.Messages, 0, queueMessagesMax),
		within("--rate", c.Rate, 0, 1e9),
		within("--prefetch", c.Prefetch, 0, prefetchMax))
}

// Run measures, prints, and fails when --verify found something.
func (c *QueueCmd) Run(ctx context.Context) error {
	if c.patience == 0 {
		c.patience = stallTimeout
	}
	members, ctx := newCrew(ctx)
	defer members.disband()
	q := &queueRun{cmd: c, destination: c.destinationOr("/queue/"), clock: newStopwatch(), window: newMeasuredTime(), crew: members}
	if err := q.open(ctx); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return err
	}
	shown := c.startProgress(q.progressLine)
	defer shown.end()
	if err := q.run(ctx); err != nil {
		return err
	}
	shown.end()
	if err := q.result().print(&c.BenchFlags); err != nil {
		return err
	}
	return q.verdict()
}

// queueRun is one run.
type queueRun struct {
	cmd         *QueueCmd
	destination string
	clock       stopwatch
	window      *measuredTime
	crew        *crew
	senders     []*sender
	consumers   []*consumer
	tally       *tally
	began       int64
	published   int64 // when the last message was sent
	ended       int64 // when the last message was processed
}

func (q *queueRun) open(ctx context.Context) error {
	c := q.cmd
	subscribe, err := parseHeaders(c.SubHeader)
	if err != nil {
		return err
	}
	if c.Prefetch > 0 {
		n := strconv.Itoa(c.Prefetch)
		subscribe = append(subscribe, "prefetch-count", n, "activemq.prefetchSize", n)
	}
	all := c.Messages
	if all == 0 {
		all = queueTimedMessages
	}
	each := (all + uint64(c.Publishers) - 1) / uint64(c.Publishers)
	if c.Verify {
		q.tally = newTally(c.Publishers, each)
	}
	q.consumers = make([]*consumer, c.Consumers)
	err = openAll(ctx, c.Consumers, openParallel, func(ctx context.Context, i int) (err error) {
		if q.consumers[i], err = q.openConsumer(ctx, i, subscribe); err == nil {
			q.crew.own(q.consumers[i].session.conn)
		}
		return err
	})
	if err != nil {
		return err
	}
	q.senders = make([]*sender, c.Publishers)
	return openAll(ctx, c.Publishers, openParallel, func(ctx context.Context, i int) (err error) {
		plan, err := q.plan(share(all, i, c.Publishers))
		if err != nil {
			return err
		}
		if q.senders[i], err = c.at(c.PublishURL, i).openSender(ctx, plan, i, q.window); err == nil {
			q.crew.own(q.senders[i].session.conn)
		}
		return err
	})
}

func (q *queueRun) plan(limit uint64) (*sendPlan, error) {
	c := q.cmd
	headers, err := parseHeaders(c.Header)
	if err != nil {
		return nil, err
	}
	plan := &sendPlan{
		destination: q.destination, headers: headers, bodyBytes: c.Body, receipts: c.Receipts, window: c.Window,
		stamped: c.Body >= stampedBytes, serial: c.Verify, rate: c.Rate / float64(c.Publishers), limit: limit, clock: q.clock,
	}
	if c.Persistent == "true" {
		plan.persistent = "true" // false is what queues have without the header; said aloud, RabbitMQ takes it for an exclusive queue
	}
	if c.Backlog > 0 {
		plan.gate = q.hasRoom
	}
	return plan, nil
}

// share is the number of messages that publisher i sends of all.
func share(all uint64, i, publishers int) uint64 {
	n := all / uint64(publishers)
	if uint64(i) < all%uint64(publishers) {
		n++
	}
	return n
}

func (q *queueRun) openConsumer(ctx context.Context, i int, headers []string) (*consumer, error) {
	c := &consumer{number: i, ack: q.cmd.Ack, tally: q.tally, latency: &histogram{}, window: q.window, done: make(chan struct{})}
	var err error
	if c.session, err = q.cmd.at(q.cmd.SubURL, i).openMetered(ctx, q.clock, c.settle); err != nil {
		return nil, err
	}
	_, c.overWebSocket = c.session.conn.(*wsConn)
	if err = c.session.subscribe(q.destination, "0", q.cmd.Ack, headers); err != nil {
		return nil, errors.Join(err, c.session.conn.Close())
	}
	return c, nil
}

// queueCount is how far a run has come.
type queueCount struct{ sent, confirmed, received, processed uint64 }

func (q *queueRun) count() (n queueCount) {
	for _, s := range q.senders {
		n.sent += s.sent.Load()
		n.confirmed += s.confirmed.Load()
	}
	for _, c := range q.consumers {
		n.received += c.received.Load()
	}
	n.processed = n.received
	if q.tally != nil {
		n.processed -= min(n.processed, q.tally.duplicates.Load()+q.tally.strange.Load())
	}
	return n
}

// hasRoom says whether the queue is short enough for another batch.
func (q *queueRun) hasRoom() bool {
	n := q.count()
	return n.sent < n.received+q.cmd.Backlog
}

func (q *queueRun) run(ctx context.Context) error {
	sending, stop := context.WithCancel(ctx)
	defer stop()
	began := q.clock.now()
	q.window.paceFrom.Store(began)
	q.window.from.Store(began)
	for _, c := range q.consumers {
		q.crew.run(c.run)
	}
	var active atomic.Int64
	allSent := make(chan struct{})
	for _, s := range q.senders {
		active.Add(1)
		q.crew.run(s.readReceipts)
	}
	for _, s := range q.senders {
		q.crew.run(func() error {
			err := s.run(sending)
			if active.Add(-1) == 0 {
				close(allSent)
			}
			return err
		})
	}
	if err := q.awaitSent(ctx, allSent); err != nil {
		return err
	}
	q.began, q.published = began, q.clock.now()
	stop()
	whole := func() bool {
		n := q.count()
		return active.Load() == 0 && n.processed >= n.sent && (!q.cmd.Receipts || n.confirmed == n.sent)
	}
	if err := awaitStill(ctx, q.cmd.patience, whole, func() uint64 { n := q.count(); return n.sent + n.confirmed + n.received }); err != nil {
		return err
	}
	for _, c := range q.consumers {
		q.ended = max(q.ended, c.lastAt.Load())
	}
	return q.leave(ctx)
}

// awaitSent waits for the publishers: until they have sent their messages, or for the time that they were given.
func (q *queueRun) awaitSent(ctx context.Context, allSent <-chan struct{}) error {
	var timeUp <-chan time.Time
	if q.cmd.Messages == 0 {
		timer := time.NewTimer(q.cmd.Duration)
		defer timer.Stop()
		timeUp = timer.C
	}
	longest := time.NewTimer(benchDurationMax)
	defer longest.Stop()
	select {
	case <-allSent:
		return nil
	case <-timeUp:
		return nil
	case <-longest.C:
		return fmt.Errorf("the publishers had not sent all after %s", benchDurationMax)
	case <-ctx.Done():
		return fmt.Errorf("the run ended early: %w", context.Cause(ctx))
	}
}

// leave says goodbye on every consumer, so that its last acknowledgements are settled, and ends everything.
func (q *queueRun) leave(ctx context.Context) error {
	q.crew.closing.Store(true) // from here on a session that ends is no failure
	err := openAll(ctx, len(q.consumers), openParallel, func(_ context.Context, i int) error {
		if err := q.consumers[i].session.beginGoodbye(); err != nil {
			return fmt.Errorf("consumer %d: %w", i, err)
		}
		<-q.consumers[i].done // the broker closes, or the goodbye's deadline comes
		return nil
	})
	q.crew.disband()
	return err
}

func (q *queueRun) progressLine() string {
	n, seconds := q.count(), time.Duration(q.clock.now()).Seconds()
	return fmt.Sprintf("%.0f s: %s sent, %s processed", seconds, humanNumber(float64(n.sent)), humanNumber(float64(n.processed)))
}

func (q *queueRun) result() *benchResult {
	c := q.cmd
	r := &benchResult{bench: "queue"}
	e, _ := parseEndpoint(c.at(c.PublishURL, 0).URL) // was parsed to connect
	r.param("transport", e.scheme)
	r.nodes(&c.SendFlags)
	r.param("publishers", c.Publishers)
	r.param("consumers", c.Consumers)
	r.param("body", c.Body)
	r.param("persistent", c.Persistent)
	r.param("receipts", c.Receipts)
	if c.Receipts {
		r.param("window", c.Window)
	}
	r.param("ack", c.Ack)
	r.param("prefetch", c.Prefetch)
	n := q.count()
	r.metric(perSecond(n.processed, q.ended-q.began), "msg/s")
	r.metric(perSecond(n.sent, q.published-q.began), "published-msg/s")
	r.metric(float64(n.sent), "sent")
	r.metric(float64(n.sent)-float64(n.processed), "lost")
	redelivered := uint64(0)
	latency, receipts := &histogram{}, &histogram{}
	for _, c := range q.consumers {
		redelivered += c.redelivered
		latency.merge(c.latency)
	}
	for _, s := range q.senders {
		if s.receipt != nil {
			receipts.merge(s.receipt)
		}
	}
	r.metric(float64(redelivered), "redelivered")
	if q.tally != nil {
		r.metric(float64(q.missing()), "missing")
		r.metric(float64(q.tally.duplicates.Load()), "duplicates")
	}
	r.latencies("", latency)
	r.latencies("receipt-", receipts)
	return r
}

func perSecond(n uint64, nanos int64) float64 {
	if nanos <= 0 {
		return 0
	}
	return float64(n) * 1e9 / float64(nanos)
}

func (q *queueRun) missing() (n uint64) {
	for i, s := range q.senders {
		n += q.tally.missing(i, s.sent.Load())
	}
	return n
}

// verdict is the error that --verify ends with when a message did not come exactly once.
func (q *queueRun) verdict() error {
	if q.tally == nil {
		return nil
	}
	missing, duplicates, strange := q.missing(), q.tally.duplicates.Load(), q.tally.strange.Load()
	if missing+duplicates+strange == 0 {
		return nil
	}
	return fmt.Errorf("not exactly once: %d messages missing, %d processed again, %d that nobody sent", missing, duplicates, strange)
}
