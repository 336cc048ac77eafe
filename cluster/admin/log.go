package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"stampede/broker"
	"stampede/cluster"
	"stampede/stomp"
)

// This file reads the event log of a running node. Reading folds the log from its beginning, which costs as much memory as
// the state and one core: one reader at a time [A4].

// progressInterval is how often a check says how far it is.
const progressInterval = 250 * time.Millisecond

// linesTimeout is how long a reader may take for lineBatch lines; a slower one is cut off, so that others get their turn.
const (
	linesTimeout = 30 * time.Second
	lineBatch    = 256
)

// errEnough ends the reading of a log when the asked number of events is out.
var errEnough = errors.New("enough events")

// VerifyAnswer is the body of GET /api/v1/log/verify, and its last line with ?progress=true.
type VerifyAnswer struct {
	OK           bool     `json:"ok"`
	AppliedSeq   uint64   `json:"appliedSeq"`
	AppliedIndex uint64   `json:"appliedIndex"`
	Digest       string   `json:"digest"` // of the state that the log folds to
	DigestOnDisk string   `json:"digestOnDisk"`
	Chain        string   `json:"chain"` // over the entries of the log
	ChainOnDisk  string   `json:"chainOnDisk"`
	Entries      uint64   `json:"entries"`
	Events       uint64   `json:"events"`
	Messages     uint64   `json:"messages"`           // compared byte by byte
	Base         uint64   `json:"base,omitempty"`     // entry behind which the state came from elsewhere; then nothing is folded
	Unproved     []string `json:"unproved,omitempty"` // what could not be checked, and why
	Faults       []string `json:"faults"`
}

// NewVerifyAnswer puts a report into JSON's words.
func NewVerifyAnswer(r cluster.VerifyReport) VerifyAnswer {
	return VerifyAnswer{
		OK: len(r.Faults) == 0, AppliedSeq: uint64(r.Seq), AppliedIndex: r.Index,
		Digest: hex(r.Digest), DigestOnDisk: hex(r.DigestOnDisk), Chain: hex(r.Chain), ChainOnDisk: hex(r.ChainOnDisk),
		Entries: r.Entries, Events: r.Events, Messages: r.Messages, Base: r.Base, Unproved: r.Unproved, Faults: append([]string{}, r.Faults...),
	}
}

// Progress is a line of GET /api/v1/log/verify?progress=true before the last.
type Progress struct {
	Done  uint64 `json:"done"`
	Total uint64 `json:"total"`
}

// getLog streams the events as JSON lines: from ?from= on, at most ?count= of them. A failure behind the first line is a
// last line with an error-code.
func (a *Admin) getLog(w http.ResponseWriter, r *http.Request) {
	from, okFrom := number(w, r, "from")
	count, okCount := number(w, r, "count")
	if !okFrom || !okCount || !a.takeReader(w) {
		return
	}
	defer a.reading.Unlock()
	out := newLines(w)
	begun := from <= 1
	var written uint64
	err := a.node.ReadLog(r.Context(), func(e cluster.LogEntry) error {
		begun = begun || uint64(e.Seq) >= from
		if !begun {
			return r.Context().Err()
		}
		written++
		if err := out.write(NewLogEvent(e)); err != nil || written == count {
			return errors.Join(errEnough, err)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		_ = out.write(problem{Code: stomp.CodeInternalError, Message: err.Error()}) // the client has gone: nobody to tell
	}
}

// getVerify folds the log anew and compares; with ?progress=true it says meanwhile how far it is.
func (a *Admin) getVerify(w http.ResponseWriter, r *http.Request) {
	if !a.takeReader(w) {
		return
	}
	defer a.reading.Unlock()
	if r.URL.Query().Get("progress") != "true" {
		report, err := a.node.Verify(r.Context(), nil)
		if err != nil {
			fail(w, http.StatusServiceUnavailable, stomp.CodeInternalError, err.Error())
			return
		}
		answer(w, http.StatusOK, NewVerifyAnswer(report))
		return
	}
	a.streamVerify(r.Context(), newLines(w))
}

// streamVerify ignores that a line was not taken: the request's context ends then.
func (a *Admin) streamVerify(ctx context.Context, out *lines) {
	var said time.Time
	report, err := a.node.Verify(ctx, func(done, total uint64) {
		if now := time.Now(); now.Sub(said) >= progressInterval {
			said = now
			_ = out.write(Progress{Done: done, Total: total})
			_ = out.flush()
		}
	})
	if err != nil {
		_ = out.write(problem{Code: stomp.CodeInternalError, Message: err.Error()})
		return
	}
	_ = out.write(NewVerifyAnswer(report))
}

// takeReader lets one request read the log, and refuses more at the same time.
func (a *Admin) takeReader(w http.ResponseWriter) bool {
	if a.reading.TryLock() {
		return true
	}
	w.Header().Set("Retry-After", "5")
	fail(w, http.StatusTooManyRequests, "log-busy", "somebody reads the log of this node already; ask again when they have finished")
	return false
}

// number reads a query parameter that is a whole number, 0 when it is absent.
func number(w http.ResponseWriter, r *http.Request, name string) (uint64, bool) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, true
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		fail(w, http.StatusBadRequest, stomp.CodeInvalidHeader, name+": it is a whole number")
		return 0, false
	}
	return n, true
}

// lines writes one JSON value a line.
type lines struct {
	encoder *json.Encoder
	control *http.ResponseController
	written uint64
}

func newLines(w http.ResponseWriter) *lines {
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return &lines{encoder: e, control: http.NewResponseController(w)}
}

func (l *lines) write(v any) error {
	if l.written%lineBatch == 0 {
		if err := l.control.SetWriteDeadline(time.Now().Add(linesTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
	}
	l.written++
	return l.encoder.Encode(v)
}

func (l *lines) flush() error { return l.control.Flush() }

// LogEvent is one line of GET /api/v1/log: an event, or a change of the cluster's members.
type LogEvent struct {
	Seq          uint64   `json:"seq,omitempty"` // none: it took no place in the order (a repeat, a change of members)
	Index        uint64   `json:"index"`
	Term         uint64   `json:"term"`
	Time         string   `json:"time"`
	Node         string   `json:"node,omitempty"` // none: the leader's own
	Incarnation  uint64   `json:"incarnation,omitempty"`
	N            uint64   `json:"n,omitempty"`
	Kind         string   `json:"kind"`
	Destinations []string `json:"destinations,omitempty"` // several of a transaction
	Session      uint64   `json:"session,omitempty"`
	Subscription uint64   `json:"subscription,omitempty"`
	User         string   `json:"user,omitempty"`
	Detail       string   `json:"detail,omitempty"`
	Messages     int      `json:"messages,omitempty"`
	BodyBytes    int      `json:"bodyBytes,omitempty"`
	Refused      string   `json:"refused,omitempty"` // why it changed nothing
	Repeated     bool     `json:"repeated,omitempty"`
}

// NewLogEvent puts an entry of the log into words.
func NewLogEvent(e cluster.LogEntry) LogEvent {
	l := LogEvent{
		Seq: uint64(e.Seq), Index: e.Index, Term: e.Term, Time: time.UnixMilli(int64(e.At)).UTC().Format("2006-01-02T15:04:05.000Z"),
		Repeated: e.Repeated,
	}
	if !e.Origin.Node.IsZero() {
		l.Node, l.Incarnation, l.N = e.Origin.Node.String(), e.Origin.Incarnation, e.Origin.N
	}
	if e.Refusal != broker.RefusedNone {
		l.Refused = e.Refusal.String()
	}
	if e.Fact == nil {
		l.members(e.Members)
	} else {
		l.fact(e.Fact)
	}
	return l
}
