package main

// sub.go: `stampede sub DEST...` prints messages as they arrive.

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"stampede/stomp"
)

// subHeartBeat is what sub offers both ways, so that a broker that died is noticed.
const subHeartBeat = heartBeat(10 * time.Second)

// SubCmd prints the messages of one or more destinations until --count is reached or it is interrupted.
type SubCmd struct {
	ClientFlags
	Destinations []string `arg:"" name:"dest" help:"Destinations, such as /topic/news or /topic/**."`
	From         string   `placeholder:"WHERE" help:"Where to begin: first, last, next, offset=N or timestamp=T (ms since 1970)."`
	Ack          string   `enum:",auto,client,client-individual" default:"" placeholder:"MODE" help:"auto, client or client-individual (default: auto; with --count client-individual, so that no message beyond the count is taken)."`
	Count        uint64   `placeholder:"N" help:"End after N messages (default: never)."`
	JSON         bool     `name:"json" help:"Print one JSON object a line."`
	Verbose      bool     `short:"v" help:"Print destination, message-id and headers before each body."`
	Header       []string `short:"H" sep:"none" placeholder:"NAME:VALUE" help:"Header of SUBSCRIBE; may be repeated."`

	stdio     stdio
	heartBeat heartBeat // 0: subHeartBeat
}

// Validate reports bad usage.
func (c *SubCmd) Validate() error {
	_, err := parseHeaders(c.Header)
	return errors.Join(c.ClientFlags.Validate(), err, checkFrom(c.From))
}

func checkFrom(from string) error {
	switch from {
	case "", "first", "last", "next":
		return nil
	}
	name, number, _ := strings.Cut(from, "=")
	if name == "offset" || name == "timestamp" {
		if _, err := strconv.ParseUint(number, 10, 63); err == nil {
			return nil
		}
	}
	return fmt.Errorf("--from %q: want first, last, next, offset=N or timestamp=T", from)
}

// ackMode is what the SUBSCRIBE frames ask for.
func (c *SubCmd) ackMode() string {
	switch {
	case c.Ack != "":
		return c.Ack
	case c.Count > 0:
		return "client-individual"
	default:
		return "auto"
	}
}

// Run prints until the count is reached, ctx is done (both end well), or the session fails.
func (c *SubCmd) Run(ctx context.Context) error {
	headers, err := parseHeaders(c.Header)
	if err != nil {
		return err
	}
	beat := c.heartBeat
	if beat == 0 {
		beat = subHeartBeat
	}
	patient := &patientReader{}
	session, err := c.connect(ctx, beat, nil, patient.wrap)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	patient.session, patient.ended = session, ctx.Err
	go session.runHeartBeats(ctx)
	stop := context.AfterFunc(ctx, session.interrupt)
	defer stop()

	stdio := c.stdio.orProcess()
	s := &subscriber{cmd: c, session: session, out: bufio.NewWriterSize(stdio.out, 64<<10), notes: stdio.err}
	err = s.subscribe(headers)
	if err == nil {
		err = s.receive(ctx)
	}
	if flushErr := s.out.Flush(); err == nil {
		err = flushErr
	}
	switch {
	case ctx.Err() != nil || err == nil:
		cancel() // no heart-beat behind DISCONNECT
		session.goodbye()
		return nil
	default:
		_ = session.conn.Close() // what failed says more
		return err
	}
}

// subscriber receives the messages of one session.
type subscriber struct {
	cmd      *SubCmd
	session  *client
	out      *bufio.Writer
	notes    io.Writer
	received uint64
}

// subscribe sends every SUBSCRIBE; the receipts are answered for in receive, since messages may come between them.
func (s *subscriber) subscribe(headers []string) error {
	for i, destination := range s.cmd.Destinations {
		id := strconv.Itoa(i)
		pairs := []string{"id", id, "destination", destination, "ack", s.cmd.ackMode(), "receipt", "subscribe-" + id}
		if s.cmd.From != "" {
			pairs = append(pairs, "x-stream-offset", s.cmd.From)
		}
		if err := s.session.write(stomp.NewFrame(stomp.CommandSubscribe, append(pairs, headers...)...)); err != nil {
			return err
		}
	}
	return nil
}

func (s *subscriber) receive(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.awaitFrame(); err != nil {
			return err
		}
		f, err := s.session.read()
		if err != nil {
			return s.lost(err)
		}
		switch f.Command {
		case stomp.CommandReceipt:
			s.noteReceipt(f.Value("receipt-id"))
		case stomp.CommandMessage:
			if err := s.take(f); err != nil {
				return err
			}
			if s.received == s.cmd.Count {
				return nil
			}
		}
	}
	return nil
}

// awaitFrame prints what is gathered before a read that may block.
func (s *subscriber) awaitFrame() error {
	if s.session.reader.Buffered() > 0 {
		return nil
	}
	return s.out.Flush()
}

// lost says what the end of the session means to who waits for messages.
func (s *subscriber) lost(err error) error {
	if timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err); ok && timeout.Timeout() {
		return fmt.Errorf("nothing came from the broker for %s, not even a heart-beat", 2*s.session.expects)
	}
	return err
}

func (s *subscriber) noteReceipt(id string) {
	n, err := strconv.Atoi(strings.TrimPrefix(id, "subscribe-"))
	if err == nil && n >= 0 && n < len(s.cmd.Destinations) {
		fmt.Fprintf(s.notes, "subscribed to %s\n", s.cmd.Destinations[n])
	}
}

// take prints one message, then acknowledges it: what was not printed is never acknowledged.
func (s *subscriber) take(f *stomp.Frame) error {
	if err := s.print(f); err != nil {
		return fmt.Errorf("print a message: %w", err)
	}
	s.received++
	ack, asked := f.Get("ack")
	if !asked || s.cmd.ackMode() == "auto" {
		return nil
	}
	id := string(ack)
	if s.session.reader.Buffered() == 0 || s.received == s.cmd.Count {
		if err := s.out.Flush(); err != nil {
			return fmt.Errorf("print a message: %w", err)
		}
	}
	return s.session.write(stomp.NewFrame(stomp.CommandAck, "id", id))
}

func (s *subscriber) print(f *stomp.Frame) error {
	if s.cmd.JSON {
		line, err := json.Marshal(newPrintedMessage(f))
		if err != nil {
			return err
		}
		_, err = s.out.Write(append(line, '\n'))
		return err
	}
	if s.cmd.Verbose {
		for _, h := range f.Headers {
			fmt.Fprintf(s.out, "%s: %s\n", h.Name, h.Value)
		}
		_ = s.out.WriteByte('\n') // a bufio.Writer keeps its first error for the next call
	}
	_, _ = s.out.Write(f.Body) // as above
	return s.out.WriteByte('\n')
}

// patientReader gives up on a broker from which nothing came for twice the time that it promised to be heard in.
type patientReader struct {
	src     io.Reader
	session *client      // nil until the session is open
	ended   func() error // looked at behind each new deadline, so that it cannot undo an interrupt
}

func (p *patientReader) wrap(src io.Reader) io.Reader {
	p.src = src
	return p
}

func (p *patientReader) Read(b []byte) (int, error) {
	if p.session != nil && p.session.expects > 0 {
		if err := p.session.conn.SetReadDeadline(time.Now().Add(2 * p.session.expects)); err != nil {
			return 0, err
		}
		if err := p.ended(); err != nil {
			return 0, err
		}
	}
	return p.src.Read(b)
}

// printedMessage is a line of --json. The fields of STOMP's headers come by their names on the wire.
type printedMessage struct {
	Destination string            `json:"destination"`
	MessageID   string            `json:"message-id"`
	Offset      *uint64           `json:"offset,omitempty"`
	Timestamp   *int64            `json:"timestamp,omitempty"`
	Headers     map[string]string `json:"headers"`
	Body        *string           `json:"body,omitempty"`
	BodyBase64  []byte            `json:"body_base64,omitempty"`
}

func newPrintedMessage(f *stomp.Frame) printedMessage {
	m := printedMessage{Destination: f.Value("destination"), MessageID: f.Value("message-id"), Headers: make(map[string]string, len(f.Headers))}
	for _, h := range f.Headers {
		if _, repeated := m.Headers[string(h.Name)]; !repeated { // the first one counts [STOMP12 §Repeated Header Entries]
			m.Headers[string(h.Name)] = string(h.Value)
		}
	}
	if offset, err := strconv.ParseUint(f.Value("x-stream-offset"), 10, 64); err == nil {
		m.Offset = &offset
	}
	if at, err := strconv.ParseInt(f.Value("timestamp"), 10, 64); err == nil {
		m.Timestamp = &at
	}
	if utf8.Valid(f.Body) {
		body := string(f.Body)
		m.Body = &body
	} else {
		m.BodyBase64 = f.Body
	}
	return m
}
