package stomp

import "fmt"

// quotedBytesMax is how much of a foreign command an error repeats.
const quotedBytesMax = 32

// printable repeats the beginning of what a peer sent, with a dot for each byte that is no printable ASCII.
func printable(b []byte) string {
	quoted := make([]byte, 0, quotedBytesMax+len("..."))
	for _, c := range b[:min(len(b), quotedBytesMax)] {
		if c < ' ' || c > '~' {
			c = '.'
		}
		quoted = append(quoted, c)
	}
	if len(b) > quotedBytesMax {
		quoted = append(quoted, "..."...)
	}
	return string(quoted)
}

// refuseCommand is the fault of a first line that is no command, or is too long for one. seen is all that has come.
func (r *Reader) refuseCommand(line, seen []byte) *ProtocolError {
	if !r.spoke {
		r.dialect = guessDialect(seen)
	}
	return NewProtocolError(CodeUnknownCommand, "unknown command",
		`"`+printable(line)+`" is no STOMP command. Commands are in capitals, and a frame begins right after the NUL of the one `+
			"before; a body that holds a NUL needs a content-length.")
}

func faultNotTerminated(c Command) *ProtocolError {
	return NewProtocolError(CodeMalformedFrame, "content-length does not fit the body",
		fmt.Sprintf("The byte after the body of %v, as its content-length counts it, is not NUL. "+
			"content-length counts the bytes of the body without the NUL.", c))
}

func faultContentLength() *ProtocolError {
	return NewProtocolError(CodeMalformedFrame, "content-length is not a number",
		"The value of content-length must be a decimal number of bytes, zero or more.")
}

func faultBodyTooLarge(c Command, limit int) *ProtocolError {
	return NewProtocolError(CodeBodyTooLarge, "body too large",
		fmt.Sprintf("The body of %v may have at most %d bytes here.", c, limit))
}

func faultHeaderTooLarge(limit int, what string) *ProtocolError {
	return NewProtocolError(CodeHeaderTooLarge, "headers too long",
		fmt.Sprintf("At most %d bytes are taken for %s.", limit, what))
}

func faultTooManyHeaders(limit int) *ProtocolError {
	return NewProtocolError(CodeTooManyHeaders, "too many headers",
		fmt.Sprintf("A frame may have at most %d headers here.", limit))
}

// faultHeaderLine does not repeat the line: it may hold a secret. colon is where its colon is, negative for nowhere.
func faultHeaderLine(number, colon int) *ProtocolError {
	fault := "has no colon"
	if colon == 0 {
		fault = "has no name before its colon"
	}
	return NewProtocolError(CodeMalformedHeader, "malformed header",
		fmt.Sprintf("Header line %d %s. Headers are name:value, one a line, and end with a blank line.", number, fault))
}

func faultNULInHead() *ProtocolError {
	return NewProtocolError(CodeMalformedHeader, "NUL among the headers",
		"The frame ends before its headers do: there must be a blank line between the headers and the body, also without a body.")
}

func faultEscape(number int, v Version) *ProtocolError {
	return NewProtocolError(CodeInvalidEscape, "undefined escape in a header",
		fmt.Sprintf(`Header line %d has a backslash that begins no escape of STOMP %v. Defined are \n, \r, \c and \\.`, number, v))
}
