package stomp

import (
	"bytes"
	"strconv"
)

// AppendFrame appends f as it is on the wire in v: command, headers, body, NUL, and no EOL after it. VersionNone writes as
// 1.0 does. A frame with a body gets the `content-length` that it has; one among its headers that says otherwise is left out,
// because a wrong one would end the frame at the wrong place.
func AppendFrame(dst []byte, v Version, f *Frame) []byte {
	if !f.Command.escapes(v) {
		v = VersionNone
	}
	dst = append(dst, f.Command.String()...)
	dst = append(dst, '\n')
	lengthWritten := len(f.Body) == 0
	for i := range f.Headers {
		h := &f.Headers[i]
		if string(h.Name) == HeaderContentLength {
			if !saysLength(h.Value, len(f.Body)) {
				continue
			}
			lengthWritten = true
		}
		dst = AppendHeader(dst, v, h.Name, h.Value)
	}
	if !lengthWritten {
		dst = AppendHeaderInt(dst, HeaderContentLength, int64(len(f.Body)))
	}
	dst = append(dst, '\n')
	dst = append(dst, f.Body...)
	return append(dst, 0)
}

// AppendHeader appends one header line, "name:value\n", escaped as v asks: not at all in VersionNone and 1.0, where a CR or
// LF (and a colon in a name) becomes a space because nothing else can be said; else as 1.2 escapes. Headers of CONNECT and
// CONNECTED are written with VersionNone.
func AppendHeader[N, T bytestring](dst []byte, v Version, name N, value T) []byte {
	nameTable, valueTable := &plainName, &plainValue
	if v >= V11 {
		nameTable, valueTable = &escaped, &escaped
	}
	dst = appendEscaped(dst, name, nameTable)
	dst = append(dst, ':')
	dst = appendEscaped(dst, value, valueTable)
	return append(dst, '\n')
}

// AppendHeaderBytes is AppendHeader for slices.
func AppendHeaderBytes(dst []byte, v Version, name, value []byte) []byte {
	return AppendHeader(dst, v, name, value)
}

// AppendHeaderInt appends one header line whose value is a number. The name must need no escape.
func AppendHeaderInt(dst []byte, name string, value int64) []byte {
	dst = append(dst, name...)
	dst = append(dst, ':')
	dst = strconv.AppendInt(dst, value, 10)
	return append(dst, '\n')
}

// TranscodeHeaders appends header lines that are in the wire form of 1.2 (each as AppendHeader writes it) in that of v.
// In 1.1 and 1.2, and in every version when nothing is escaped, that is a copy.
func TranscodeHeaders(dst []byte, v Version, encoded12 []byte) []byte {
	if v >= V11 || bytes.IndexByte(encoded12, '\\') < 0 {
		return append(dst, encoded12...)
	}
	inName := true
	for i := 0; i < len(encoded12); i++ {
		c := encoded12[i]
		switch c {
		case ':':
			inName = false
		case '\n':
			inName = true
		case '\\':
			if i+1 == len(encoded12) {
				return append(dst, c)
			}
			if plain := unescapeLetter(encoded12[i+1]); plain != 0 {
				c = withoutEscape(plain, inName)
				i++
			}
		}
		dst = append(dst, c)
	}
	return dst
}

// withoutEscape gives what 1.0 has for a byte that 1.2 escapes.
func withoutEscape(c byte, inName bool) byte {
	t := &plainValue
	if inName {
		t = &plainName
	}
	if t[c] != 0 {
		return t[c]
	}
	return c
}

// saysLength tells whether value is n in decimal.
func saysLength(value []byte, n int) bool {
	var digits [20]byte
	return bytes.Equal(value, strconv.AppendInt(digits[:0], int64(n), 10))
}
