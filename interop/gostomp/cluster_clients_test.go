package gostomp_test

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
)

// This file has the clients that live through the end of a leader.

// publisher sends numbered messages, each with its receipt. What got none because the connection was lost is sent once more, and is noted:
// it may be there twice.
type publisher struct {
	*disaster
	numbers           []int
	conn              *stomp.Conn
	destination, word string
	dials             int
	sent, repeated    []string
}

func newPublisher(d *disaster, destination, word string, numbers ...int) *publisher {
	p := &publisher{disaster: d, numbers: numbers, destination: destination, word: word}
	p.reconnect()
	return p
}

func (p *publisher) reconnect() bool {
	conn, err := p.dial(p.numbers...)
	if err != nil {
		p.t.Error(err)
		return false
	}
	p.conn = conn
	p.dials++
	return true
}

func (p *publisher) publish(count int) {
	for range count {
		p.sent = append(p.sent, p.word+" "+strconv.Itoa(len(p.sent)))
		p.send(p.sent[len(p.sent)-1])
	}
}

func (p *publisher) send(body string) {
	for {
		err := p.conn.Send(p.destination, "text/plain", []byte(body), stomp.SendOpt.Receipt)
		if err == nil {
			return
		}
		p.t.Logf("SEND %q: %v", body, err)
		p.repeated = append(p.repeated, body)
		if !p.reconnect() {
			return
		}
	}
}

// check looks for all that was sent: once, or at most once more for each time it was repeated.
func (p *publisher) check(t *testing.T, got []string) {
	t.Helper()
	count := func(in []string, body string) (n int) {
		for _, each := range in {
			if each == body {
				n++
			}
		}
		return n
	}
	for _, body := range p.sent {
		if n, most := count(got, body), 1+count(p.repeated, body); n < 1 || n > most {
			t.Errorf("%q came %d times, want 1 to %d", body, n, most)
		}
	}
}

// follower reads a topic, and goes on after the last message that it saw when its connection was lost.
type follower struct {
	*disaster
	numbers []int
	topic   string
	dials   int
	got     []string
	last    string // message-id
	from    *stomp.Subscription
}

func newFollower(d *disaster, topic string, numbers ...int) *follower {
	f := &follower{disaster: d, numbers: numbers, topic: topic}
	if err := f.subscribe(); err != nil {
		d.t.Fatal(err)
	}
	return f
}

// subscribe connects, and returns when the broker has handled the SUBSCRIBE: all before a receipt of a later frame was handled.
func (f *follower) subscribe() error {
	conn, err := f.dial(f.numbers...)
	if err != nil {
		return err
	}
	f.dials++
	var options []func(*frame.Frame) error
	if f.last != "" {
		options = append(options, stomp.SubscribeOpt.Header("resume-after", f.last))
	}
	f.from, err = conn.Subscribe(f.topic, stomp.AckAuto, options...)
	if err != nil || f.last != "" { // what waits to be read would hold the receipt up
		return err
	}
	return conn.Send("/topic/barrier", "text/plain", nil, stomp.SendOpt.Receipt)
}

func (f *follower) readTo(end string) {
	for len(f.got) == 0 || f.got[len(f.got)-1] != end {
		select {
		case message, open := <-f.from.C:
			if open && message.Err == nil {
				f.got, f.last = append(f.got, string(message.Body)), message.Header.Get("message-id")
				continue
			}
			for err := f.subscribe(); err != nil; err = f.subscribe() { // it may be lost again at once
				if f.ctx.Err() != nil {
					f.t.Errorf("subscribe again: %v", err)
					return
				}
			}
		case <-f.ctx.Done():
			f.t.Errorf("no %q within %v; got %q", end, settleTime, f.got)
			return
		}
	}
}

// worker takes from a queue and settles each message in a transaction, whose COMMIT go-stomp can have receipted.
//
// Goroutines: one, from newWorker until its disaster is cancelled.
type worker struct {
	*disaster
	numbers []int
	queue   string
	dials   int
	running sync.WaitGroup
	mu      sync.Mutex // guards what follows
	done    []string   // receipted
	open    []string   // the connection was lost before the receipt
	late    []string   // came again after its receipt
}

func newWorker(d *disaster, queue string, numbers ...int) *worker {
	w := &worker{disaster: d, numbers: numbers, queue: queue}
	conn, from, err := w.subscribe()
	if err != nil {
		d.t.Fatal(err)
	}
	w.running.Go(func() { w.run(conn, from) })
	return w
}

func (w *worker) subscribe() (*stomp.Conn, *stomp.Subscription, error) {
	conn, err := w.dial(w.numbers...)
	if err != nil {
		return nil, nil, err
	}
	w.dials++
	from, err := conn.Subscribe(w.queue, stomp.AckClientIndividual, stomp.SubscribeOpt.Header("prefetch-count", "8")) // go-stomp has room for them
	return conn, from, err
}

func (w *worker) run(conn *stomp.Conn, from *stomp.Subscription) {
	for {
		var lost error
		select {
		case <-w.ctx.Done():
			_ = conn.Disconnect() // what it holds goes back
			return
		case message, open := <-from.C:
			if open && message.Err == nil {
				lost = w.settle(conn, message)
			} else {
				lost = errors.New("the subscription has ended")
			}
		}
		for lost != nil && w.ctx.Err() == nil {
			conn, from, lost = w.subscribe()
		}
	}
}

func (w *worker) settle(conn *stomp.Conn, message *stomp.Message) error {
	body := string(message.Body)
	if w.settled(body) {
		w.mu.Lock()
		w.late = append(w.late, body)
		w.mu.Unlock()
	}
	tx, err := conn.BeginWithError()
	if err == nil {
		err = errors.Join(tx.Ack(message), tx.CommitWithReceipt())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.open = append(w.open, body)
		return err
	}
	w.done = append(w.done, body)
	return nil
}

func (w *worker) settled(body string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.done, body)
}

func (w *worker) unsure(body string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.open, body)
}

// left is what waits in the queue: all that a new subscription gets before a marker that is sent last.
func (d *disaster) left(t *testing.T, queue string) []string {
	t.Helper()
	stream, err := d.w.open(d.all[d.alive[0]-1])
	if err != nil {
		t.Fatal(err)
	}
	c := connect(t, d.w, stream)
	c.send(queue, "marker")
	s, err := c.Subscribe(queue, stomp.AckAuto)
	if err != nil {
		t.Fatal(err)
	}
	var bodies []string
	for body := string(next(t, s).Body); body != "marker"; body = string(next(t, s).Body) {
		bodies = append(bodies, body)
	}
	return bodies
}
