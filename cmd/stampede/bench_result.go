package main

// bench_result.go: what a run says: a table for people, one JSON object, or a line that benchstat reads.

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// benchResult is the outcome of one run. Order is kept, so that lines of the same bench compare.
type benchResult struct {
	bench   string
	params  []benchParam
	metrics []benchMetric
}

type benchParam struct{ key, value string }

// benchMetric is a figure with its unit, which names it: "deliveries/s", "p99-ms".
type benchMetric struct {
	value float64
	unit  string
}

func (r *benchResult) param(key string, value any) {
	r.params = append(r.params, benchParam{key, fmt.Sprint(value)})
}

func (r *benchResult) metric(value float64, unit string) {
	r.metrics = append(r.metrics, benchMetric{value, unit})
}

// value gives the figure of a unit; 0 when there is none.
func (r *benchResult) value(unit string) float64 {
	for _, m := range r.metrics {
		if m.unit == unit {
			return m.value
		}
	}
	return 0
}

// latencies adds the percentiles of a histogram, in milliseconds; none when nothing was measured.
func (r *benchResult) latencies(prefix string, h *histogram) {
	if h == nil || h.total == 0 {
		return
	}
	for _, q := range []struct {
		name string
		q    float64
	}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}} {
		r.metric(float64(h.quantile(q.q))/1e6, prefix+q.name+"-ms")
	}
	r.metric(float64(h.max)/1e6, prefix+"max-ms")
}

func (r *benchResult) print(f *BenchFlags) error {
	out := f.stdio.orProcess().out
	switch {
	case f.JSON:
		return r.printJSON(out)
	case f.Gobench:
		return r.printGobench(out)
	default:
		return r.printTable(out)
	}
}

func (r *benchResult) printTable(out io.Writer) error {
	var b strings.Builder
	b.WriteString(r.bench)
	for _, p := range r.params {
		fmt.Fprintf(&b, " %s=%s", p.key, p.value)
	}
	for _, m := range r.metrics {
		fmt.Fprintf(&b, "\n%16s %s", humanNumber(m.value), m.unit)
	}
	_, err := fmt.Fprintln(out, b.String())
	return err
}

// humanNumber keeps three digits of a small figure and groups the thousands of a large one.
func humanNumber(v float64) string {
	if v < 100 {
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	digits := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func (r *benchResult) printJSON(out io.Writer) error {
	o := struct {
		Bench   string             `json:"bench"`
		Params  map[string]string  `json:"params"`
		Metrics map[string]float64 `json:"metrics"`
	}{r.bench, make(map[string]string), make(map[string]float64)}
	for _, p := range r.params {
		o.Params[p.key] = p.value
	}
	for _, m := range r.metrics {
		o.Metrics[m.unit] = m.value
	}
	return json.NewEncoder(out).Encode(o)
}

func (r *benchResult) printGobench(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "goos: %s\ngoarch: %s\npkg: stampede\nBenchmarkBench/%s", runtime.GOOS, runtime.GOARCH, r.bench)
	for _, p := range r.params {
		fmt.Fprintf(&b, "/%s=%s", p.key, strings.ReplaceAll(p.value, " ", "_"))
	}
	b.WriteString("\t1")
	for _, m := range r.metrics {
		fmt.Fprintf(&b, "\t%s %s", strconv.FormatFloat(m.value, 'g', 8, 64), m.unit)
	}
	_, err := fmt.Fprintln(out, b.String())
	return err
}

// progress shows one changing line on a terminal, and nothing anywhere else.
//
// Goroutines: run.
type progress struct {
	out    io.Writer // nil: silent
	line   func() string
	stop   chan struct{}
	ended  sync.WaitGroup
	ending sync.Once
}

func (f *BenchFlags) startProgress(line func() string) *progress {
	p := &progress{line: line, stop: make(chan struct{})}
	if file, isFile := f.stdio.orProcess().err.(*os.File); isFile && !f.Quiet && isAttended(file) && os.Getenv("TERM") != "dumb" {
		p.out = file
		p.ended.Go(p.run)
	}
	return p
}

func (p *progress) run() {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			fmt.Fprint(p.out, "\r\x1b[K") // the line goes away: the result follows
			return
		case <-tick.C:
			fmt.Fprintf(p.out, "\r\x1b[K%s", p.line())
		}
	}
}

// end takes the line away; it may be called more than once.
func (p *progress) end() {
	p.ending.Do(func() { close(p.stop) })
	p.ended.Wait()
}
