package stomp

import "math"

// Limits bounds what a Reader takes. Each fault names the code of the ProtocolError that ends the stream.
type Limits struct {
	HeaderLineBytesMax int // one header line without its end; past it header-too-large
	HeadersMax         int // header entries in a frame; past it too-many-headers
	HeaderBytesMax     int // command line and header lines together, with their ends; past it header-too-large
	BodyBytesMax       int // the body of a SEND, MESSAGE or ERROR; past it body-too-large, for an announced length before any of it is read
}

const (
	defaultHeaderLineBytesMax = 64 << 10  // the longest JWT in use is a fifth of it
	defaultHeadersMax         = 200       // clients send under 20
	defaultHeaderBytesMax     = 128 << 10 // two of the longest lines
	defaultBodyBytesMax       = 1 << 20   // the broker's default for clients that are no service accounts

	// strayBodyBytesMax bounds the body of a frame that should have none. It is read and dropped; past it body-too-large.
	strayBodyBytesMax = 4 << 10
)

// DefaultLimits gives 64 KiB a header line, 200 headers, 128 KiB of headers and 1 MiB of body.
func DefaultLimits() Limits {
	return Limits{
		HeaderLineBytesMax: defaultHeaderLineBytesMax,
		HeadersMax:         defaultHeadersMax,
		HeaderBytesMax:     defaultHeaderBytesMax,
		BodyBytesMax:       defaultBodyBytesMax,
	}
}

// orDefault fills in the default for each field that is zero or less, and keeps header offsets within 31 bits and the sum of
// head and body far from overflow.
func (l Limits) orDefault() Limits {
	fill := func(field *int, value int) {
		if *field <= 0 {
			*field = value
		}
	}
	fill(&l.HeaderLineBytesMax, defaultHeaderLineBytesMax)
	fill(&l.HeadersMax, defaultHeadersMax)
	fill(&l.HeaderBytesMax, defaultHeaderBytesMax)
	fill(&l.BodyBytesMax, defaultBodyBytesMax)
	l.HeaderBytesMax = min(l.HeaderBytesMax, math.MaxInt32)
	l.HeaderLineBytesMax = min(l.HeaderLineBytesMax, math.MaxInt32)
	l.BodyBytesMax = min(l.BodyBytesMax, math.MaxInt/4)
	return l
}

// bodyBytesMax gives the limit of the body of a frame with that command.
func (l Limits) bodyBytesMax(c Command) int {
	if c.mayHaveBody() {
		return l.BodyBytesMax
	}
	return min(l.BodyBytesMax, strayBodyBytesMax)
}
