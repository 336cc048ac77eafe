package main

// docs_test.go: every example of the documents that is marked `stomp` is run against the built command, over TCP and over WebSocket.
// The notation is explained at the head of docs/protocol.md; an empty line ends the columns. "$ stampede drain" is run, and "(closes)"
// stands for the end of the connection. The info string of a block may go on with
//
//	tcp, ws     only over this transport
//	1.0, 1.1    the version of sessions that the example does not CONNECT itself
//	continued   the broker, the sessions and the values are those of the block before; else all is new

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	endOfFrame = "^@"  // how the documents write the NUL
	leftOut    = "..." // what an answer has and the document does not show
	closes     = "(closes)"
)

// example is one block of a document.
type example struct {
	document  string
	line      int // of its fence
	transport string
	version   string
	continued bool
	steps     []docStep
	open      []docLine // the paragraph that is being read
}

// docLine is a line of a document with its number.
type docLine struct {
	number int
	text   string
}

func (e *example) name(transport string) string {
	return fmt.Sprintf("%s:%d/%s", filepath.Base(e.document), e.line, transport)
}

type docStepKind uint8

const (
	clientWrites docStepKind = iota
	brokerAnswers
	brokerCloses
	operatorRuns
)

// docStep is a frame of an example, or an event that is none.
type docStep struct {
	kind   docStepKind
	line   int
	client string   // "" for the only one
	text   []string // the lines of the frame, the last one without the NUL; or the command
}

// command is the first line of the frame.
func (s *docStep) command() string { return s.text[0] }

// headers are the header lines of the frame.
func (s *docStep) headers() []string {
	end := slices.Index(s.text, "")
	if end < 0 {
		return nil
	}
	return s.text[1:end]
}

// body is what comes behind the empty line.
func (s *docStep) body() string {
	end := slices.Index(s.text, "")
	if end < 0 {
		return ""
	}
	return strings.Join(s.text[end+1:], "\n")
}

// transcriptCell is the beginning of a column of a transcript: a client's name and who speaks.
var transcriptCell = regexp.MustCompile(`(?:^ *| {3,})([a-z]*)([<>])(?: |$)`)

// readExamples gives the examples of all documents in their order.
func readExamples(t *testing.T) []*example {
	t.Helper()
	documents, err := filepath.Glob(filepath.Join("..", "..", "docs", "*.md"))
	if err != nil || len(documents) == 0 {
		t.Fatalf("documents = %q, %v, want some", documents, err)
	}
	var all []*example
	for _, name := range documents {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, examplesOf(t, name, strings.Split(string(text), "\n"))...)
	}
	return all
}

func examplesOf(t *testing.T, document string, lines []string) (all []*example) {
	t.Helper()
	var e *example // the block that the line is in
	fenced := false
	for i, line := range lines {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && fenced:
			if e != nil {
				e.finish(t)
			}
			e, fenced = nil, false
		case fence:
			fenced = true
			if words := strings.Fields(info); len(words) > 0 && words[0] == "stomp" {
				e = newExample(t, document, i+1, words[1:])
				all = append(all, e)
			}
		case e != nil && line != "":
			e.open = append(e.open, docLine{i + 1, line})
		case e != nil:
			e.closeParagraph(t)
		}
	}
	return all
}

func newExample(t *testing.T, document string, line int, words []string) *example {
	t.Helper()
	e := &example{document: document, line: line, version: "1.2"}
	for _, word := range words {
		switch word {
		case "tcp", "ws":
			e.transport = word
		case "1.0", "1.1":
			e.version = word
		case "continued":
			e.continued = true
		default:
			t.Fatalf("%s:%d: %q in the info string, want tcp, ws, 1.0, 1.1 or continued", document, line, word)
		}
	}
	return e
}

// closeParagraph takes the lines since the last empty one: columns from left to right, each from its first line to its last.
func (e *example) closeParagraph(t *testing.T) {
	t.Helper()
	columns := map[int][]docCell{} // by where their arrows stand
	for _, line := range e.open {
		if run, ok := strings.CutPrefix(line.text, "$ "); ok {
			e.steps = append(e.steps, docStep{kind: operatorRuns, line: line.number, text: []string{run}})
			continue
		}
		cells := transcriptCell.FindAllStringSubmatchIndex(line.text, -1)
		if cells == nil || cells[0][0] > 0 {
			t.Fatalf("%s:%d: %q is no line of a transcript", e.document, line.number, line.text)
		}
		for i, at := range cells {
			end := len(line.text)
			if i+1 < len(cells) {
				end = cells[i+1][0]
			}
			columns[at[4]] = append(columns[at[4]], docCell{
				line: line.number, client: line.text[at[2]:at[3]], answer: line.text[at[4]] == '<', text: strings.TrimRight(line.text[at[1]:end], " "),
			})
		}
	}
	e.open = nil
	for _, at := range slices.Sorted(maps.Keys(columns)) {
		for _, cell := range columns[at] {
			e.add(t, cell)
		}
		if last := &e.steps[len(e.steps)-1]; !last.whole() {
			t.Fatalf("%s:%d: the frame has no end: its last line ends in %s", e.document, last.line, endOfFrame)
		}
	}
}

// docCell is a line of one column.
type docCell struct {
	line   int
	client string
	answer bool
	text   string
}

// add takes a line: it begins a frame, or goes on with the last one if that has no end.
func (e *example) add(t *testing.T, cell docCell) {
	t.Helper()
	step := docStep{kind: clientWrites, line: cell.line, client: cell.client}
	if cell.answer {
		step.kind = brokerAnswers
		if cell.text == closes {
			step.kind = brokerCloses
		}
	}
	last := len(e.steps) - 1
	if last < 0 || e.steps[last].whole() {
		e.steps = append(e.steps, step)
		last++
	} else if open := &e.steps[last]; open.kind != step.kind || open.client != step.client {
		t.Fatalf("%s:%d: the frame of line %d has no end: its last line ends in %s", e.document, cell.line, open.line, endOfFrame)
	}
	e.steps[last].text = append(e.steps[last].text, cell.text)
}

// whole tells whether the step has its last line.
func (s *docStep) whole() bool {
	return s.kind == operatorRuns || s.kind == brokerCloses || strings.HasSuffix(s.text[len(s.text)-1], endOfFrame)
}

// finish takes the last paragraph, and the marks of the NUL away.
func (e *example) finish(t *testing.T) {
	t.Helper()
	e.closeParagraph(t)
	if len(e.steps) == 0 {
		t.Fatalf("%s:%d: the example is empty", e.document, e.line)
	}
	for i := range e.steps {
		step := &e.steps[i]
		last := &step.text[len(step.text)-1]
		*last = strings.TrimSuffix(*last, endOfFrame)
		for k := range step.text {
			step.text[k] = strings.ReplaceAll(step.text[k], endOfFrame, "\x00")
		}
	}
}

// TestDocsExamples runs what the documents show.
func TestDocsExamples(t *testing.T) {
	var stories [][]*example // an example and those that go on from it
	for _, e := range readExamples(t) {
		if !e.continued {
			stories = append(stories, []*example{e})
			continue
		}
		if len(stories) == 0 || stories[len(stories)-1][0].document != e.document || e.transport != "" {
			t.Fatalf("%s:%d goes on from nothing, or names a transport: its first block does", e.document, e.line)
		}
		stories[len(stories)-1] = append(stories[len(stories)-1], e)
	}
	if len(stories) == 0 {
		t.Fatal("the documents have no examples")
	}
	for _, story := range stories {
		for _, transport := range []string{"tcp", "ws"} {
			if only := story[0].transport; only != "" && only != transport {
				continue
			}
			t.Run(story[0].name(transport), func(t *testing.T) {
				stage := newStage(t, transport)
				for _, e := range story {
					stage.play(t, e)
				}
				stage.leave(t)
			})
		}
	}
}

// shown is what the examples have to have in them: frames of these commands with each of the headers, with a value that begins so.
var shown = []struct {
	from    docStepKind
	command string
	headers []string
}{
	{clientWrites, "CONNECT", []string{"accept-version:", "host:", "heart-beat:", "login:", "passcode:"}},
	{clientWrites, "STOMP", []string{"accept-version:"}},
	{brokerAnswers, "CONNECTED", []string{"version:", "session:", "server:", "heart-beat:"}},
	{clientWrites, "SEND", []string{
		"destination:/topic/", "destination:/queue/", "destination:/user/alice/queue/", "destination:/user/alice/topic/",
		"destination:/exchange/amq.topic/", "destination:/exchange/amq.direct/", "destination:/exchange/amq.fanout", "destination:/amq/queue/", "destination:jobs",
		"receipt:", "transaction:", "content-length:", "content-type:", "persistent:false", "expiration:", "ttl:", "expires:",
		"priority:", "correlation-id:", "reply-to:",
	}},
	{clientWrites, "SUBSCRIBE", []string{
		"destination:/topic/prices.*", "destination:/topic/prices.**", "destination:/topic/prices.#", "destination:/topic/news/>",
		"destination:/queue/", "destination:/queue/dlq.", "destination:/user/queue/", "destination:/user/topic/",
		"destination:/exchange/amq.direct/", "destination:/exchange/amq.fanout", "destination:/topic/server.events", "destination:/topic/server.presence",
		"id:", "ack:client", "ack:client-individual", "receipt:", "prefetch-count:", "activemq.prefetchSize:", "prefetch-bytes:", "consumer-window-size:",
		"x-stream-offset:first", "x-stream-offset:last", "x-stream-offset:next", "x-stream-offset:offset=", "x-stream-offset:timestamp=",
		"resume-after:", "last:", "no-local:true", "activemq.noLocal:true", "selector:",
	}},
	{clientWrites, "UNSUBSCRIBE", []string{"id:"}},
	{brokerAnswers, "MESSAGE", []string{
		"subscription:", "message-id:", "destination:", "content-length:", "timestamp:", "x-stream-offset:", "ack:", "redelivered:true", "delivery-count:",
		"dead-letter-reason:", "dead-letter-destination:", "x-content-type:",
	}},
	{clientWrites, "ACK", []string{"id:", "message-id:", "subscription:", "transaction:", "receipt:"}},
	{clientWrites, "NACK", []string{"id:", "message-id:", "subscription:", "requeue:false"}},
	{clientWrites, "BEGIN", []string{"transaction:"}},
	{clientWrites, "COMMIT", []string{"transaction:", "receipt:"}},
	{clientWrites, "ABORT", []string{"transaction:"}},
	{clientWrites, "DISCONNECT", []string{"receipt:"}},
	{brokerAnswers, "RECEIPT", []string{"receipt-id:"}},
	{brokerAnswers, "ERROR", []string{
		"message:", "error-code:", "receipt-id:", "content-type:text/plain", "retry-after:", "version:",
		"error-code:unsupported-header", "error-code:delivery-gone", "error-code:server-draining",
	}},
}

// TestDocsShowAll checks that the examples leave out no destination, no header and no form of ACK.
func TestDocsShowAll(t *testing.T) {
	examples := readExamples(t)
	for _, want := range shown {
		for _, header := range want.headers {
			if !slices.ContainsFunc(examples, func(e *example) bool { return e.shows(want.from, want.command, header) }) {
				t.Errorf("no example of the documents has %s with %q", want.command, header)
			}
		}
	}
	for version, names := range map[string]string{"1.0": "message-id:", "1.1": "subscription:", "1.2": "id:"} {
		if !slices.ContainsFunc(examples, func(e *example) bool { return e.version == version && e.shows(clientWrites, "ACK", names) }) {
			t.Errorf("no example of the documents has an ACK of STOMP %s", version)
		}
	}
	for transport, policy := range map[string]string{"tcp": "lenient", "ws": "strict"} {
		if !slices.ContainsFunc(examples, func(e *example) bool {
			return e.transport == transport && e.shows(brokerAnswers, "ERROR", "error-code:")
		}) {
			t.Errorf("no example of the documents has an ERROR of the %s policy", policy)
		}
	}
}

func (e *example) shows(from docStepKind, command, header string) bool {
	return slices.ContainsFunc(e.steps, func(s docStep) bool {
		return s.kind == from && s.command() == command && slices.ContainsFunc(s.headers(), func(line string) bool { return strings.HasPrefix(line, header) })
	})
}

// docWord is a name or a name with a value in the tables of a document.
var docWord = regexp.MustCompile("`([^`]+)`")

// TestDocsUnsupported sends each header of the table "Not supported" and wants it refused.
func TestDocsUnsupported(t *testing.T) {
	name := filepath.Join("..", "..", "docs", "protocol.md")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Not supported\n")
	section, _, _ = strings.Cut(section, "\n## ")
	first := strings.Count(strings.SplitN(string(text), section, 2)[0], "\n") + 1
	stage := newStage(t, "tcp") // where a refusal leaves the session open
	e := &example{document: name, version: "1.2"}
	tried := map[string]int{}
	for i, line := range strings.Split(section, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 4 {
			continue
		}
		command := strings.TrimSpace(cells[1])
		for _, match := range docWord.FindAllStringSubmatch(cells[2], -1) {
			e.line = first + i
			e.steps = unsupportedSteps(t, command, match[1], e.line)
			stage.play(t, e)
			tried[command]++
		}
	}
	for command, atLeast := range map[string]int{"SEND": 11, "SUBSCRIBE": 17, "NACK": 1} {
		if tried[command] < atLeast {
			t.Errorf("%s: the table of what is not supported has %d headers of %s, want %d at least", name, tried[command], command, atLeast)
		}
	}
}

// unsupportedSteps are a frame with the header, and its refusal.
func unsupportedSteps(t *testing.T, command, header string, line int) []docStep {
	t.Helper()
	if !strings.Contains(header, ":") {
		header += ":1"
	}
	receipt := strings.ReplaceAll(header, ":", "=")
	send := []string{"SEND", "destination:/queue/plain", "", "for NACK"}
	frame := []string{command, header, "receipt:" + receipt}
	steps := []docStep{}
	switch command {
	case "SEND":
		frame = append(frame, "destination:/queue/refused")
	case "SUBSCRIBE":
		frame = append(frame, "id:"+receipt, "destination:/topic/refused")
	case "NACK":
		frame = append(frame, "id:<ack>")
		subscribe := []string{"SUBSCRIBE", "id:plain", "ack:client", "destination:/queue/plain", "", ""}
		steps = append(steps, docStep{kind: clientWrites, line: line, text: send}, docStep{kind: clientWrites, line: line, text: subscribe},
			docStep{kind: brokerAnswers, line: line, text: []string{"MESSAGE", "ack:<ack>", "", leftOut}})
	default:
		t.Fatalf("docs/protocol.md:%d: no command %q is known here", line, command)
	}
	if strings.HasPrefix(header, "destination:") {
		frame = []string{command, "destination:/queue/a,/queue/b", "receipt:" + receipt}
	}
	answer := []string{"ERROR", "error-code:unsupported-header", "receipt-id:" + receipt, "", leftOut}
	return append(steps, docStep{kind: clientWrites, line: line, text: append(frame, "", "")}, docStep{kind: brokerAnswers, line: line, text: answer})
}
