package main

// log.go: `stampede log` prints the events of a node's log, of a data directory or a live node; `stampede log verify` checks it whole.

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"stampede/broker"
	"stampede/cluster"
	"stampede/cluster/admin"
	"stampede/storage"
)

// LogCmd reads the event log.
type LogCmd struct {
	Print  LogPrintCmd  `cmd:"" default:"withargs" help:"Print one line an event (what 'stampede log' alone does)."`
	Verify LogVerifyCmd `cmd:"" help:"Fold the log anew and compare the outcome with what is on disk."`
}

// logSource says whose log: a data directory's, or, without one, a live node's.
type logSource struct {
	AdminFlags `embed:""`
	DataDir    string `placeholder:"DIR" type:"path" help:"Data directory of a node that does not run (default: ask the live node at --admin)."`
}

// offline adds to an error what to do about it.
func (s *logSource) offline(err error) error {
	if locked, ok := errors.AsType[*storage.LockedError](err); ok {
		return fmt.Errorf("%w; ask the running node with --admin HOST:PORT instead of --data-dir", locked)
	}
	return err
}

// live likewise.
func (s *logSource) live(err error) error {
	if _, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("%w; for a node that does not run give --data-dir DIR", err)
	}
	return err
}

// errEnough ends the reading when --count is reached.
var errEnough = errors.New("enough events")

// LogPrintCmd prints events.
type LogPrintCmd struct {
	logSource   `embed:""`
	From        uint64 `placeholder:"SEQ" help:"Begin at this offset (default: the first)."`
	Kind        string `placeholder:"KIND" help:"Only this kind of events, such as message-sent or delivery-settled."`
	Destination string `placeholder:"PATTERN" help:"Only events of these destinations, such as /queue/orders or /topic/**."`
	Count       uint64 `placeholder:"N" help:"End after N events (default: all)."`
	JSON        bool   `name:"json" help:"Print one JSON object a line."`

	stdio   stdio
	pattern broker.Pattern
	out     *bufio.Writer
	begun   bool
	printed uint64
}

// Validate reports bad usage.
func (c *LogPrintCmd) Validate() error {
	if kinds := admin.LogKinds(); c.Kind != "" && !slices.Contains(kinds, c.Kind) {
		return fmt.Errorf("--kind %q: want one of %s", c.Kind, strings.Join(kinds, ", "))
	}
	if c.Destination != "" {
		if _, err := broker.ParsePattern(c.Destination); err != nil {
			return fmt.Errorf("--destination %q: %w", c.Destination, err)
		}
	}
	return nil
}

// Run prints until the end of the log, the count, or an interrupt.
func (c *LogPrintCmd) Run(ctx context.Context) error {
	if c.Destination != "" {
		var err error
		if c.pattern, err = broker.ParsePattern(c.Destination); err != nil {
			return err
		}
	}
	c.out = bufio.NewWriterSize(c.stdio.orProcess().out, 64<<10)
	c.begun = c.From <= 1
	read := c.readLive
	if c.DataDir != "" {
		read = c.readOffline
	}
	err := read(ctx)
	if errors.Is(err, errEnough) || ctx.Err() != nil {
		err = nil
	}
	if flushErr := c.out.Flush(); err == nil && flushErr != nil {
		err = fmt.Errorf("print an event: %w", flushErr)
	}
	return err
}

func (c *LogPrintCmd) readOffline(ctx context.Context) error {
	return c.offline(cluster.ReadLog(c.DataDir, func(e cluster.LogEntry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return c.take(admin.NewLogEvent(e))
	}))
}

func (c *LogPrintCmd) readLive(ctx context.Context) error {
	ask := url.Values{}
	if c.From > 1 {
		ask.Set("from", strconv.FormatUint(c.From, 10))
	}
	if c.Count > 0 && c.Kind == "" && c.Destination == "" {
		ask.Set("count", strconv.FormatUint(c.Count, 10))
	}
	body, err := c.request(ctx, http.MethodGet, "/api/v1/log?"+ask.Encode())
	if err != nil {
		return c.live(err)
	}
	defer func() { _ = body.Close() }() // only read from
	for lines := json.NewDecoder(body); ; {
		var line struct {
			admin.LogEvent
			failure
		}
		if err := lines.Decode(&line); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("answer of %s: %w", c.Admin, err)
		}
		if err := line.err(); err != nil {
			return err
		}
		if err := c.take(line.LogEvent); err != nil {
			return err
		}
	}
}

// failure is the last line of a stream that broke off.
type failure struct {
	Code    string `json:"error-code"`
	Message string `json:"message"`
}

func (f failure) err() error {
	if f.Code == "" {
		return nil
	}
	return errors.New(f.Message)
}

// take prints an event that passes the filters.
func (c *LogPrintCmd) take(e admin.LogEvent) error {
	if c.begun = c.begun || e.Seq >= c.From; !c.begun || !c.wants(e) {
		return nil
	}
	if err := c.print(e); err != nil {
		return fmt.Errorf("print an event: %w", err)
	}
	if c.printed++; c.printed == c.Count {
		return errEnough
	}
	return nil
}

func (c *LogPrintCmd) wants(e admin.LogEvent) bool {
	if c.Kind != "" && e.Kind != c.Kind {
		return false
	}
	return c.Destination == "" || slices.ContainsFunc(e.Destinations, c.pattern.Match)
}

func (c *LogPrintCmd) print(e admin.LogEvent) error {
	if c.JSON {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		_, err = c.out.Write(append(line, '\n'))
		return err
	}
	_, err := fmt.Fprintln(c.out, eventLine(e))
	return err
}

// eventLine is an event for people: seq, time, origin, kind, and what else there is to say.
func eventLine(e admin.LogEvent) string {
	seq, origin := "-", "-"
	if e.Seq > 0 {
		seq = strconv.FormatUint(e.Seq, 10)
	}
	if e.Node != "" {
		origin = fmt.Sprintf("%s/%d/%d", e.Node, e.Incarnation, e.N)
	}
	words := []string{fmt.Sprintf("%8s  %s  %s  %s", seq, e.Time, origin, e.Kind)}
	for _, d := range e.Destinations {
		words = append(words, printable(d))
	}
	if e.Messages > 1 {
		words = append(words, fmt.Sprintf("messages=%d", e.Messages))
	}
	if e.Messages > 0 {
		words = append(words, fmt.Sprintf("body=%dB", e.BodyBytes))
	}
	if e.Session > 0 {
		words = append(words, fmt.Sprintf("session=%d", e.Session))
	}
	if e.Subscription > 0 {
		words = append(words, fmt.Sprintf("subscription=%d", e.Subscription))
	}
	if e.User != "" {
		words = append(words, "user="+printable(e.User))
	}
	if e.Detail != "" {
		words = append(words, "("+printable(e.Detail)+")")
	}
	if e.Refused != "" {
		words = append(words, "REFUSED: "+e.Refused)
	}
	if e.Repeated {
		words = append(words, "REPEATED: changed nothing")
	}
	return strings.Join(words, " ")
}

// printable quotes what a client wrote if it could do something to a terminal.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}
