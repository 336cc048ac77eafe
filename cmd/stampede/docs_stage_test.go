package main

// docs_stage_test.go: the broker and the clients that an example of the documents is played with.

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// answerTimeout is how long an answer of an example may take; one that needs it has failed.
const answerTimeout = 10 * time.Second

// stage is a broker of its own and the clients of an example.
type stage struct {
	node    *running
	url     string
	clients map[string]*docClient
	values  map[string]string // what the words in angle brackets stand for
	drained bool              // the broker says goodbye to everyone
}

func newStage(t *testing.T, transport string) *stage {
	t.Helper()
	node := startNode(t, t.TempDir(), "--drain-timeout=5s")
	url := node.url["stomp"]
	if transport == "ws" {
		url = node.url["websocket"]
	}
	return &stage{node: node, url: url, clients: map[string]*docClient{}, values: map[string]string{}}
}

// play does what the lines say. What one client wrote has taken effect before the next line is done.
func (s *stage) play(t *testing.T, e *example) {
	t.Helper()
	for i := range e.steps {
		step := &e.steps[i]
		if at, err := s.do(t, e, step); err != nil {
			t.Fatalf("%s:%d: %s%v", e.document, step.line+at, prefixOf(step.client), err)
		}
	}
}

func prefixOf(client string) string {
	if client == "" {
		return ""
	}
	return client + ": "
}

// do takes one step. With an error it gives the line of the step that the error is about.
func (s *stage) do(t *testing.T, e *example, step *docStep) (at int, err error) {
	if step.kind == operatorRuns {
		return 0, s.run(t, step.text[0])
	}
	c := s.clients[step.client]
	if c == nil {
		c = s.enter(t, step.client)
		if !isConnect(step) {
			if err := c.connect(e.version, step.client); err != nil {
				return 0, err
			}
		}
	}
	switch step.kind {
	case brokerAnswers:
		return s.compare(c, step)
	case brokerCloses:
		if got, open := c.next(); open {
			return 0, fmt.Errorf("got %s, want the connection closed", got)
		}
		return 0, nil
	default:
		return 0, s.write(c, step)
	}
}

func (s *stage) write(c *docClient, step *docStep) error {
	text, err := s.filled(strings.Join(step.text, "\n"))
	if err != nil {
		return err
	}
	if err := c.write(text); err != nil || isConnect(step) { // before CONNECTED nothing else may be said
		return err
	}
	return c.settle()
}

func isConnect(step *docStep) bool {
	return step.kind == clientWrites && (step.command() == "CONNECT" || step.command() == "STOMP")
}

// run does what an operator does.
func (s *stage) run(t *testing.T, line string) error {
	if line != "stampede drain" {
		return fmt.Errorf("%q is not what an example may run", line)
	}
	s.drained = true
	if got := runBinary(t, nil, "drain", "--admin="+strings.TrimPrefix(s.node.url["admin"], "http://")); got.code != 0 {
		return fmt.Errorf("%s: exit code %d, %s", line, got.code, got.stderr)
	}
	return nil
}

// leave checks that the broker has said nothing that the example does not show.
func (s *stage) leave(t *testing.T) {
	t.Helper()
	if s.drained {
		return
	}
	for name, c := range s.clients {
		if err := c.settle(); err != nil {
			t.Errorf("%s%v", prefixOf(name), err)
		}
		select {
		case got, open := <-c.frames:
			if open {
				t.Errorf("%sgot %s that the example does not show", prefixOf(name), got)
			}
		default:
		}
	}
}

var docPlaceholder = regexp.MustCompile(`<[a-z][a-z0-9-]*>`)

// filled puts the values in place of the words that stand for them.
func (s *stage) filled(text string) (string, error) {
	var unknown error
	text = docPlaceholder.ReplaceAllStringFunc(text, func(word string) string {
		value, ok := s.values[word]
		if !ok {
			unknown = fmt.Errorf("no answer has told yet what %s is", word)
		}
		return value
	})
	return text, unknown
}

// match compares a text with what the document shows of it, and learns what its words stand for.
func (s *stage) match(got, want string) bool {
	var pattern strings.Builder
	var words []string
	pattern.WriteString(`(?s)^`)
	rest := want
	for rest != "" {
		at := docPlaceholder.FindStringIndex(rest)
		dots := strings.Index(rest, leftOut)
		switch {
		case dots >= 0 && (at == nil || dots < at[0]):
			pattern.WriteString(regexp.QuoteMeta(rest[:dots]) + `.*`)
			rest = rest[dots+len(leftOut):]
		case at != nil:
			pattern.WriteString(regexp.QuoteMeta(rest[:at[0]]))
			word := rest[at[0]:at[1]]
			if value, known := s.values[word]; known {
				pattern.WriteString(regexp.QuoteMeta(value))
			} else {
				pattern.WriteString(`([A-Za-z0-9_.-]+)`)
				words = append(words, word)
			}
			rest = rest[at[1]:]
		default:
			pattern.WriteString(regexp.QuoteMeta(rest))
			rest = ""
		}
	}
	found := regexp.MustCompile(pattern.String() + `$`).FindStringSubmatch(got)
	if found == nil {
		return false
	}
	for i, word := range words {
		s.values[word] = found[i+1]
	}
	return true
}

// compare takes the client's next frame and holds it against the document.
func (s *stage) compare(c *docClient, step *docStep) (at int, err error) {
	got, open := c.next()
	if !open {
		return 0, fmt.Errorf("got no frame (%v), want %s", c.fault, step.command())
	}
	if got.command != step.command() {
		return 0, fmt.Errorf("got %s, want %s", got, step.command())
	}
	for i, want := range step.headers() {
		if want == leftOut {
			continue
		}
		name, value, _ := strings.Cut(want, ":")
		if has, ok := got.header(name); !ok || !s.match(has, value) {
			filled, _ := s.filled(want) // what is not known stays out: want is there too
			return 1 + i, fmt.Errorf("got %s, want the header %q (%q)", got, want, filled)
		}
	}
	if want := step.body(); !s.match(got.body, want) {
		return len(step.headers()) + 2, fmt.Errorf("got the body %q, want %q", got.body, want)
	}
	return 0, nil
}

// docFrame is a frame as it came: header lines are not unescaped.
type docFrame struct {
	command string
	headers []string
	body    string
}

func (f docFrame) String() string {
	if f.headers == nil {
		return f.command
	}
	return strconv.Quote(f.command + "\n" + strings.Join(f.headers, "\n") + "\n\n" + f.body)
}

func (f docFrame) header(name string) (string, bool) {
	i := slices.IndexFunc(f.headers, func(line string) bool { return strings.HasPrefix(line, name+":") })
	if i < 0 {
		return "", false
	}
	return f.headers[i][len(name)+1:], true
}

// docClient is one connection.
//
// Goroutines: read, until the connection ends.
type docClient struct {
	conn    net.Conn
	frames  chan docFrame // closed when the connection has ended
	settled chan string   // receipts of settle; closed likewise
	asked   int
	fault   error // why the connection ended; read after frames was closed
}

// settlePrefix marks the receipts that no example shows.
const settlePrefix = "docs-settle-"

func (s *stage) enter(t *testing.T, name string) *docClient {
	t.Helper()
	conn, err := ClientFlags{URL: s.url}.dial(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &docClient{conn: conn, frames: make(chan docFrame, 100), settled: make(chan string, 100)}
	s.clients[name] = c
	go c.read()
	t.Cleanup(func() {
		conn.Close()
		for range c.frames { // until read has ended
		}
	})
	return c
}

// connect opens the session of a client that the example does not show connecting.
func (c *docClient) connect(version, user string) error {
	login := ""
	if user != "" {
		login = "\nlogin:" + user
	}
	if err := c.write("CONNECT\naccept-version:" + version + "\nhost:example" + login + "\n\n"); err != nil {
		return err
	}
	if got, open := c.next(); !open || got.command != "CONNECTED" {
		return fmt.Errorf("CONNECT was answered %s (%v), want CONNECTED", got, c.fault)
	}
	return c.settle()
}

func (c *docClient) write(frame string) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	_, err := io.WriteString(c.conn, frame+"\x00")
	return err
}

// settle waits until all that the client wrote has taken effect, or its connection has ended.
func (c *docClient) settle() error {
	c.asked++
	receipt := settlePrefix + strconv.Itoa(c.asked)
	if err := c.write("SEND\ndestination:/queue/docs-settle\nreceipt:" + receipt + "\n\n"); err != nil {
		return nil // the broker closed: what it said before is in frames
	}
	select {
	case got, open := <-c.settled:
		if open && got != receipt {
			return fmt.Errorf("receipt %q came before %q", got, receipt)
		}
		return nil
	case <-time.After(answerTimeout):
		return fmt.Errorf("no receipt %q", receipt)
	}
}

// next gives the next frame; open is false when there is none any more.
func (c *docClient) next() (frame docFrame, open bool) {
	select {
	case frame, open = <-c.frames:
		return frame, open
	case <-time.After(answerTimeout):
		return docFrame{command: "nothing in " + answerTimeout.String()}, true
	}
}

func (c *docClient) read() {
	defer close(c.settled)
	defer close(c.frames)
	in := bufio.NewReader(c.conn)
	for {
		frame, err := readDocFrame(in)
		if err != nil {
			c.fault = err
			_ = c.conn.Close() // as clients do when the broker half-closes
			return
		}
		if receipt, _ := frame.header("receipt-id"); strings.HasPrefix(receipt, settlePrefix) && frame.command == "RECEIPT" {
			c.settled <- receipt
			continue
		}
		c.frames <- frame
	}
}

// readDocFrame reads a frame by itself, so that the broker's own reader is not its judge.
func readDocFrame(in *bufio.Reader) (f docFrame, err error) {
	for f.command == "" { // heart-beats and the ends of line between frames
		if f.command, err = readDocLine(in); err != nil {
			return f, err
		}
	}
	length := -1
	for {
		line, err := readDocLine(in)
		if err != nil {
			return f, err
		}
		if line == "" {
			break
		}
		f.headers = append(f.headers, line)
		if value, ok := strings.CutPrefix(line, "content-length:"); ok && length < 0 {
			if length, err = strconv.Atoi(value); err != nil {
				return f, err
			}
		}
	}
	if length < 0 {
		f.body, err = in.ReadString(0)
		f.body = strings.TrimSuffix(f.body, "\x00")
		return f, err
	}
	body := make([]byte, length+1)
	if _, err = io.ReadFull(in, body); err == nil && body[length] != 0 {
		err = fmt.Errorf("%s has a body longer than its content-length", f.command)
	}
	f.body = string(body[:length])
	return f, err
}

func readDocLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), err
}
