package broker

import (
	"errors"
	"unicode/utf8"
)

// This file holds patterns of destinations, for policies and for topic wildcards.

// Pattern matches destinations. A segment ends at `.` or `/`. A segment that is `*` matches any one segment;
// one that is `**`, `#` or `>` matches zero or more. Every other segment, and every separator between such, matches itself.
// The separators beside a zero-or-more wildcard belong to it: they match `.` and `/` alike and vanish with it when it matches nothing.
type Pattern struct {
	text    string
	items   []patternItem // empty if there is no wildcard: then only the text itself matches
	multis  int           // zero-or-more wildcards
	singles int           // one-segment wildcards
}

type patternItem struct {
	text      string
	separator byte // before it; 0 for the first, and where either matches
	kind      itemKind
}

type itemKind uint8

const (
	itemLiteral itemKind = iota
	itemSingle
	itemMulti
)

// PatternBytesMax bounds a pattern; a longer one is no pattern.
const PatternBytesMax = 1024

// ErrBadPattern says that a text is empty, longer than PatternBytesMax, not UTF-8, or has control characters.
var ErrBadPattern = errors.New("not a destination pattern")

// ParsePattern reads a pattern. A text without wildcards is one, too: it matches itself.
func ParsePattern(s string) (Pattern, error) {
	if s == "" || len(s) > PatternBytesMax || !utf8.ValidString(s) {
		return Pattern{}, ErrBadPattern
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return Pattern{}, ErrBadPattern
		}
	}
	p := Pattern{text: s}
	var separator byte
	for start := 0; start <= len(s); {
		end := segmentEnd(s, start)
		p.add(s[start:end], separator)
		if end == len(s) {
			break
		}
		separator = s[end]
		start = end + 1
	}
	if p.multis+p.singles == 0 {
		p.items = nil
	}
	return p, nil
}

// add appends one segment; several zero-or-more wildcards in a row are one.
func (p *Pattern) add(text string, separator byte) {
	item := patternItem{text: text, separator: separator}
	afterMulti := len(p.items) > 0 && p.items[len(p.items)-1].kind == itemMulti
	if afterMulti {
		item.separator = 0
	}
	switch text {
	case "*":
		item.kind = itemSingle
		p.singles++
	case "**", "#", ">":
		if afterMulti {
			return
		}
		item.kind = itemMulti
		item.separator = 0
		p.multis++
	}
	p.items = append(p.items, item)
}

// String returns the pattern as it was parsed.
func (p Pattern) String() string { return p.text }

// Wild reports whether the pattern has wildcards.
func (p Pattern) Wild() bool { return len(p.items) > 0 }

// Match reports whether the destination is one of the pattern's. It does not allocate.
func (p Pattern) Match(dest string) bool {
	if len(p.items) == 0 {
		return p.text == dest
	}
	item, at := 0, 0 // at: start of the segment to match; len(dest)+1 when none is left
	retryItem, retryAt := -1, 0
	for {
		if item < len(p.items) && p.items[item].kind == itemMulti {
			retryItem, retryAt = item, at
			item++
			continue
		}
		if item == len(p.items) && at > len(dest) {
			return true
		}
		if item < len(p.items) && at <= len(dest) && p.items[item].matches(dest, at) {
			at = segmentEnd(dest, at) + 1
			item++
			continue
		}
		// The last zero-or-more wildcard takes one segment more.
		if retryItem < 0 || retryAt > len(dest) {
			return false
		}
		retryAt = segmentEnd(dest, retryAt) + 1
		item, at = retryItem+1, retryAt
	}
}

// matches compares one segment of dest, which starts at that index, and the separator before it.
func (i *patternItem) matches(dest string, at int) bool {
	if i.separator != 0 && (at == 0 || dest[at-1] != i.separator) {
		return false
	}
	return i.kind == itemSingle || dest[at:segmentEnd(dest, at)] == i.text
}

// segmentEnd returns the index of the first separator from start on, or the length of s.
func segmentEnd(s string, start int) int {
	for start < len(s) && s[start] != '.' && s[start] != '/' {
		start++
	}
	return start
}
