package main

// crash_client_test.go: the clients of the crash tests. They send numbered bodies and keep a record of what the broker has promised and of
// what it gave.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stampede/stomp"
)

const (
	crashWindow      = 32     // sends of one publisher without receipt; past it it waits
	crashPaddingMax  = 300    // bytes of most bodies
	crashLargeBody   = 20_000 // bytes of every crashLargeEvery-th body, so that what is torn has all sizes
	crashLargeEvery  = 101
	crashSilenceMax  = startTimeout // a client that hears nothing for so long has failed
	crashMessageIDAs = "1-0-"       // what message-ids begin with: epoch and group
)

// crashBody says who sent it and its number; the rest is padding that follows from both.
func crashBody(from string, number int) []byte {
	size := number * 7919 % crashPaddingMax
	if number%crashLargeEvery == 0 {
		size = crashLargeBody
	}
	body := fmt.Appendf(make([]byte, 0, size+32), "%s %d ", from, number)
	return append(body, bytes.Repeat([]byte{'a' + byte(number%26)}, size)...)
}

// delivery is one MESSAGE.
type delivery struct {
	offset      uint64
	from        string // its publisher
	number      int    // its publisher's number for it
	redelivered bool
	count       int // delivery-count; 1 without the header
}

func (d delivery) String() string {
	return fmt.Sprintf("offset %d (%s %d, redelivered %v, delivery-count %d)", d.offset, d.from, d.number, d.redelivered, d.count)
}

// readDelivery reads a MESSAGE and checks that it is whole.
func readDelivery(f *stomp.Frame) (delivery, error) {
	d := delivery{count: 1, redelivered: f.Value("redelivered") == "true"}
	id, ok := strings.CutPrefix(f.Value("message-id"), crashMessageIDAs)
	if !ok || id != f.Value("x-stream-offset") {
		return d, fmt.Errorf("message-id %q with x-stream-offset %q", f.Value("message-id"), f.Value("x-stream-offset"))
	}
	var err error
	if d.offset, err = strconv.ParseUint(id, 10, 64); err != nil {
		return d, err
	}
	if count, ok := f.Get("delivery-count"); ok {
		if d.count, err = strconv.Atoi(string(count)); err != nil {
			return d, err
		}
	}
	if _, err := fmt.Sscanf(string(f.Body[:min(len(f.Body), 64)]), "%s %d ", &d.from, &d.number); err != nil {
		return d, fmt.Errorf("body %.64q at offset %d: %w", f.Body, d.offset, err)
	}
	if want := crashBody(d.from, d.number); !bytes.Equal(f.Body, want) {
		return d, fmt.Errorf("%v: body of %d bytes is not the one of %d bytes that was sent", d, len(f.Body), len(want))
	}
	return d, nil
}

// trap does something at once when a client has got so many receipts: the moment at which a broker that promised too early is caught.
type trap struct {
	spring func()
	left   atomic.Int64 // receipts until it springs; it is set when above 0
}

func (p *trap) receipt() {
	if p != nil && p.left.Add(-1) == 0 {
		p.spring()
	}
}

// crashPublisher sends its numbers in turn, with receipts, over as many lives of the broker as there are. What has no receipt when a session
// ends is not repeated: it may have been taken or not.
type crashPublisher struct {
	name, url, destination string

	limit     atomic.Int64 // run ends with the receipt of this number; 0: only with the broker
	finishing atomic.Bool  // the next message is the last
	sent      int
	receipted map[int]bool
	refuge    string        // where a run goes on when the broker of its session dies; "": it ends
	trap      *trap         // nil: none
	pace      time.Duration // between two messages; 0: as fast as it goes
	patience  time.Duration // how much longer than crashSilenceMax it may hear nothing
	count     atomic.Int64  // receipts of all runs
	struck    atomic.Int64  // when a node was killed, in Unix nanoseconds; 0: none yet
	gap       time.Duration // from then to the first receipt of a SEND begun after it
	waited    time.Duration // the longest from SEND to RECEIPT of the last run
	waiting   waitingSends  // of the session
	begun     chan struct{} // closed with the first receipt of a run
	ended     chan struct{} // closed at the end of a run
	err       error         // of the last run
}

// waitingSends are the numbers that have no receipt yet, and since when.
type waitingSends struct {
	mu    sync.Mutex
	since map[int]time.Time // guarded by mu
}

func (w *waitingSends) clear() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since = map[int]time.Time{}
}

func (w *waitingSends) add(number int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since[number] = time.Now()
}

// take gives when the number was sent and how many still wait.
func (w *waitingSends) take(number int) (since time.Time, known bool, left int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	since, known = w.since[number]
	delete(w.since, number)
	return since, known, len(w.since)
}

// run sends until the limit, or until the broker is gone and there is no other to go to.
func (p *crashPublisher) run(ctx context.Context) {
	defer close(p.ended)
	p.waited = 0
	p.err = p.session(ctx)
	if p.err != nil && p.refuge != "" && brokenOff(p.err) {
		p.url, p.refuge = p.refuge, ""
		p.err = p.session(ctx)
	}
}

// session sends over one connection.
func (p *crashPublisher) session(ctx context.Context) error {
	s, err := ClientFlags{URL: p.url}.connect(ctx, 0, nil, nil)
	if err != nil {
		return err
	}
	p.waiting.clear()
	window, done := make(chan struct{}, crashWindow), make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() { p.send(s, window, done) })
	err = p.collect(s, window)
	close(done)
	_ = s.conn.Close() // ends a write that blocks
	sending.Wait()
	return err
}

func (p *crashPublisher) send(s *client, window chan<- struct{}, done <-chan struct{}) {
	for limit := p.limit.Load(); limit == 0 || p.sent < int(limit); limit = p.limit.Load() {
		select {
		case window <- struct{}{}:
		case <-done:
			return
		}
		if p.pace > 0 {
			<-time.After(p.pace)
		}
		p.sent++
		if p.finishing.Load() {
			p.limit.Store(int64(p.sent)) // before it is sent: its receipt ends the run
		}
		f := stomp.NewFrame(stomp.CommandSend, "destination", p.destination, "receipt", strconv.Itoa(p.sent))
		f.Body = crashBody(p.name, p.sent)
		p.waiting.add(p.sent)
		if s.write(f) != nil {
			return // the reading side knows more
		}
	}
}

func (p *crashPublisher) collect(s *client, window <-chan struct{}) error {
	if p.receipted == nil {
		p.receipted = map[int]bool{}
	}
	for {
		s.interruptAfter(crashSilenceMax + p.patience)
		f, err := s.read()
		if err != nil {
			return err
		}
		number, err := strconv.Atoi(f.Value("receipt-id"))
		since, known, left := p.waiting.take(number)
		if f.Command != stomp.CommandReceipt || err != nil || !known {
			return fmt.Errorf("got %s %q, want a new receipt", f.Command, f.Value("receipt-id"))
		}
		p.receipted[number] = true
		p.count.Add(1)
		p.waited = max(p.waited, time.Since(since))
		if struck := p.struck.Load(); struck != 0 && p.gap == 0 && since.UnixNano() > struck {
			p.gap = time.Since(time.Unix(0, struck))
		}
		<-window
		select {
		case <-p.begun:
		default:
			close(p.begun)
		}
		p.trap.receipt()
		if limit := int(p.limit.Load()); limit > 0 && left == 0 && p.receipted[limit] {
			return nil
		}
	}
}

// startPublishers begins a run of each and waits until all have a receipt.
func startPublishers(t *testing.T, publishers []*crashPublisher) {
	t.Helper()
	for _, p := range publishers {
		p.begun, p.ended, p.err = make(chan struct{}), make(chan struct{}), nil
		p.limit.Store(0)
		p.finishing.Store(false)
		go p.run(t.Context())
	}
	for _, p := range publishers {
		select {
		case <-p.begun:
		case <-p.ended:
			t.Fatalf("publisher %s: %v", p.name, p.err)
		}
	}
}

// awaitPublishers waits until all have ended, which an ERROR frame must not have been the cause of.
func awaitPublishers(t *testing.T, publishers []*crashPublisher) {
	t.Helper()
	for _, p := range publishers {
		<-p.ended
		if p.err != nil && !brokenOff(p.err) {
			t.Errorf("publisher %s after %d receipts: %v", p.name, len(p.receipted), p.err)
		}
	}
}

// brokenOff tells the end of a connection from a complaint: an ERROR frame, or silence.
func brokenOff(err error) bool {
	if _, refused := errors.AsType[*brokerError](err); refused {
		return false
	}
	timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return !ok || !timeout.Timeout()
}

// publish sends so many messages more and waits for their receipts; the broker lives meanwhile.
func (p *crashPublisher) publish(t *testing.T, count int) {
	t.Helper()
	p.limit.Store(int64(p.sent + count))
	p.begun, p.ended = make(chan struct{}), make(chan struct{})
	if p.run(t.Context()); p.err != nil {
		t.Fatalf("publisher %s after %d receipts: %v", p.name, len(p.receipted), p.err)
	}
}

// readTopic subscribes with these headers and gives what comes to take, until it says that it is enough or the connection ends.
func readTopic(ctx context.Context, url, topic string, subscribed func(), take func(delivery) (enough bool), headers ...string) error {
	s, err := ClientFlags{URL: url}.connect(ctx, 0, nil, nil)
	if err != nil {
		return err
	}
	defer func() { _ = s.conn.Close() }() // nothing was sent that has to arrive
	headers = append(headers, "id", "0", "destination", topic, "receipt", "subscribed")
	if err := s.write(stomp.NewFrame(stomp.CommandSubscribe, headers...)); err != nil {
		return err
	}
	for {
		s.interruptAfter(crashSilenceMax)
		f, err := s.read()
		if err != nil {
			return err
		}
		if f.Command == stomp.CommandReceipt {
			subscribed()
			continue
		}
		d, err := readDelivery(f)
		if err != nil {
			return err
		}
		if take(d) {
			return nil
		}
	}
}

// Modes of a queueConsumer.
const (
	oneByOne       = "client-individual" // an ACK for each
	cumulative     = "client"            // an ACK for several
	inTransactions = "transactions"      // several ACKs in a COMMIT
)

// settledTogether is how many deliveries one receipt covers, by mode.
var settledTogether = map[string]int{oneByOne: 1, cumulative: 10, inTransactions: 5}

// queueConsumer takes the messages of a queue and settles them with receipts. It says what it does, line by line:
//
//	got OFFSET PUBLISHER NUMBER REDELIVERED COUNT   a message came
//	settle GROUP OFFSET...                          these are about to be settled, together
//	receipt GROUP                                   and now they are
type queueConsumer struct {
	URL, Queue, Mode string
	Credit           int
	HoldEvery        int // numbers that it divides are not settled; 0 holds none
}

// run takes messages until the context, or the broker, is gone.
func (c queueConsumer) run(ctx context.Context, say func(line string)) error {
	s, err := ClientFlags{URL: c.URL}.connect(ctx, 0, nil, nil)
	if err != nil {
		return err
	}
	defer func() { _ = s.conn.Close() }() // what it had to say was receipted or does not count
	defer context.AfterFunc(ctx, s.interrupt)()
	mode := c.Mode
	if mode == inTransactions {
		mode = oneByOne
	}
	headers := []string{"id", "q", "destination", c.Queue, "ack", mode, "prefetch-count", strconv.Itoa(c.Credit)}
	if err := s.write(stomp.NewFrame(stomp.CommandSubscribe, headers...)); err != nil {
		return err
	}
	t := taking{consumer: c, session: s, say: say}
	for ctx.Err() == nil {
		f, err := s.read()
		if err == nil {
			err = t.take(f)
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// taking is a run of a consumer.
type taking struct {
	consumer queueConsumer
	session  *client
	say      func(string)
	group    int      // the last one
	acks     []string // ack headers of the next group
	offsets  []string
}

func (t *taking) take(f *stomp.Frame) error {
	if f.Command == stomp.CommandReceipt {
		t.say("receipt " + f.Value("receipt-id"))
		return nil
	}
	d, err := readDelivery(f)
	if err != nil {
		return err
	}
	t.say(fmt.Sprintf("got %d %s %d %v %d", d.offset, d.from, d.number, d.redelivered, d.count))
	if t.consumer.HoldEvery > 0 && d.number%t.consumer.HoldEvery == 0 {
		return nil
	}
	t.acks = append(t.acks, f.Value("ack"))
	t.offsets = append(t.offsets, strconv.FormatUint(d.offset, 10))
	if len(t.acks) < settledTogether[t.consumer.Mode] {
		return nil
	}
	t.group++
	t.say(fmt.Sprintf("settle %d %s", t.group, strings.Join(t.offsets, " ")))
	err = t.settle(strconv.Itoa(t.group))
	t.acks, t.offsets = t.acks[:0], t.offsets[:0]
	return err
}

// settle sends what settles the group, with its number as the receipt.
func (t *taking) settle(group string) error {
	switch t.consumer.Mode {
	case inTransactions:
		if err := t.session.write(stomp.NewFrame(stomp.CommandBegin, "transaction", group)); err != nil {
			return err
		}
		for _, ack := range t.acks {
			if err := t.session.write(stomp.NewFrame(stomp.CommandAck, "id", ack, "transaction", group)); err != nil {
				return err
			}
		}
		return t.session.write(stomp.NewFrame(stomp.CommandCommit, "transaction", group, "receipt", group))
	default: // the last one stands for those before it, or is alone
		return t.session.write(stomp.NewFrame(stomp.CommandAck, "id", t.acks[len(t.acks)-1], "receipt", group))
	}
}

// journal is the record of what one run of a consumer said.
type journal struct {
	mu        sync.Mutex
	got       []delivery
	groups    map[string][]uint64 // offsets by group; guarded by mu, as all here
	receipted map[string]bool     // groups
	settled   int                 // deliveries in receipted groups
	fault     error               // what was said makes no sense
}

func newJournal() *journal {
	return &journal{groups: map[string][]uint64{}, receipted: map[string]bool{}}
}

// addSettled adds the offsets of what was acknowledged with a receipt.
func (j *journal) addSettled(offsets map[uint64]bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for group := range j.receipted {
		for _, offset := range j.groups[group] {
			offsets[offset] = true
		}
	}
}

// take notes one line.
func (j *journal) take(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "got":
		var d delivery
		if _, err := fmt.Sscanf(rest, "%d %s %d %t %d", &d.offset, &d.from, &d.number, &d.redelivered, &d.count); err != nil {
			j.fault = fmt.Errorf("line %q: %w", line, err)
		}
		j.got = append(j.got, d)
	case "settle":
		fields := strings.Fields(rest)
		for _, field := range fields[1:] {
			offset, err := strconv.ParseUint(field, 10, 64)
			if err != nil {
				j.fault = fmt.Errorf("line %q: %w", line, err)
			}
			j.groups[fields[0]] = append(j.groups[fields[0]], offset)
		}
	case "receipt":
		if j.receipted[rest] || len(j.groups[rest]) == 0 {
			j.fault = fmt.Errorf("receipt %q came twice or was not asked for", rest)
		}
		j.receipted[rest] = true
		j.settled += len(j.groups[rest])
	default:
		j.fault = fmt.Errorf("line %q", line)
	}
}

// counts gives how many deliveries came and how many of them are settled with a receipt.
func (j *journal) counts() (got, settled int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.got), j.settled
}

// settledWith tells whether a message of that publisher came, and everything that came is settled.
func (j *journal) settledWith(publisher string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.settled == len(j.got) && slices.ContainsFunc(j.got, func(d delivery) bool { return d.from == publisher })
}

// await polls until something is reached that nobody announces.
func await(t *testing.T, what string, reached func() bool) {
	t.Helper()
	late := time.After(startTimeout)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !reached() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s: not within %v", what, startTimeout)
		}
	}
}
