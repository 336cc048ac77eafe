package broker_test

import (
	"errors"
	"strings"
	"testing"

	"stampede/broker"
)

func TestPattern(t *testing.T) {
	tests := []struct {
		pattern string
		match   []string
		not     []string
	}{
		{"/topic/a", []string{"/topic/a"}, []string{"/topic/A", "/topic/a.b", "/topic/", "/topic", ""}},
		{"/topic/a.b", []string{"/topic/a.b"}, []string{"/topic/a/b"}},
		{"/topic/*", []string{"/topic/a", "/topic/"}, []string{"/topic/a.b", "/topic/a/b", "/topic", "/queue/a"}},
		{"/topic/*.b", []string{"/topic/a.b"}, []string{"/topic/a/b", "/topic/b", "/topic/a.c.b"}},
		{"/topic/a.*", []string{"/topic/a.b"}, []string{"/topic/a/b", "/topic/a", "/topic/a.b.c"}},
		{"/topic/**", []string{"/topic/a", "/topic/a.b/c", "/topic"}, []string{"/topics/a", "/queue/a"}},
		{"/topic/#", []string{"/topic/a", "/topic/a.b"}, []string{"/queue/a"}},
		{"/topic/>", []string{"/topic/a", "/topic/a.b"}, []string{"/queue/a"}},
		{"/topic/a.#", []string{"/topic/a", "/topic/a.b", "/topic/a.b.c"}, []string{"/topic/ab", "/topic/b"}},
		{"/topic/#.c", []string{"/topic/c", "/topic/a.c", "/topic/a.b.c"}, []string{"/topic/c.d", "/topic/ac"}},
		{"/topic/**/b/**/d", []string{"/topic/b/d", "/topic/a/b/c/d", "/topic/b/b/d/d"}, []string{"/topic/d/b", "/topic/b"}},
		{"/topic/*.#.z", []string{"/topic/a.z", "/topic/a.b.z"}, []string{"/topic/z"}},
		{"**", []string{"/topic/a", "", "a"}, nil},
		{"/topic/a*", []string{"/topic/a*"}, []string{"/topic/ab"}},
		{"/topic/**.#", []string{"/topic/a", "/topic/a.b"}, []string{"/queue/a"}},
	}
	for _, test := range tests {
		p, err := broker.ParsePattern(test.pattern)
		if err != nil {
			t.Fatalf("%s: %v", test.pattern, err)
		}
		if got := p.String(); got != test.pattern {
			t.Errorf("String() = %q, want %q", got, test.pattern)
		}
		for _, dest := range test.match {
			if !p.Match(dest) {
				t.Errorf("%s does not match %q", test.pattern, dest)
			}
		}
		for _, dest := range test.not {
			if p.Match(dest) {
				t.Errorf("%s matches %q", test.pattern, dest)
			}
		}
	}
	for _, bad := range []string{"", "a\nb", "\x7f", "\xff", strings.Repeat("a", broker.PatternBytesMax+1)} {
		if _, err := broker.ParsePattern(bad); !errors.Is(err, broker.ErrBadPattern) {
			t.Errorf("ParsePattern(%q) = %v, want %v", bad, err, broker.ErrBadPattern)
		}
	}
	for text, want := range map[string]bool{"/topic/a": false, "/topic/a*": false, "/topic/*": true, "/topic/#.a": true} {
		if p, err := broker.ParsePattern(text); err != nil || p.Wild() != want {
			t.Errorf("Wild() of %s = %v, want %v", text, p.Wild(), want)
		}
	}
	p, err := broker.ParsePattern("/topic/#.b.*.**.z")
	if err != nil {
		t.Fatal(err)
	}
	if got := testing.AllocsPerRun(100, func() { p.Match("/topic/a.b.c.d.b.e.z") }); got != 0 {
		t.Errorf("Match allocates %v times, want 0", got)
	}
}

// segment is a piece of a text and the separator before it.
type segment struct {
	text      string
	separator byte
}

func segments(s string) []segment {
	var list []segment
	var separator byte
	for {
		i := strings.IndexAny(s, "./")
		if i < 0 {
			return append(list, segment{s, separator})
		}
		list = append(list, segment{s[:i], separator})
		separator, s = s[i], s[i+1:]
	}
}

// naiveMatch tries every possibility. beside says that a zero-or-more wildcard is just before the pattern.
func naiveMatch(pattern, dest []segment, beside bool) bool {
	if len(pattern) == 0 {
		return len(dest) == 0
	}
	switch first := pattern[0]; first.text {
	case "**", "#", ">":
		for n := range len(dest) + 1 {
			if naiveMatch(pattern[1:], dest[n:], true) {
				return true
			}
		}
		return false
	default:
		if len(dest) == 0 || first.text != "*" && first.text != dest[0].text {
			return false
		}
		return (beside || first.separator == dest[0].separator) && naiveMatch(pattern[1:], dest[1:], false)
	}
}

// FuzzPattern compares with a matcher that tries everything.
func FuzzPattern(f *testing.F) {
	for _, seed := range [][2]string{
		{"/topic/**", "/topic/a.b"}, {"/topic/*.b", "/topic/a.b"}, {"#.a.#.b", "x.a.y/b"}, {"**.**", "a"}, {"a/*.**/b", "a/c/b"}, {"a.>", "a"}, {"*", ""}, {"a..b", "a..b"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, dest string) {
		p, err := broker.ParsePattern(pattern)
		if err != nil || len(pattern) > 40 || len(dest) > 40 {
			return
		}
		want := naiveMatch(segments(pattern), segments(dest), false)
		if got := p.Match(dest); got != want {
			t.Fatalf("%q matches %q: %v, want %v", pattern, dest, got, want)
		}
	})
}
