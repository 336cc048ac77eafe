package main

// bench_bare_session.go: one connection of the bare fan-out.

import (
	"bufio"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"stampede/stomp"
)

// bareOutboxBytes is how much is gathered for a subscriber before it is written within a batch.
const bareOutboxBytes = 256 << 10

// bareSession is one connection. Its own goroutine reads; whoever publishes to it writes.
type bareSession struct {
	server        *bareServer
	conn          net.Conn
	overWebSocket bool
	names         map[string]*bareTopic // topics published to
	subscriptions []*bareSubscription
	tail          []byte         // of the MESSAGE at hand
	touched       []*bareSession // got something in this batch
	messages      uint64

	mu  sync.Mutex // guards out and writes
	out []byte
}

func (s *bareSession) run(src io.Reader) {
	limits := stomp.DefaultLimits()
	limits.BodyBytesMax = clientBodyBytesMax
	r := stomp.NewReader(bufio.NewReaderSize(src, benchReadBytes), limits)
	s.names = make(map[string]*bareTopic)
	defer func() {
		for _, sub := range s.subscriptions {
			s.server.leave(sub)
		}
		_ = s.endBatch() // what others wait for; the connection is over
	}()
	for {
		f, err := r.ReadFrame()
		if err != nil || !s.handle(f, r) {
			return
		}
	}
}

// handle says whether the session goes on.
func (s *bareSession) handle(f *stomp.Frame, r *stomp.Reader) bool {
	switch f.Command {
	case stomp.CommandConnect, stomp.CommandStomp:
		s.answer(stomp.NewFrame(stomp.CommandConnected, "version", "1.2", "heart-beat", "0,0", "server", "bare"))
		r.SetVersion(stomp.V12)
		return true
	case stomp.CommandSend:
		s.publish(f)
	case stomp.CommandSubscribe:
		s.subscribe(f)
	case stomp.CommandUnsubscribe:
		s.unsubscribe(f.Value("id"))
	}
	if receipt, asked := f.Get("receipt"); asked {
		s.answerReceipt(receipt)
	}
	return f.Command != stomp.CommandDisconnect
}

func (s *bareSession) subscribe(f *stomp.Frame) {
	id := f.Value("id")
	head := stomp.AppendHeader([]byte("MESSAGE\n"), stomp.V12, "subscription", id)
	if f.Value("ack") != "auto" {
		head = stomp.AppendHeader(head, stomp.V12, "ack", "any")
	}
	sub := &bareSubscription{session: s, topic: s.server.topic(f.Value("destination")), head: head}
	s.subscriptions = append(s.subscriptions, sub)
	s.server.join(sub)
}

func (s *bareSession) unsubscribe(id string) {
	want := string(stomp.AppendHeader([]byte("MESSAGE\n"), stomp.V12, "subscription", id))
	for i, sub := range s.subscriptions {
		if len(sub.head) >= len(want) && string(sub.head[:len(want)]) == want {
			s.server.leave(sub)
			s.subscriptions = append(s.subscriptions[:i], s.subscriptions[i+1:]...)
			return
		}
	}
}

// publish encodes what all subscribers share once, and appends it to each one's outbox.
func (s *bareSession) publish(f *stomp.Frame) {
	destination, _ := f.Get("destination")
	topic := s.names[string(destination)]
	if topic == nil {
		topic = s.server.topic(string(destination))
		s.names[string(destination)] = topic
	}
	s.messages++
	t := stomp.AppendHeaderBytes(s.tail[:0], stomp.V12, []byte("destination"), destination)
	t = append(t, "message-id:"...)
	t = strconv.AppendUint(t, s.messages, 10)
	t = append(t, "\ncontent-length:"...)
	t = strconv.AppendInt(t, int64(len(f.Body)), 10)
	t = append(t, "\n\n"...)
	t = append(t, f.Body...)
	s.tail = append(t, 0)
	subs := *topic.subscribers.Load()
	if topic.queue && len(subs) > 0 {
		i := topic.turn.Add(1) % uint64(len(subs))
		subs = subs[i : i+1]
	}
	for _, sub := range subs {
		if sub.session.take(sub.head, s.tail) {
			s.touched = append(s.touched, sub.session)
		}
	}
}

// take appends one frame. first says that the outbox was empty: the caller has to flush it at the end of its batch.
func (s *bareSession) take(head, tail []byte) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first = len(s.out) == 0
	if s.overWebSocket {
		s.out = appendFrameHeader(s.out, opText, len(head)+len(tail), 0)
	}
	s.out = append(s.out, head...)
	s.out = append(s.out, tail...)
	if len(s.out) >= bareOutboxBytes {
		s.flushLocked()
		return false
	}
	return first
}

func (s *bareSession) answer(f *stomp.Frame) {
	if s.take(nil, stomp.AppendFrame(nil, stomp.V12, f)) {
		s.touched = append(s.touched, s)
	}
}

func (s *bareSession) answerReceipt(id []byte) {
	t := stomp.AppendHeaderBytes(append(s.tail[:0], "RECEIPT\n"...), stomp.V12, []byte("receipt-id"), id)
	s.tail = append(t, '\n', 0)
	if s.take(nil, s.tail) {
		s.touched = append(s.touched, s)
	}
}

// endBatch writes what the frames of one read have led to: one write for each session.
func (s *bareSession) endBatch() error {
	for i, other := range s.touched {
		other.mu.Lock()
		other.flushLocked()
		other.mu.Unlock()
		s.touched[i] = nil
	}
	s.touched = s.touched[:0]
	return nil
}

// flushLocked blocks while the socket is full, and with it all who publish to the session.
func (s *bareSession) flushLocked() {
	if len(s.out) == 0 {
		return
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(stallTimeout)) // as below
	_, _ = s.conn.Write(s.out)                                // a broken connection ends its own goroutine
	s.out = s.out[:0]
}
