package stomp

import (
	"bytes"
	"io"
	"slices"
)

// marksKeptMin is the room for marks that a Reader begins with: more headers than everyday frames have.
const marksKeptMin = 8

// A stage is how far a Reader has come in the frame that begins at start.
type stage uint8

const (
	stageBetween stage = iota // nothing of a frame was seen
	stageHead                 // in the command line or the header lines
	stageBody                 // the blank line was seen
)

// Reader reads whole frames from a stream that comes in pieces of any size.
//
// Memory: an idle Reader has a buffer of 512 bytes. A read that fills it makes the Reader take a pooled one of 32 KiB, which
// it gives back before it waits for its source with nothing unread. A frame that needs more makes the buffer double whenever
// it is full. No frame allocates once the buffers are there.
//
// It is not safe for concurrent use.
type Reader struct {
	src     io.Reader
	limits  Limits
	version Version

	buf        []byte  // small, or *block
	block      *[]byte // nil while the small buffer does
	start, end int     // what is unread in buf; while in a frame, start is its first byte

	// The frame that begins at start. All offsets count from there, so that the buffer may move.
	stage         stage
	command       Command
	scan          int    // where the search for the next LF or NUL goes on
	line          int    // where the current line begins
	headBytes     int    // where the body begins
	contentLength int    // -1 for none
	marks         []mark // the header lines

	frame     Frame // the one that was given last
	headers   []Header
	sourceErr error          // came with the last bytes, still to be told
	fault     *ProtocolError // given for ever
	dialect   Dialect
	spoke     bool // a frame was read
	small     [smallBytes]byte
}

// NewReader makes a Reader of src. A field of l that is zero or less gets its default.
func NewReader(src io.Reader, l Limits) *Reader {
	r := &Reader{src: src, limits: l.orDefault(), contentLength: -1, marks: make([]mark, 0, marksKeptMin)}
	r.buf = r.small[:]
	return r
}

// SetVersion sets the version for the frames to come. In VersionNone, which a Reader begins with, and in 1.0 no header is
// unescaped; in the others all are but those of CONNECT, STOMP and CONNECTED.
func (r *Reader) SetVersion(v Version) { r.version = v }

// SetLimits sets the limits for the frames to come. A field that is zero or less gets its default.
func (r *Reader) SetLimits(l Limits) { r.limits = l.orDefault() }

// Buffered counts the bytes that were read from the source and are not consumed. They may be a part of a frame, or EOLs, so
// that a ReadFrame may wait although it is not zero: what must be done before a wait is done in the source's Read.
func (r *Reader) Buffered() int { return r.end - r.start }

// ReadFrame gives the next frame. The frame and all its slices are valid until the next ReadFrame. EOLs between frames are
// skipped. A body on a frame that should have none is dropped.
//
// The error is io.EOF at an end between frames, io.ErrUnexpectedEOF at one inside a frame, a *ProtocolError at a fault, which
// ends the stream, and any other error of the source as it is, after which ReadFrame may be called again.
func (r *Reader) ReadFrame() (*Frame, error) {
	if r.fault != nil {
		return nil, r.fault
	}
	for {
		complete, fault := r.advance()
		if fault != nil {
			r.refuse(fault)
			return nil, fault
		}
		if complete {
			return &r.frame, nil
		}
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// advance goes as far as the unread bytes allow.
func (r *Reader) advance() (complete bool, fault *ProtocolError) {
	if r.stage == stageBetween && !r.beginFrame() {
		return false, nil
	}
	unread := r.buf[r.start:r.end]
	if r.stage == stageHead {
		complete, fault = r.scanHead(unread)
		if !complete || fault != nil {
			return false, fault
		}
		if fault = r.endHead(unread); fault != nil {
			return false, fault
		}
	}
	bodyEnd, fault := r.scanBody(unread)
	if bodyEnd < 0 || fault != nil {
		return false, fault
	}
	r.endFrame(unread, bodyEnd)
	return true, nil
}

// beginFrame skips the EOLs before a frame, which are heart-beats or follow a NUL. It is false when there is nothing else.
// [STOMP12 §STOMP Frames]
func (r *Reader) beginFrame() bool {
	i, b := r.start, r.buf[:r.end]
	for i < len(b) && (b[i] == '\n' || b[i] == '\r') {
		i++
	}
	r.start = i
	if i == len(b) {
		return false
	}
	r.stage, r.command = stageHead, CommandNone
	r.scan, r.line, r.headBytes, r.contentLength = 0, 0, 0, -1
	r.marks = r.marks[:0]
	return true
}

// scanBody finds the NUL that ends the frame, or gives -1 when more bytes are needed. [STOMP12 §Standard Headers]
func (r *Reader) scanBody(b []byte) (end int, fault *ProtocolError) {
	if r.contentLength >= 0 {
		end = r.headBytes + r.contentLength
		if end >= len(b) {
			return -1, nil
		}
		if b[end] != 0 {
			return -1, faultNotTerminated(r.command)
		}
		return end, nil
	}
	end = -1
	length := len(b) - r.headBytes
	if i := bytes.IndexByte(b[r.scan:], 0); i >= 0 {
		end = r.scan + i
		length = end - r.headBytes
	}
	if limit := r.limits.bodyBytesMax(r.command); length > limit {
		return -1, faultBodyTooLarge(r.command, limit)
	}
	r.scan = len(b)
	return end, nil
}

// endFrame makes the frame of the marks and of the body, which ends at bodyEnd, and consumes it.
func (r *Reader) endFrame(b []byte, bodyEnd int) {
	headers := slices.Grow(r.headers[:0], len(r.marks))
	for i := range r.marks {
		m := &r.marks[i]
		headers = append(headers, Header{
			Name:  b[m.name:m.nameEnd:m.nameEnd],
			Value: b[m.value:m.valueEnd:m.valueEnd],
		})
	}
	r.headers = headers
	r.frame = Frame{Command: r.command, Headers: headers}
	if bodyEnd > r.headBytes && r.command.mayHaveBody() {
		r.frame.Body = b[r.headBytes:bodyEnd:bodyEnd]
	}
	r.start += bodyEnd + 1
	r.stage = stageBetween
	r.spoke = true
}

// refuse ends the stream: what follows a fault cannot be told apart any more.
func (r *Reader) refuse(fault *ProtocolError) {
	r.fault = fault
	r.start, r.end = 0, 0
	r.releaseBlock()
}
