package stomptest

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// This file is the notation of bytes in a line of a transcript.

const (
	caret       = '^'
	nothing     = "^$"     // the end of a line that has no LF
	repeatedMax = 64 << 20 // bytes of one {count*text}: a slip of the finger should not take all memory
)

var errCaret = errors.New("^ is not followed by @, a letter, [, \\, ], _, ?, ', $ at the end, or x and two hexadecimal digits")

// decode gives the bytes of a line. Only what is sent knows {count*text}.
func decode(line string, sent bool) ([]byte, error) {
	line, open := strings.CutSuffix(line, nothing)
	var out []byte
	for i := 0; i < len(line); {
		switch {
		case line[i] == caret:
			b, n, err := decodeCaret(line[i+1:])
			if err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
			out = append(out, b)
			i += 1 + n
		case line[i] == '{' && sent:
			repeated, n, err := decodeRepeat(line[i:])
			if err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
			out = append(out, repeated...)
			i += n
		default:
			out = append(out, line[i])
			i++
		}
	}
	if open || len(out) > 0 && out[len(out)-1] == 0 {
		return out, nil
	}
	return append(out, '\n'), nil
}

// decodeCaret reads what follows a caret, and tells how long it is.
func decodeCaret(s string) (b byte, n int, err error) {
	switch {
	case s == "":
		return 0, 0, errCaret
	case s[0] == '\'':
		return caret, 1, nil
	case s[0] == '?':
		return 0x7f, 1, nil
	case s[0] == 'x' && len(s) >= 3:
		v, err := strconv.ParseUint(s[1:3], 16, 8)
		if err != nil {
			return 0, 0, errCaret
		}
		return byte(v), 3, nil
	case s[0] >= '@' && s[0] <= '_':
		return s[0] - '@', 1, nil
	}
	return 0, 0, errCaret
}

// decodeRepeat reads {count*text}; any other brace is itself.
func decodeRepeat(s string) (repeated []byte, n int, err error) {
	end := strings.IndexByte(s, '}')
	count, text, ok := strings.Cut(s[1:max(end, 1)], "*")
	times, countErr := strconv.Atoi(count)
	if !ok || countErr != nil {
		return []byte{'{'}, 1, nil
	}
	if times < 0 || times > repeatedMax/max(len(text), 1) {
		return nil, 0, fmt.Errorf("%d times %d bytes are more than %d", times, len(text), repeatedMax)
	}
	once, err := decode(text+nothing, false)
	return bytes.Repeat(once, times), end + 1, err
}

// encode writes a line's bytes, which end with LF, with NUL or neither.
func encode(b []byte) string {
	b, whole := bytes.CutSuffix(b, []byte{'\n'})
	whole = whole || len(b) > 0 && b[len(b)-1] == 0
	var out strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&out, "^x%02x", b[0])
		case r == caret:
			out.WriteString("^'")
		case r == 0x7f:
			out.WriteString("^?")
		case r < ' ':
			out.WriteByte(caret)
			out.WriteByte(byte(r) + '@')
		default:
			out.WriteRune(r)
		}
		b = b[n:]
	}
	if !whole {
		out.WriteString(nothing)
	}
	return out.String()
}
