package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// This file says once what was tried over several transports and in several versions.

// way is a transport and a version of STOMP.
type way struct{ transport, version string }

var wayOfStory = regexp.MustCompile(`^(.+) over (\S+) in STOMP (\S+)$`)

// foldWays makes one story of those that are told over several ways: a test stands once, beside those that ran over the same ways.
func foldWays(stories []story) []story {
	told := map[string]map[string][]way{} // by story without its way, by test
	for _, s := range stories {
		name, over := s.name, []way(nil)
		if m := wayOfStory.FindStringSubmatch(s.name); m != nil {
			name, over = m[1], []way{{m[2], m[3]}}
		}
		if told[name] == nil {
			told[name] = map[string][]way{}
		}
		for _, test := range s.tests {
			told[name][test] = append(told[name][test], over...)
		}
	}
	var folded []story
	for name, ways := range told {
		byWays := map[string][]string{}
		for test, over := range ways {
			words := name
			if len(over) > 0 {
				words += " over " + describeWays(over)
			}
			byWays[words] = append(byWays[words], test)
		}
		for words, tests := range byWays {
			slices.Sort(tests)
			folded = append(folded, story{words, tests})
		}
	}
	slices.SortFunc(folded, func(a, b story) int { return strings.Compare(a.name, b.name) })
	return folded
}

// describeWays names ways in words: "tcp and websocket in STOMP 1.0 to 1.2".
func describeWays(ways []way) string {
	versions := map[string][]string{}
	for _, w := range ways {
		versions[w.transport] = append(versions[w.transport], w.version)
	}
	transports := map[string][]string{} // by their versions
	for transport, of := range versions {
		slices.Sort(of)
		of = slices.Compact(of)
		words := enumerate(of)
		if len(of) > 2 {
			words = of[0] + " to " + of[len(of)-1]
		}
		transports[words] = append(transports[words], transport)
	}
	var parts []string
	for _, words := range slices.Sorted(maps.Keys(transports)) {
		slices.Sort(transports[words])
		parts = append(parts, enumerate(transports[words])+" in STOMP "+words)
	}
	return strings.Join(parts, ", ")
}

func enumerate(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}
