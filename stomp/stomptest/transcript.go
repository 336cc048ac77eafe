package stomptest

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// StepKind says what happens in a step.
type StepKind uint8

// The kinds of steps.
const (
	StepSend    StepKind = iota // the client sends Bytes
	StepReceive                 // the server has sent Bytes
	StepPass                    // time passes
	StepClosed                  // the server closes, with Code over WebSocket
)

// Step is one step of a transcript.
type Step struct {
	Kind  StepKind
	Bytes []byte
	Pass  time.Duration
	Code  int // 0 for none

	lines []string // as they were written; nil for what a Player found
	after []string // comments and blank lines behind it
}

// Transcript is one connection from its beginning.
type Transcript struct {
	Settings map[string]string // of the `set` lines
	Steps    []Step

	head []string // the lines before the first step
}

// NeedsClock tells whether time has to pass.
func (t *Transcript) NeedsClock() bool {
	for i := range t.Steps {
		if t.Steps[i].Kind == StepPass {
			return true
		}
	}
	return false
}

// Parse reads a transcript. An error names the line.
func Parse(text string) (*Transcript, error) {
	t := &Transcript{Settings: map[string]string{}}
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if err := t.takeLine(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	if len(t.Steps) == 0 {
		return nil, fmt.Errorf("a transcript without a step")
	}
	return t, nil
}

func (t *Transcript) takeLine(line string) error {
	switch word, rest, _ := strings.Cut(line, " "); {
	case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
		t.takeAside(line)
	case word == "set":
		name, value, ok := strings.Cut(rest, " ")
		if !ok || len(t.Steps) > 0 {
			return fmt.Errorf("%q: it has to be `set name value`, before the first step", line)
		}
		t.Settings[name] = value
		t.takeAside(line)
	case word == ">":
		return t.takeBytes(StepSend, line, rest)
	case word == "<":
		return t.takeBytes(StepReceive, line, rest)
	case strings.HasPrefix(line, "@+"):
		pass, err := time.ParseDuration(line[2:])
		if err != nil {
			return err
		}
		t.Steps = append(t.Steps, Step{Kind: StepPass, Pass: pass, lines: []string{line}})
	case word == "closed":
		step := Step{Kind: StepClosed, lines: []string{line}}
		if rest != "" {
			code, err := strconv.Atoi(rest)
			if err != nil {
				return err
			}
			step.Code = code
		}
		t.Steps = append(t.Steps, step)
	default:
		return fmt.Errorf("%q is no line of a transcript", line)
	}
	return nil
}

// takeAside keeps a line that is no step.
func (t *Transcript) takeAside(line string) {
	if len(t.Steps) == 0 {
		t.head = append(t.head, line)
		return
	}
	last := &t.Steps[len(t.Steps)-1]
	last.after = append(last.after, line)
}

// takeBytes adds a line to the step before, if that is of the same kind and nothing stands between.
func (t *Transcript) takeBytes(kind StepKind, line, rest string) error {
	data, err := decode(rest, kind == StepSend)
	if err != nil {
		return err
	}
	if n := len(t.Steps); n > 0 && t.Steps[n-1].Kind == kind && t.Steps[n-1].after == nil {
		last := &t.Steps[n-1]
		last.Bytes = append(last.Bytes, data...)
		last.lines = append(last.lines, line)
		return nil
	}
	t.Steps = append(t.Steps, Step{Kind: kind, Bytes: data, lines: []string{line}})
	return nil
}

// String writes the transcript as Parse reads it.
func (t *Transcript) String() string {
	var b strings.Builder
	write := func(lines []string) {
		for _, line := range lines {
			b.WriteString(line)
			b.WriteByte('\n')
		}
	}
	write(t.head)
	for i := range t.Steps {
		step := &t.Steps[i]
		if step.lines != nil {
			write(step.lines)
		} else {
			write(step.format())
		}
		write(step.after)
	}
	return b.String()
}

// format gives the lines of a step that a Player found.
func (s *Step) format() []string {
	if s.Kind == StepClosed {
		if s.Code == 0 {
			return []string{"closed"}
		}
		return []string{"closed " + strconv.Itoa(s.Code)}
	}
	var lines []string
	for rest := s.Bytes; len(rest) > 0; {
		n := bytes.IndexAny(rest, "\n\x00") + 1
		if n == 0 {
			n = len(rest)
		}
		lines = append(lines, strings.TrimSuffix("< "+encode(rest[:n]), " "))
		rest = rest[n:]
	}
	return lines
}
