package main

// pub.go: `stampede pub DEST [BODY]` publishes one message, or one a line, and waits for the receipts.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"stampede/stomp"
)

const (
	// pubWindow bounds the frames sent and not receipted with --lines; when it is full, standard input is not read.
	pubWindow = 1000
	// pubBatchBytes is how much is gathered before a write when the lines come faster than the socket takes them.
	pubBatchBytes = 32 << 10
	// lineBytesMax bounds one line of standard input; a longer one ends the command with an error.
	lineBytesMax = 16 << 20
)

// PubCmd publishes BODY, or each line of standard input with --lines, and ends when every message was receipted.
type PubCmd struct {
	ClientFlags
	Destination string   `arg:"" name:"dest" help:"Destination, such as /topic/news or /queue/orders."`
	Body        *string  `arg:"" optional:"" help:"Body of the message (default: empty)."`
	Header      []string `short:"H" sep:"none" placeholder:"NAME:VALUE" help:"Header of SEND; may be repeated."`
	Lines       bool     `help:"Publish each line of standard input as a message of its own."`

	stdio stdio
}

// Validate reports bad usage.
func (c *PubCmd) Validate() error {
	if c.Lines && c.Body != nil {
		return errors.New("give BODY or --lines, not both")
	}
	_, err := parseHeaders(c.Header)
	return errors.Join(c.ClientFlags.Validate(), err)
}

// Run publishes and returns when all is receipted; a signal ends it with an error that says what is not.
func (c *PubCmd) Run(ctx context.Context) error {
	headers, err := parseHeaders(c.Header)
	if err != nil {
		return err
	}
	session, err := c.connect(ctx, 0, nil, nil)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, session.interrupt)
	defer stop()
	p := &publisher{session: session, destination: c.Destination, headers: headers, tokens: make(chan struct{}, pubWindow), failed: make(chan error, 1)}
	if c.Lines {
		err = p.publishLines(ctx, c.stdio.orProcess().in)
	} else {
		err = p.publishOne(c.Body)
	}
	defer session.conn.Close()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted: %d of %d messages receipted", p.receipted.Load(), p.sent)
	case err != nil:
		return err
	}
	if session.beginGoodbye() == nil {
		<-p.failed // the reading goroutine sees the broker close, or the deadline
	}
	return nil
}

// publisher sends messages in order with a bounded number of them not receipted.
//
// Goroutines: the caller's, which sends, and readReceipts.
type publisher struct {
	session     *client
	destination string
	headers     []string
	sent        uint64
	receipted   atomic.Uint64
	tokens      chan struct{} // one for each frame without its receipt; full means the window is
	failed      chan error    // what ended readReceipts
	batch       []byte
	frame       []byte
}

func (p *publisher) publishOne(body *string) error {
	go p.readReceipts()
	p.tokens <- struct{}{}
	if body != nil {
		p.add([]byte(*body))
	} else {
		p.add(nil)
	}
	if err := p.flush(); err != nil {
		return p.explain(err)
	}
	return p.awaitReceipts()
}

// publishLines sends each line. A batch is written as soon as standard input has nothing more at hand.
func (p *publisher) publishLines(ctx context.Context, in io.Reader) error {
	go p.readReceipts()
	lines := make(chan lineRead)
	done := make(chan struct{})
	defer close(done)
	go readLines(in, lines, done)
	for {
		var line lineRead
		select {
		case line = <-lines:
		case err := <-p.failed:
			return p.named(err)
		case <-ctx.Done():
			return p.named(ctx.Err())
		}
		if line.err == io.EOF {
			break
		}
		if line.err != nil {
			return fmt.Errorf("read standard input: %w", line.err)
		}
		if err := p.reserve(); err != nil {
			return err
		}
		p.add(line.text)
		if line.last || len(p.batch) >= pubBatchBytes {
			if err := p.flush(); err != nil {
				return p.explain(err)
			}
		}
	}
	if err := p.flush(); err != nil {
		return p.explain(err)
	}
	return p.awaitReceipts()
}

// reserve takes a place in the window; before it waits for one it sends what is gathered.
func (p *publisher) reserve() error {
	select {
	case p.tokens <- struct{}{}:
		return nil
	default:
	}
	if err := p.flush(); err != nil {
		return p.explain(err)
	}
	timeout := time.NewTimer(receiptTimeout)
	defer timeout.Stop()
	select {
	case p.tokens <- struct{}{}:
		return nil
	case err := <-p.failed:
		return p.named(err)
	case <-timeout.C:
		return p.named(errors.New("no receipt came for " + receiptTimeout.String()))
	}
}

func (p *publisher) add(body []byte) {
	p.sent++
	pairs := append([]string{"destination", p.destination, "receipt", "message-" + strconv.FormatUint(p.sent, 10)}, p.headers...)
	f := stomp.NewFrame(stomp.CommandSend, pairs...)
	f.Body = body
	if _, isWS := p.session.conn.(*wsConn); isWS {
		p.frame = stomp.AppendFrame(p.frame[:0], p.session.version, f)
		p.batch = appendMessage(p.batch, p.frame)
		return
	}
	p.batch = stomp.AppendFrame(p.batch, p.session.version, f)
}

func (p *publisher) flush() error {
	if len(p.batch) == 0 {
		return nil
	}
	err := p.session.writePrepared(p.batch)
	p.batch = p.batch[:0]
	return err
}

// explain prefers the ERROR frame that made the broker close to the write error that it caused.
func (p *publisher) explain(writeErr error) error {
	p.session.interruptAfter(lingerTimeout)
	err := <-p.failed
	if answer := (*brokerError)(nil); errors.As(err, &answer) {
		return p.named(err)
	}
	return p.named(writeErr)
}

// named says which message an error is about, and how far the others came.
func (p *publisher) named(err error) error {
	if p.sent <= 1 {
		return err
	}
	if answer := (*brokerError)(nil); errors.As(err, &answer) && strings.HasPrefix(answer.receiptID, "message-") {
		return fmt.Errorf("line %s (%d of %d receipted): %w", strings.TrimPrefix(answer.receiptID, "message-"), p.receipted.Load(), p.sent, err)
	}
	return fmt.Errorf("%d of %d messages receipted: %w", p.receipted.Load(), p.sent, err)
}

// awaitReceipts waits until every frame has its receipt: the window is empty again.
func (p *publisher) awaitReceipts() error {
	timeout := time.NewTimer(receiptTimeout)
	defer timeout.Stop()
	for range cap(p.tokens) {
		select {
		case p.tokens <- struct{}{}:
		case err := <-p.failed:
			return p.named(err)
		case <-timeout.C:
			return p.named(errors.New("no receipt came for " + receiptTimeout.String()))
		}
	}
	return nil
}

// readReceipts frees one place in the window for each RECEIPT, until the session ends.
func (p *publisher) readReceipts() {
	for {
		f, err := p.session.read()
		if err != nil {
			p.failed <- err
			return
		}
		if f.Command != stomp.CommandReceipt {
			continue
		}
		select {
		case <-p.tokens:
			p.receipted.Add(1)
		default: // a receipt that nobody asked for, or that of DISCONNECT
		}
	}
}

// lineRead is one line of standard input, or how it ended; last says that no other line is at hand yet.
type lineRead struct {
	text []byte
	last bool
	err  error
}

// readLines reads until an error or done. It may outlive the command by one read of a terminal that nobody types on.
func readLines(in io.Reader, lines chan<- lineRead, done <-chan struct{}) {
	r := bufio.NewReaderSize(in, 64<<10)
	for {
		text, err := readLine(r)
		ahead, _ := r.Peek(r.Buffered()) // never reads
		line := lineRead{text: text, last: bytes.IndexByte(ahead, '\n') < 0, err: err}
		select {
		case lines <- line:
		case <-done:
			return
		}
		if err != nil {
			return
		}
	}
}

// readLine gives the next line without its end; a last line without one counts too.
func readLine(r *bufio.Reader) ([]byte, error) {
	var text []byte
	for {
		piece, err := r.ReadSlice('\n')
		text = append(text, piece...)
		switch {
		case len(text) > lineBytesMax:
			return nil, fmt.Errorf("a line is longer than %d bytes", lineBytesMax)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF && len(text) > 0:
			return text, nil
		case err != nil:
			return nil, err
		}
		text = text[:len(text)-1]
		if n := len(text); n > 0 && text[n-1] == '\r' {
			text = text[:n-1]
		}
		return text, nil
	}
}
