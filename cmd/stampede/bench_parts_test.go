package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stampede/stomp"
)

func TestHistogramQuantiles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h, half histogram
	values := make([]int64, 20_000)
	for i := range values {
		values[i] = int64(random.ExpFloat64() * 1e6)
		if i%2 == 0 {
			h.add(values[i])
		} else {
			half.add(values[i])
		}
	}
	h.merge(&half)
	slices.Sort(values)
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999} {
		want := values[int(q*float64(len(values)))]
		if got := h.quantile(q); got < want || float64(got) > float64(want)*1.016+1 {
			t.Errorf("quantile %v = %d, want %d to 1.6 %% more", q, got, want)
		}
	}
	if got, want := h.quantile(1), values[len(values)-1]; got != want {
		t.Errorf("quantile 1 = %d, want the largest, %d", got, want)
	}
}

func TestHistogramTakesEveryValue(t *testing.T) {
	for _, v := range []int64{-5, 0, 1, 63, 64, 127, 128, 129, 1 << 39, 1<<40 - 1, 1 << 40, 1<<63 - 1} {
		var h histogram
		h.add(v)
		bucket := bucketOf(uint64(max(v, 0)))
		if top := bucketTop(bucket); v < 1<<40 && (v > top || bucket > 0 && v <= bucketTop(bucket-1) && v > 0) {
			t.Errorf("%d is in bucket %d that ends at %d", v, bucket, top)
		}
		if h.total != 1 {
			t.Errorf("%d was not counted", v)
		}
	}
}

func TestTally(t *testing.T) {
	body := func(publisher, serial uint64) []byte {
		var template sendTemplate
		b := bytes.Repeat([]byte{'x'}, stampedBytes+3)
		template.put(b, hexDigits, publisher<<48|serial)
		return b
	}
	tally := newTally(2, 100)
	for _, m := range [][2]uint64{{0, 0}, {0, 99}, {1, 5}, {1, 5}, {1, 5}} {
		tally.note(body(m[0], m[1]))
	}
	for _, strange := range [][]byte{body(2, 0), body(0, 128), []byte("short"), bytes.Repeat([]byte{'z'}, 40)} {
		tally.note(strange)
	}
	if got := tally.duplicates.Load(); got != 2 {
		t.Errorf("%d duplicates, want 2", got)
	}
	if got := tally.strange.Load(); got != 4 {
		t.Errorf("%d strange bodies, want 4", got)
	}
	if got := fmt.Sprint(tally.missing(0, 100), tally.missing(1, 6), tally.missing(1, 0)); got != "98 5 0" {
		t.Errorf("missing %s, want 98 5 0", got)
	}
}

func TestOrderCheck(t *testing.T) {
	var template sendTemplate
	o := &orderCheck{next: make([]uint64, 2)}
	for _, m := range [][2]uint64{{0, 0}, {0, 1}, {1, 0}, {0, 1}, {0, 4}, {0, 2}, {1, 1}, {7, 0}} {
		b := bytes.Repeat([]byte{'x'}, stampedBytes)
		template.put(b, hexDigits, m[0]<<48|m[1])
		o.note(b)
	}
	o.note([]byte("short"))
	if o.repeated != 2 || o.skipped != 2 {
		t.Errorf("%d repeated and %d skipped, want 2 (one again, one late) and 2", o.repeated, o.skipped)
	}
}

// TestSendTemplate reads back what is written: a frame with its numbers in place, on both transports.
func TestSendTemplate(t *testing.T) {
	for _, overWebSocket := range []bool{false, true} {
		plan := &sendPlan{destination: "/topic/a:b", headers: []string{"k", "v"}, persistent: "true", bodyBytes: 50, receipts: true, stamped: true, serial: true}
		template, err := newSendTemplate(plan, overWebSocket)
		if err != nil {
			t.Fatal(err)
		}
		template.put(template.frame, template.receiptAt, 0xabc)
		template.put(template.frame, template.stampAt, 123456789)
		template.put(template.frame, template.serialAt, 7<<48|9)
		wire := template.frame
		if overWebSocket {
			if wire[1]&maskBit == 0 {
				t.Error("the WebSocket frame is not masked")
			}
			wire = unmask(wire, template)
		}
		f, err := stomp.NewReader(bytes.NewReader(wire), stomp.DefaultLimits()).ReadFrame()
		if err != nil {
			t.Fatalf("WebSocket %t: %q: %v", overWebSocket, wire, err)
		}
		receipt, _ := parseHex([]byte(f.Value("receipt")))
		stamp, _ := parseHex(f.Body)
		serial, _ := parseHex(f.Body[hexDigits:])
		if receipt != 0xabc || stamp != 123456789 || serial != 7<<48|9 || len(f.Body) != 50 || f.Value("persistent") != "true" || f.Value("k") != "v" {
			t.Errorf("WebSocket %t: receipt %x, stamp %d, serial %x, body of %d, frame %q", overWebSocket, receipt, stamp, serial, len(f.Body), wire)
		}
	}
	if _, err := newSendTemplate(&sendPlan{bodyBytes: stampedBytes - 1, stamped: true}, false); err == nil {
		t.Error("no error for a body without room for a stamp")
	}
}

func unmask(frame []byte, template sendTemplate) []byte {
	plain := slices.Clone(frame[template.payload:])
	for i := range plain {
		plain[i] ^= template.mask[i&3]
	}
	return plain
}

func TestParseHexRefuses(t *testing.T) {
	for _, text := range []string{"", "123", "000000000000000g", "000000000000000G"} {
		if v, ok := parseHex([]byte(text)); ok {
			t.Errorf("parseHex(%q) = %d, want a refusal", text, v)
		}
	}
}

// TestBacklogGate: the publishers wait for slow subscribers, but not for ever for what was lost.
func TestBacklogGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent, received := uint64(10), uint64(0)
		g := &backlogGate{most: 10, count: func() (uint64, uint64) { return sent, received }}
		if g.open() {
			t.Error("open with 10 of 10 on their way")
		}
		time.Sleep(topicBacklogPatience * 3 / 4)
		received = 1
		if !g.open() {
			t.Error("closed with 9 of 10 on their way")
		}
		sent = 11
		time.Sleep(topicBacklogPatience * 3 / 4)
		if g.open() {
			t.Error("open with 10 of 10 on their way, 0.75 s after the last arrived")
		}
		time.Sleep(topicBacklogPatience)
		g.open()
		if !g.open() {
			t.Error("closed although what is missing was given up")
		}
	})
}

func TestResultForms(t *testing.T) {
	r := &benchResult{bench: "fanout"}
	r.param("subscribers", 10)
	r.param("note", "two words")
	r.metric(1234567.4, "deliveries/s")
	r.metric(0.125, "p50-ms")
	cases := []struct {
		flags BenchFlags
		want  string
	}{
		{BenchFlags{}, `fanout subscribers=10 note=two words\n +1,234,567 deliveries/s\n +0\.125 p50-ms\n`},
		{BenchFlags{JSON: true}, `\{"bench":"fanout","params":\{"note":"two words","subscribers":"10"\},"metrics":\{"deliveries/s":1234567\.4,"p50-ms":0\.125\}\}\n`},
		{BenchFlags{Gobench: true}, `goos: \w+\ngoarch: \w+\npkg: stampede\nBenchmarkBench/fanout/subscribers=10/note=two_words\t1\t1234567\.4 deliveries/s\t0\.125 p50-ms\n`},
	}
	for _, c := range cases {
		out := &lockedBuffer{}
		c.flags.stdio = stdio{out: out}
		if err := r.print(&c.flags); err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`^` + c.want + `$`).MatchString(out.String()) {
			t.Errorf("printed %q, want %s", out.String(), c.want)
		}
	}
}

func TestMeter(t *testing.T) {
	calls := 0
	m := &meter{src: strings.NewReader("abcdefgh"), buf: make([]byte, 5), before: func() error { calls++; return nil }, clock: newStopwatch()}
	got, err := io.ReadAll(smallReads{m})
	if string(got) != "abcdefgh" || err != nil {
		t.Errorf("read %q, error %v; want all", got, err)
	}
	if calls != 3 { // two reads that bring something and the end
		t.Errorf("before was called %d times, want 3: once for each read of the source", calls)
	}
}

// smallReads reads two bytes at a time.
type smallReads struct{ r io.Reader }

func (s smallReads) Read(p []byte) (int, error) { return s.r.Read(p[:min(2, len(p))]) }

// BenchmarkPrepare is what sending one frame costs, without the socket: at most 200 ns and no allocation.
func BenchmarkPrepare(b *testing.B) {
	for _, overWebSocket := range []bool{false, true} {
		b.Run(fmt.Sprintf("ws=%t", overWebSocket), func(b *testing.B) {
			plan := &sendPlan{destination: "/topic/a", persistent: "true", bodyBytes: 128, receipts: true, window: 1000, stamped: true, serial: true, clock: newStopwatch()}
			template, err := newSendTemplate(plan, overWebSocket)
			if err != nil {
				b.Fatal(err)
			}
			s := &sender{plan: plan, template: template, batch: bytes.Repeat(template.frame, 100), perBatch: 100}
			s.sentAt = newSentTimes(plan.window)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				if n++; n%100 == 0 {
					s.prepare(100, 0)
				}
			}
		})
	}
}
