package gateway

import (
	"bytes"
	"context"
	"fmt"
	"unicode/utf8"

	"stampede/broker"
	"stampede/stomp"
)

// This file publishes for those who have no session: the admin API, on behalf of scheduled jobs and triggers.

// publication waits for one outcome.
type publication struct{ done chan publishOutcome }

type publishOutcome struct {
	seq     broker.Seq
	refusal broker.Refusal
	err     *stomp.ProtocolError // there is no outcome
}

// Publish sends one message and returns its offset when it is durable and applied, 0 for one that skips the log.
// headers are name, value pairs. A fault of the caller's is a *stomp.ProtocolError.
func (g *Gateway) Publish(ctx context.Context, destination string, headers []string, body []byte) (broker.Seq, error) {
	f := stomp.NewFrame(stomp.CommandSend, append([]string{"destination", destination}, headers...)...)
	f.Body = body
	if err := checkHeaders(f); err != nil {
		return 0, err
	}
	l := &link{gateway: g}
	a, transient, perr := l.prepare(f)
	if perr != nil {
		return 0, perr
	}
	m := l.sender.message
	m.Text = utf8.Valid(body) && utf8.Valid(m.Headers)
	if transient {
		m.At = g.nowInstant()
		g.tellUnlogged(&m)
		g.node.SendUnlogged(&m, 0, nil, nil)
		return 0, nil
	}
	seq, err := g.submit(ctx, broker.MessageSent{Message: &m})
	if err != nil {
		return 0, fmt.Errorf("publish to %s: %w", a.dest, err)
	}
	g.stats.Received.Add(1)
	return seq, nil
}

// checkHeaders refuses what no STOMP frame could have brought: MESSAGE could not carry it.
func checkHeaders(f *stomp.Frame) error {
	limits := stomp.DefaultLimits()
	size := 0
	for _, h := range f.Headers {
		line := len(h.Name) + len(h.Value) + len(":")
		size += line
		switch {
		case len(h.Name) == 0:
			return invalidHeader("", "a header has a name")
		case bytes.IndexByte(h.Name, 0) >= 0 || bytes.IndexByte(h.Value, 0) >= 0:
			return invalidHeader("", "NUL ends a frame; it cannot be in a header")
		case line > limits.HeaderLineBytesMax || size > limits.HeaderBytesMax || len(f.Headers) > limits.HeadersMax:
			return invalidHeader("", "the headers are longer or more than STOMP clients take")
		}
	}
	return nil
}
