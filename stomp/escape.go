package stomp

import "bytes"

// An escapeTable says what becomes of each byte of a name or value on the wire: 0 it stays, ' ' it becomes a space,
// anything else it becomes a backslash and that letter. A table of its own keeps the loop of the encoder to one load a byte.
type escapeTable [256]byte

var (
	// escaped serves 1.1 and 1.2. 1.1 does not define \r, but a CR cannot stay (its reader may take it for an end of
	// line), and the clients that speak 1.1 today undo it. [STOMP12 §Value Encoding]
	escaped = escapeTable{'\\': '\\', '\n': 'n', '\r': 'r', ':': 'c', 0: ' '}
	// plainName and plainValue serve 1.0 and the frames that open a connection, which have no escapes.
	plainName  = escapeTable{'\n': ' ', '\r': ' ', ':': ' ', 0: ' '}
	plainValue = escapeTable{'\n': ' ', '\r': ' ', 0: ' '}
)

// bytestring is what a header name or value is given as.
type bytestring interface{ ~string | ~[]byte }

// appendEscaped appends s as t asks.
func appendEscaped[T bytestring](dst []byte, s T, t *escapeTable) []byte {
	from := 0
	for i := range len(s) {
		e := t[s[i]]
		if e == 0 {
			continue
		}
		dst = append(dst, s[from:i]...)
		if e != ' ' {
			dst = append(dst, '\\')
		}
		dst = append(dst, e)
		from = i + 1
	}
	return append(dst, s[from:]...)
}

// unescape undoes the escapes of b in place and gives the shorter slice. ok is false at an undefined escape, with all before
// it undone and the rest lost. [STOMP12 §Value Encoding]
func unescape(b []byte) (out []byte, ok bool) {
	i := bytes.IndexByte(b, '\\')
	if i < 0 {
		return b, true
	}
	n := i
	for i < len(b) {
		c := b[i]
		i++
		if c == '\\' {
			if i == len(b) {
				return b[:n], false
			}
			if c = unescapeLetter(b[i]); c == 0 {
				return b[:n], false
			}
			i++
		}
		b[n] = c
		n++
	}
	return b[:n], true
}

// unescapeLetter gives what the letter after a backslash stands for, 0 for nothing.
func unescapeLetter(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r': // also in 1.1, which some clients escape so
		return '\r'
	case 'c':
		return ':'
	case '\\':
		return '\\'
	default:
		return 0
	}
}
