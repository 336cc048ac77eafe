package stomp

import "bytes"

// Dialect is what a peer speaks that does not speak STOMP.
type Dialect uint8

// The dialects that are told apart.
const (
	DialectUnknown Dialect = iota
	DialectHTTP            // a request line of HTTP/1, or the preface of HTTP/2
	DialectTLS             // a ClientHello, on a port without TLS
)

// String gives the dialect as people call it.
func (d Dialect) String() string {
	switch d {
	case DialectHTTP:
		return "HTTP"
	case DialectTLS:
		return "TLS"
	default:
		return "unknown"
	}
}

// Dialect guesses what the peer speaks, after ReadFrame gave unknown-command for the very first frame of the stream. In all
// other cases it is DialectUnknown.
func (r *Reader) Dialect() Dialect { return r.dialect }

const (
	tlsHandshake    = 0x16 // the content type of a ClientHello's record
	tlsMajorVersion = 0x03 // of every version since SSL 3
)

var httpMethods = [...]string{"GET ", "POST ", "HEAD ", "PUT ", "OPTIONS ", "CONNECT ", "DELETE ", "PATCH ", "TRACE ", "PRI "}

// guessDialect looks at the first bytes of a stream.
func guessDialect(b []byte) Dialect {
	if len(b) >= 2 && b[0] == tlsHandshake && b[1] == tlsMajorVersion {
		return DialectTLS
	}
	for _, method := range httpMethods {
		if bytes.HasPrefix(b, []byte(method)) {
			return DialectHTTP
		}
	}
	return DialectUnknown
}
