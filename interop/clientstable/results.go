package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// This file reads what the suites printed.

// story is a group of tests.
type story struct {
	name  string
	tests []string
}

// readResults reads the tests of a suite, in groups, both in the order of their names.
func readResults(results, suite string) ([]story, error) {
	groups := map[string][]string{}
	add := func(group, test string) {
		if !slices.Contains(groups[group], test) {
			groups[group] = append(groups[group], test)
		}
	}
	lines, err := os.ReadFile(filepath.Join(results, "clients", suite+".jsonl"))
	switch {
	case err == nil:
		err = readJSONLines(lines, add)
	case errors.Is(err, fs.ErrNotExist):
		if lines, err = os.ReadFile(filepath.Join(results, suite+".log")); err == nil {
			err = readLog(lines, add)
		}
	}
	if err != nil {
		return nil, err
	}
	if len(groups) == 0 {
		return nil, errors.New("no test has left a line")
	}
	var stories []story
	for name, tests := range groups {
		slices.Sort(tests)
		stories = append(stories, story{name, tests})
	}
	slices.SortFunc(stories, func(a, b story) int { return strings.Compare(a.name, b.name) })
	return stories, nil
}

// readJSONLines reads {"test":"group: name","passed":true}.
func readJSONLines(lines []byte, add func(group, test string)) error {
	for line := range bytes.Lines(lines) {
		var r struct {
			Test   string
			Passed bool
		}
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
		if !r.Passed {
			return fmt.Errorf("%q failed", r.Test)
		}
		group, test, found := strings.Cut(r.Test, ": ")
		if !found {
			group, test = "tests", r.Test
		}
		add(group, test)
	}
	return nil
}

var (
	tapLine  = regexp.MustCompile(`^( *)(not ok|ok) \d+ - (.*?)( # SKIP.*)?$`)
	goLine   = regexp.MustCompile(`^ *--- (PASS|FAIL|SKIP): (\S+)`)
	goNumber = regexp.MustCompile(`#\d+$`)
)

// readLog reads the lines of Node's test runner (TAP), and those of go test -v.
func readLog(lines []byte, add func(group, test string)) error {
	var open tree
	for in := bufio.NewScanner(bytes.NewReader(lines)); in.Scan(); {
		line := in.Text()
		if m := tapLine.FindStringSubmatch(line); m != nil {
			if m[2] == "not ok" {
				return fmt.Errorf("%q failed", m[3])
			}
			open.close(len(m[1])/4, strings.ReplaceAll(m[3], `\#`, "#"), m[4] != "")
		}
		if m := goLine.FindStringSubmatch(line); m != nil {
			if m[1] == "FAIL" {
				return fmt.Errorf("%q failed", m[2])
			}
			group, test, found := strings.Cut(strings.TrimPrefix(m[2], "Test"), "/")
			if found && m[1] == "PASS" {
				add(words(group), words(goNumber.ReplaceAllString(test, "")))
			}
		}
	}
	open.tell(add)
	return nil
}

// tree is what TAP has said so far: a line of a group comes behind those of its tests, which are indented more.
type tree struct{ levels [][]branch }

// branch is a test, or a group if it has tests.
type branch struct {
	name  string
	below []branch
}

// close takes a line at a depth: what is open one deeper is its own.
func (t *tree) close(depth int, name string, skipped bool) {
	for len(t.levels) < depth+2 {
		t.levels = append(t.levels, nil)
	}
	below := t.levels[depth+1]
	t.levels[depth+1] = nil
	if !skipped {
		t.levels[depth] = append(t.levels[depth], branch{name, below})
	}
}

// tell gives all tests with the names of their groups.
func (t *tree) tell(add func(group, test string)) {
	if len(t.levels) > 0 {
		tellBranches(t.levels[0], nil, add)
	}
}

func tellBranches(branches []branch, above []string, add func(group, test string)) {
	for _, b := range branches {
		if b.below != nil {
			tellBranches(b.below, append(slices.Clip(above), b.name), add)
		} else if len(above) == 0 {
			add("by itself", b.name)
		} else {
			add(strings.Join(above, ", "), b.name)
		}
	}
}

// words makes a sentence of the name of a Go test.
func words(name string) string { return strings.ReplaceAll(name, "_", " ") }
