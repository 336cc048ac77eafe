package main

// client.go: a STOMP session as pub, sub and bench have it.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"stampede/stomp"
)

const (
	// dialTimeout bounds the way from nothing to CONNECTED; past it the command fails.
	dialTimeout = 10 * time.Second
	// receiptTimeout bounds the wait for one RECEIPT; past it the command fails and says so.
	receiptTimeout = 30 * time.Second
	// lingerTimeout bounds the goodbye: how long the broker may take to answer DISCONNECT before the socket is closed.
	lingerTimeout = time.Second
	// clientBodyBytesMax bounds the body of one received frame; a longer one ends the session with an error.
	clientBodyBytesMax = 64 << 20
)

// client is one STOMP session, used by one goroutine for reading and one for writing.
type client struct {
	conn    net.Conn
	reader  *stomp.Reader
	version stomp.Version
	sends   time.Duration // we promised to send something this often; 0 never
	expects time.Duration // the broker promised the same; 0 never
	out     []byte        // frames not written yet
}

// heartBeat is what a session offers in CONNECT, both ways; 0 none.
type heartBeat time.Duration

// connect dials and logs in. wrap, when not nil, is put between the socket and the frame reader.
func (c ClientFlags) connect(ctx context.Context, beat heartBeat, from net.Addr, wrap func(io.Reader) io.Reader) (*client, error) {
	conn, err := c.dial(ctx, from)
	if err != nil {
		return nil, err
	}
	var src io.Reader = conn
	if wrap != nil {
		src = wrap(conn)
	}
	limits := stomp.DefaultLimits()
	limits.BodyBytesMax = clientBodyBytesMax
	s := &client{conn: conn, reader: stomp.NewReader(src, limits)}
	stop := context.AfterFunc(ctx, s.interrupt)
	defer stop()
	if err := s.login(c, beat); err != nil {
		_ = conn.Close() // the login's error says more
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("connect to %s: %w", c.URL, err)
	}
	return s, nil
}

func (s *client) login(c ClientFlags, beat heartBeat) error {
	if err := s.conn.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return err
	}
	host := c.Host
	if host == "" {
		e, err := parseEndpoint(c.URL)
		if err != nil {
			return err
		}
		host = e.name
	}
	millis := time.Duration(beat).Milliseconds()
	headers := []string{"accept-version", "1.2", "host", host, "heart-beat", fmt.Sprintf("%d,%d", millis, millis)}
	if c.Login != "" || c.Passcode != "" {
		headers = append(headers, "login", c.Login, "passcode", c.Passcode)
	}
	if err := s.write(stomp.NewFrame(stomp.CommandConnect, headers...)); err != nil {
		return err
	}
	answer, err := s.read()
	if err != nil {
		return err
	}
	if answer.Command != stomp.CommandConnected || answer.Value("version") != "1.2" {
		return fmt.Errorf("the broker answered CONNECT with %s, version %q; want CONNECTED, version \"1.2\"", answer.Command, answer.Value("version"))
	}
	s.version = stomp.V12
	s.reader.SetVersion(stomp.V12)
	s.negotiate(int(millis), answer.Value("heart-beat"))
	return s.conn.SetDeadline(time.Time{})
}

// negotiate keeps the heart-beat that both ends agreed to. [STOMP12 §Heart-beating]
func (s *client) negotiate(millis int, answer string) {
	if millis == 0 || answer == "" {
		return
	}
	theirs, want, err := stomp.ParseHeartBeat(answer)
	if err != nil {
		return // a broker that cannot say its heart-beat has none
	}
	if theirs > 0 {
		s.expects = time.Duration(max(theirs, millis)) * time.Millisecond
	}
	if want > 0 {
		s.sends = time.Duration(max(want, millis)) * time.Millisecond
	}
}

// write sends one frame at once.
func (s *client) write(f *stomp.Frame) error {
	s.out = stomp.AppendFrame(s.out[:0], s.version, f)
	_, err := s.conn.Write(s.out)
	return err
}

// writePrepared sends bytes that are encoded for the connection already, WebSocket framing included.
func (s *client) writePrepared(p []byte) error {
	if ws, isWS := s.conn.(*wsConn); isWS {
		return ws.writePrepared(p)
	}
	_, err := s.conn.Write(p)
	return err
}

// read gives the next frame; an ERROR frame comes as a *brokerError. The frame is valid until the next read.
func (s *client) read() (*stomp.Frame, error) {
	f, err := s.reader.ReadFrame()
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errors.New("the broker closed the connection")
		}
		return nil, err
	}
	if f.Command == stomp.CommandError {
		return nil, newBrokerError(f)
	}
	return f, nil
}

// interrupt makes a read that blocks return at once; the connection can still be written.
func (s *client) interrupt() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) } // fails only on a closed socket, whose reads return anyway

// interruptAfter makes reads return at the latest after d.
func (s *client) interruptAfter(d time.Duration) { _ = s.conn.SetReadDeadline(time.Now().Add(d)) } // as in interrupt

// beginGoodbye says DISCONNECT and that nothing more follows; what the broker still sends has lingerTimeout to come.
func (s *client) beginGoodbye() error {
	if err := s.conn.SetDeadline(time.Now().Add(lingerTimeout)); err != nil {
		return err
	}
	if err := s.write(stomp.NewFrame(stomp.CommandDisconnect, "receipt", "goodbye")); err != nil {
		return err
	}
	if half, ok := s.conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// goodbye ends the session in order. What the broker still sends is read and thrown away, because closing
// a socket with unread bytes resets it and may cost the broker our last frames.
func (s *client) goodbye() {
	if s.beginGoodbye() == nil {
		_, _ = io.Copy(io.Discard, s.conn) // ends by the deadline at the latest, and nobody wants the rest
	}
	_ = s.conn.Close() // the session is over either way
}

// runHeartBeats sends an EOL twice as often as was agreed, until ctx is done.
func (s *client) runHeartBeats(ctx context.Context) {
	if s.sends == 0 {
		return
	}
	tick := time.NewTicker(s.sends / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := s.conn.Write([]byte{'\n'}); err != nil {
				return // the reading side reports the broken connection
			}
		}
	}
}

// brokerError is an ERROR frame.
type brokerError struct {
	message, code, body, receiptID string
}

func newBrokerError(f *stomp.Frame) *brokerError {
	return &brokerError{message: f.Value("message"), code: f.Value("error-code"), body: string(f.Body), receiptID: f.Value("receipt-id")}
}

func (e *brokerError) Error() string {
	var b strings.Builder
	b.WriteString("the broker answered ERROR: ")
	b.WriteString(e.message)
	if e.code != "" {
		fmt.Fprintf(&b, " [%s]", e.code)
	}
	if body := strings.Join(strings.Fields(e.body), " "); body != "" && body != e.message {
		b.WriteString(": ")
		b.WriteString(body)
	}
	return b.String()
}

// parseHeaders reads -H name:value flags.
func parseHeaders(list []string) ([]string, error) {
	pairs := make([]string, 0, 2*len(list))
	for _, h := range list {
		name, value, ok := strings.Cut(h, ":")
		if !ok || name == "" {
			return nil, fmt.Errorf("header %q: want name:value", h)
		}
		pairs = append(pairs, name, value)
	}
	return pairs, nil
}

// stdio is where a command reads and prints; the zero value means the process's own.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

func (s stdio) orProcess() stdio {
	if s.in == nil {
		s.in = os.Stdin
	}
	if s.out == nil {
		s.out = os.Stdout
	}
	if s.err == nil {
		s.err = os.Stderr
	}
	return s
}
