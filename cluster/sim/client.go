package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"stampede/stomp"
)

// This file is the clients: they publish, subscribe and consume over sessions that break, and write down what they were promised and given.

// errRefused is an ERROR frame.
type errRefused struct{ code, receipt string }

func (e *errRefused) Error() string { return "ERROR " + e.code }

// session is a STOMP session.
type session struct {
	conn   net.Conn
	reader *stomp.Reader
	out    []byte
}

// client is what all clients have.
type client struct {
	name   string
	world  *World
	random *rand.Rand
	calm   *atomic.Bool // nothing goes wrong any more: finish what is open
	over   *atomic.Bool // end
}

// connect opens a session to any node.
func (c *client) connect() (*session, error) {
	m := c.world.Machines[c.random.IntN(len(c.world.Machines))]
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	conn, err := c.world.Net.Host(c.name).Dial(ctx, m.Name+stompPort)
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn, reader: stomp.NewReader(conn, stomp.DefaultLimits())}
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return nil, err
	}
	s.write(stomp.CommandConnect, "", "accept-version", "1.2", "host", "sim", "login", c.name)
	f, err := s.read()
	if err != nil || f.Command != stomp.CommandConnected {
		return nil, errors.Join(errors.New("not connected"), err, conn.Close())
	}
	s.reader.SetVersion(stomp.V12)
	return s, conn.SetReadDeadline(time.Time{})
}

func (s *session) write(command stomp.Command, body string, pairs ...string) {
	f := stomp.NewFrame(command, pairs...)
	f.Body = []byte(body)
	s.out = stomp.AppendFrame(s.out[:0], stomp.V12, f)
	_, _ = s.conn.Write(s.out) // the reading side sees the end
}

func (s *session) read() (*stomp.Frame, error) {
	f, err := s.reader.ReadFrame()
	if err != nil {
		return nil, err
	}
	if f.Command == stomp.CommandError {
		return nil, &errRefused{f.Value("error-code"), f.Value("receipt-id")}
	}
	return f, nil
}

// pause waits a little, at random.
func (c *client) pause(most time.Duration) { time.Sleep(time.Duration(c.random.Int64N(int64(most)))) }

// sessions runs one session after the other until end.
func (c *client) sessions(end *atomic.Bool, run func(s *session)) {
	for !end.Load() {
		s, err := c.connect()
		if err != nil {
			c.pause(300 * time.Millisecond)
			continue
		}
		run(s)
		_ = s.conn.Close() // closed already where it broke
		c.pause(100 * time.Millisecond)
	}
}

// Publisher sends numbered bodies.
type publisher struct {
	client
	topic, queue string // to one of them, or in transactions to both
	unlogged     bool
	mixed        bool // some unlogged, some not
	lives, sent  int
}

// run publishes in bursts, each answered before the next.
func (p *publisher) run() {
	p.sessions(p.calm, func(s *session) {
		p.lives++
		for range 1 + p.random.IntN(30) {
			if p.calm.Load() || p.burst(s) != nil {
				return
			}
			p.pause(60 * time.Millisecond)
		}
	})
}

func (p *publisher) burst(s *session) error {
	waiting := map[string][]string{} // bodies by receipt
	for range 1 + p.random.IntN(5) {
		p.sent++
		body, receipt := fmt.Sprintf("%s %d", p.name, p.sent), strconv.Itoa(p.sent)
		switch {
		case p.topic != "" && p.queue != "":
			bodies := []string{body + " topic", body + " queue"}
			p.world.History.Sent(p.topic, bodies[0])
			p.world.History.Sent(p.queue, bodies[1])
			s.write(stomp.CommandBegin, "", "transaction", receipt)
			s.write(stomp.CommandSend, bodies[0], "destination", p.topic, "transaction", receipt)
			s.write(stomp.CommandSend, bodies[1], "destination", p.queue, "transaction", receipt)
			s.write(stomp.CommandCommit, "", "transaction", receipt, "receipt", receipt)
			waiting[receipt] = bodies
		case p.unlogged || p.mixed && p.random.IntN(2) == 0: // their order is one session's
			body = fmt.Sprintf("%s.%d %d", p.name, p.lives, p.sent)
			p.world.History.SentUnlogged(p.topic, body)
			s.write(stomp.CommandSend, body, "destination", p.topic, "persistent", "false", "receipt", receipt)
			waiting[receipt] = nil
		default:
			if p.mixed {
				body = fmt.Sprintf("%s.%d %d", p.name, p.lives, p.sent)
			}
			p.world.History.Sent(p.topic+p.queue, body)
			s.write(stomp.CommandSend, body, "destination", p.topic+p.queue, "receipt", receipt)
			waiting[receipt] = []string{body}
		}
	}
	if err := s.conn.SetReadDeadline(time.Now().Add(25 * time.Second)); err != nil {
		return err
	}
	for len(waiting) > 0 {
		f, err := s.read()
		refused, isRefused := errors.AsType[*errRefused](err)
		switch {
		case err == nil:
			p.world.History.Receipted(waiting[f.Value("receipt-id")]...)
			delete(waiting, f.Value("receipt-id"))
		case isRefused && refused.receipt != "":
			p.world.History.Refused(refused.code, waiting[refused.receipt]...)
			delete(waiting, refused.receipt)
		default:
			return err
		}
	}
	return nil
}

// subscriber reads a topic from its first message on, over as many sessions as it takes.
type subscriber struct {
	client
	topic string
	last  string // message-id of the last logged message
	after string // likewise, of unlogged ones too
}

func (r *subscriber) run() {
	r.sessions(r.over, func(s *session) {
		position := []string{"x-stream-offset", "first"}
		if r.after != "" {
			position = []string{"resume-after", r.after}
		}
		s.write(stomp.CommandSubscribe, "", append(position, "id", "0", "destination", r.topic, "receipt", "r")...)
		end := time.AfterFunc(time.Duration(r.random.Int64N(int64(8*time.Second))), func() {
			if !r.calm.Load() {
				_ = s.conn.Close() // whatever comes is read again
			}
		})
		defer end.Stop()
		for {
			f, err := s.read()
			if err != nil {
				return
			}
			if f.Command == stomp.CommandMessage {
				r.take(f)
			}
		}
	})
}

func (r *subscriber) take(f *stomp.Frame) {
	id, body := f.Value("message-id"), string(f.Body)
	if gap := f.Value("resume-gap"); gap != "" {
		r.world.History.Fault("%s: told a gap at %s, nothing was dropped", r.name, gap)
	}
	offset, logged := f.Get("x-stream-offset")
	if !logged {
		r.world.History.GotUnlogged(r.name, r.topic, body)
		r.after = id
		return
	}
	if "1-0-"+string(offset) != id {
		r.world.History.Fault("%s: message-id %s at offset %s", r.name, id, offset)
	}
	n, err := strconv.ParseUint(string(offset), 10, 64)
	if err != nil {
		r.world.History.Fault("%s: offset %q", r.name, offset)
	}
	r.last, r.after = id, id
	r.world.History.Got(r.name, r.topic, body, n)
}

// consumer takes from a queue, acknowledges most, and dies now and then.
type consumer struct {
	client
	queue string
}

func (q *consumer) run() {
	q.sessions(q.over, func(s *session) {
		s.write(stomp.CommandSubscribe, "", "id", "0", "destination", q.queue, "ack", "client-individual", "prefetch-count", "5")
		var holding atomic.Bool
		end := time.AfterFunc(time.Duration(q.random.Int64N(int64(6*time.Second))), func() {
			if !q.calm.Load() || holding.Load() {
				_ = s.conn.Close() // what it has unsettled goes back
			}
		})
		defer end.Stop()
		life := q.world.History.NextLife()
		acking := map[string]string{} // bodies by receipt
		for n := 0; ; n++ {
			f, err := s.read()
			refused, isRefused := errors.AsType[*errRefused](err)
			switch {
			case isRefused && refused.receipt != "":
				delete(acking, refused.receipt)
			case err != nil:
				return
			case f.Command == stomp.CommandReceipt:
				q.world.History.Settled(acking[f.Value("receipt-id")])
				delete(acking, f.Value("receipt-id"))
			case f.Command == stomp.CommandMessage:
				body, id := string(f.Body), strconv.Itoa(n)
				q.world.History.Delivered(q.name, life, body, f.Value("message-id"), f.Value("redelivered") == "true")
				if !q.calm.Load() && q.random.IntN(10) == 0 {
					holding.Store(true) // it keeps this one until it ends
					continue
				}
				acking[id] = body
				s.write(stomp.CommandAck, "", "id", f.Value("ack"), "receipt", id)
			}
		}
	})
}

// publisherOf says who sent a body, and as its how manieth.
func publisherOf(body string) (name string, number int) {
	name, rest, _ := strings.Cut(body, " ")
	text, _, _ := strings.Cut(rest, " ")
	number, _ = strconv.Atoi(text)
	return name, number
}
