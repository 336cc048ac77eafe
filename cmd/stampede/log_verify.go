package main

// log_verify.go: `stampede log verify` proves that the state on disk is what the log folds to.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"text/tabwriter"

	"stampede/cluster"
	"stampede/cluster/admin"
)

// errFaults is the failure of a check that found something; what it found is printed.
var errFaults = errors.New("the log and the state on disk do not agree")

// LogVerifyCmd checks a log whole.
type LogVerifyCmd struct {
	logSource `embed:""`
	JSON      bool `name:"json" help:"Print JSON."`

	stdio       stdio
	done, total atomic.Uint64
}

// Run returns nil only if all agrees.
func (c *LogVerifyCmd) Run(ctx context.Context) error {
	bar := startProgress(c.stdio.orProcess().err, c.bar)
	verify := c.verifyLive
	if c.DataDir != "" {
		verify = c.verifyOffline
	}
	report, err := verify(ctx)
	bar.end()
	if err != nil {
		return err
	}
	if err := c.print(c.stdio.orProcess().out, report); err != nil {
		return err
	}
	if !report.OK {
		return errFaults
	}
	return nil
}

func (c *LogVerifyCmd) verifyOffline(ctx context.Context) (admin.VerifyAnswer, error) {
	report, err := cluster.Verify(ctx, c.DataDir, c.note)
	return admin.NewVerifyAnswer(report), c.offline(err)
}

func (c *LogVerifyCmd) verifyLive(ctx context.Context) (admin.VerifyAnswer, error) {
	body, err := c.request(ctx, http.MethodGet, "/api/v1/log/verify?progress=true")
	if err != nil {
		return admin.VerifyAnswer{}, c.live(err)
	}
	defer func() { _ = body.Close() }() // only read from
	for lines := json.NewDecoder(body); ; {
		var line struct {
			*admin.VerifyAnswer // nil before the last line
			admin.Progress
			failure
		}
		if err := lines.Decode(&line); err != nil {
			return admin.VerifyAnswer{}, fmt.Errorf("answer of %s: %w", c.Admin, err)
		}
		if err := line.err(); err != nil {
			return admin.VerifyAnswer{}, err
		}
		if line.VerifyAnswer != nil {
			return *line.VerifyAnswer, nil
		}
		c.note(line.Done, line.Total)
	}
}

func (c *LogVerifyCmd) note(done, total uint64) {
	c.total.Store(total)
	c.done.Store(done)
}

const barCells = 30

// bar is the line that a terminal shows meanwhile.
func (c *LogVerifyCmd) bar() string {
	done, total := c.done.Load(), c.total.Load()
	if total == 0 {
		return "verify: reading the log"
	}
	full := min(int(barCells*done/total), barCells)
	return fmt.Sprintf("verify: [%s%s] %3d%% of %d entries", strings.Repeat("#", full), strings.Repeat(".", barCells-full), min(100*done/total, 100), total)
}

func (c *LogVerifyCmd) print(w io.Writer, r admin.VerifyAnswer) error {
	if c.JSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("appliedSeq", "%d (entry %d)", r.AppliedSeq, r.AppliedIndex)
	row("digest", "%s%s", r.Digest, differs(r.Digest, r.DigestOnDisk))
	row("chain", "%s%s", r.Chain, differs(r.Chain, r.ChainOnDisk))
	row("entries", "%d with %d events", r.Entries, r.Events)
	row("messages", "%d compared", r.Messages)
	for _, u := range r.Unproved {
		row("not proved", "%s", u)
	}
	for _, f := range r.Faults {
		row("fault", "%s", f)
	}
	switch {
	case r.OK && r.Base == 0:
		row("verified", "the log folds to what is on disk")
	case r.OK:
		row("checked", "what can be, behind entry %d: see what is not proved", r.Base)
	}
	return t.Flush()
}

func differs(folded, onDisk string) string {
	if folded == onDisk {
		return ""
	}
	return ", on disk " + onDisk
}

// isTerminal tells whether a changing line can be shown there.
func isTerminal(w io.Writer) (*os.File, bool) {
	file, isFile := w.(*os.File)
	return file, isFile && isAttended(file) && os.Getenv("TERM") != "dumb"
}

// startProgress shows a changing line on a terminal, and nothing anywhere else.
func startProgress(w io.Writer, line func() string) *progress {
	p := &progress{line: line, stop: make(chan struct{})}
	if file, ok := isTerminal(w); ok {
		p.out = file
		p.ended.Go(p.run)
	}
	return p
}
