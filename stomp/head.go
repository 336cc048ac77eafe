package stomp

import (
	"bytes"
	"math"
)

// A mark is one header line: where its name and its value lie, counted from the frame's first byte. Limits keeps heads within
// 31 bits.
type mark struct{ name, nameEnd, value, valueEnd int32 }

// scanHead takes lines from where it stopped until the blank one. complete is false when more bytes are needed. It is the
// hottest loop of the package: each byte is searched once for an LF and once, up to the first, for a colon.
func (r *Reader) scanHead(b []byte) (complete bool, fault *ProtocolError) {
	for {
		i := bytes.IndexByte(b[r.scan:], '\n')
		if i < 0 {
			return false, r.checkOpenLine(b)
		}
		end := r.scan + i
		r.scan = end + 1
		if end > r.line && b[end-1] == '\r' { // [STOMP12 §STOMP Frames] EOL is LF or CR LF
			end--
		}
		switch {
		case r.line == 0:
			if r.command = parseCommand(b[:end]); r.command == CommandNone {
				return false, r.refuseCommand(b[:end], b)
			}
		case b[r.line] == 0:
			return false, faultNULInHead()
		case r.scan > r.limits.HeaderBytesMax:
			return false, faultHeaderTooLarge(r.limits.HeaderBytesMax, "the headers together")
		case end == r.line:
			return true, nil
		default:
			if fault = r.takeHeader(b, r.line, end); fault != nil {
				return false, fault
			}
		}
		r.line = r.scan
	}
}

// takeHeader marks the header line b[from:end].
func (r *Reader) takeHeader(b []byte, from, end int) *ProtocolError {
	if end-from > r.limits.HeaderLineBytesMax {
		return faultHeaderTooLarge(r.limits.HeaderLineBytesMax, "one header line")
	}
	if len(r.marks) >= r.limits.HeadersMax {
		return faultTooManyHeaders(r.limits.HeadersMax)
	}
	colon := bytes.IndexByte(b[from:end], ':')
	if colon <= 0 {
		return faultHeaderLine(len(r.marks)+1, colon)
	}
	colon += from
	r.marks = append(r.marks, mark{int32(from), int32(colon), int32(colon + 1), int32(end)})
	if r.contentLength < 0 && string(b[from:colon]) == HeaderContentLength {
		length, ok := parseContentLength(b[colon+1 : end])
		if !ok {
			return faultContentLength()
		}
		r.contentLength = length
	}
	return nil
}

// checkOpenLine bounds a head whose current line has not ended, and remembers how far it was searched. Its faults are those
// that scanHead would find at the end of the line, so that the size of the pieces changes nothing. A NUL where a line begins
// is told at once, because who forgot the blank line waits for an answer.
func (r *Reader) checkOpenLine(b []byte) *ProtocolError {
	fresh := b[r.scan:]
	r.scan = len(b)
	switch {
	case r.line == 0:
		if len(b) > commandLineBytesMax || bytes.IndexByte(fresh, 0) >= 0 {
			return r.refuseCommand(b, b)
		}
	case r.line < len(b) && b[r.line] == 0:
		return faultNULInHead()
	case len(b)-r.line > r.limits.HeaderLineBytesMax+1: // the last may be the CR of its end
		return faultHeaderTooLarge(r.limits.HeaderLineBytesMax, "one header line")
	case len(b) > r.limits.HeaderBytesMax:
		return faultHeaderTooLarge(r.limits.HeaderBytesMax, "the headers together")
	}
	return nil
}

// endHead is called once a frame, at the blank line, with all of the head in b: it undoes the escapes in place and checks
// the announced length before any of the body is waited for.
func (r *Reader) endHead(b []byte) *ProtocolError {
	r.stage, r.headBytes = stageBody, r.scan
	head := b[:r.scan]
	if bytes.IndexByte(head, 0) >= 0 {
		return faultNULInHead()
	}
	if r.command.escapes(r.version) && bytes.IndexByte(head, '\\') >= 0 {
		if fault := r.unescapeHead(b); fault != nil {
			return fault
		}
	}
	if limit := r.limits.bodyBytesMax(r.command); r.contentLength > limit {
		return faultBodyTooLarge(r.command, limit)
	}
	return nil
}

// unescapeHead undoes the escapes of all names and values in place.
func (r *Reader) unescapeHead(b []byte) *ProtocolError {
	for i := range r.marks {
		m := &r.marks[i]
		name, nameOK := unescape(b[m.name:m.nameEnd])
		value, valueOK := unescape(b[m.value:m.valueEnd])
		if !nameOK || !valueOK {
			return faultEscape(i+1, r.version)
		}
		m.nameEnd = m.name + int32(len(name))
		m.valueEnd = m.value + int32(len(value))
	}
	return nil
}

// parseContentLength reads the value of `content-length`; spaces around it are forgiven.
func parseContentLength(value []byte) (n int, ok bool) {
	if n, ok = parseDigits(value); ok {
		return n, true
	}
	return parseDigits(bytes.Trim(value, " \t"))
}

// parseDigits reads a decimal number. One that does not fit gives the largest, which no limit allows.
func parseDigits(b []byte) (n int, ok bool) {
	for _, c := range b {
		digit := c - '0'
		if digit > 9 {
			return 0, false
		}
		if n > (math.MaxInt-9)/10 {
			n = math.MaxInt
			continue
		}
		n = n*10 + int(digit)
	}
	return n, len(b) > 0
}
