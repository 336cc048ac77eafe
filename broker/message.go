package broker

import "errors"

// This file holds the message and the form in which it is stored.

// Kind is a kind of destination.
type Kind uint8

// The kinds of destinations.
const (
	KindTopic Kind = iota + 1
	KindQueue
	KindUser
	KindExclusive // a queue of one session
)

// String returns topic, queue, user or exclusive.
func (k Kind) String() string {
	switch k {
	case KindTopic:
		return "topic"
	case KindQueue:
		return "queue"
	case KindUser:
		return "user"
	case KindExclusive:
		return "exclusive"
	}
	return "invalid"
}

// Message is what a client sent. It must not be changed after Apply stamped it: many goroutines read it.
type Message struct {
	Seq       Seq
	At        Instant
	Kind      Kind
	Dest      string // canonical: /topic/x, /queue/x, /user/<user>/queue/x
	As        string // as the sender wrote it when that differs from Dest, else ""
	User      string // KindUser: the addressee
	Node      NodeID // the sender's node, from the origin
	Session   uint64 // the sender's session on that node; 0 none
	ExpiresAt Instant
	Headers   []byte // opaque to the fold: header lines in STOMP 1.2 wire form
	Body      []byte
	Text      bool // headers and body are valid UTF-8
}

// Size returns the bytes of headers and body, which is what budgets count.
func (m *Message) Size() int { return len(m.Headers) + len(m.Body) }

// ErrBadMessage says that bytes are not a stored message.
var ErrBadMessage = errors.New("bytes are not a stored message")

// The first byte of a stored message.
const messageFormat1 = 1

// The flags of a message, in facts and in storage.
const (
	messageText    = 1 << iota
	messageHasAs   // As follows
	messageHasUser // User follows
	messageExpires // ExpiresAt follows
	messageFlags   = messageText | messageHasAs | messageHasUser | messageExpires
)

// AppendMessage appends the stored form of a stamped message.
func AppendMessage(dst []byte, m *Message) []byte {
	dst = append(dst, messageFormat1)
	dst = appendUvarint(dst, uint64(m.Seq))
	dst = appendVarint(dst, int64(m.At))
	dst = append(dst, m.Node[:]...)
	return appendMessageFields(dst, m)
}

// appendMessageFields appends what a stored message and a MessageSent have in common.
func appendMessageFields(dst []byte, m *Message) []byte {
	var flags byte
	if m.Text {
		flags |= messageText
	}
	if m.As != "" {
		flags |= messageHasAs
	}
	if m.User != "" {
		flags |= messageHasUser
	}
	if m.ExpiresAt != 0 {
		flags |= messageExpires
	}
	dst = append(dst, flags, byte(m.Kind))
	dst = appendUvarint(dst, m.Session)
	if flags&messageExpires != 0 {
		dst = appendVarint(dst, int64(m.ExpiresAt))
	}
	dst = appendString(dst, m.Dest)
	if flags&messageHasAs != 0 {
		dst = appendString(dst, m.As)
	}
	if flags&messageHasUser != 0 {
		dst = appendString(dst, m.User)
	}
	dst = appendBytes(dst, m.Headers)
	return appendBytes(dst, m.Body)
}

// DecodeMessage reads a whole stored message. Headers and Body point into b; its strings are copies.
// A Decoder's Message does the same and shares strings that come again and again.
func DecodeMessage(b []byte) (*Message, error) {
	var d Decoder
	return d.Message(b)
}

// Message reads a whole stored message. Headers and Body point into b.
func (d *Decoder) Message(b []byte) (*Message, error) {
	r := reader{b: b}
	if r.byte() != messageFormat1 {
		return nil, ErrBadMessage
	}
	m := &Message{}
	m.Seq = Seq(r.uvarint())
	m.At = Instant(r.varint())
	copy(m.Node[:], r.take(len(m.Node)))
	d.messageFields(&r, m)
	if r.bad || r.off != len(b) {
		return nil, ErrBadMessage
	}
	return m, nil
}

// messageFields reads what a stored message and a MessageSent have in common.
func (d *Decoder) messageFields(r *reader, m *Message) {
	flags := r.byte()
	m.Kind = Kind(r.byte())
	if flags&^messageFlags != 0 || m.Kind < KindTopic || m.Kind > KindExclusive {
		r.bad = true
		return
	}
	m.Text = flags&messageText != 0
	m.Session = r.uvarint()
	if flags&messageExpires != 0 {
		m.ExpiresAt = Instant(r.varint())
	}
	m.Dest = d.intern(r.bytes())
	if flags&messageHasAs != 0 {
		m.As = d.intern(r.bytes())
	}
	if flags&messageHasUser != 0 {
		m.User = d.intern(r.bytes())
	}
	m.Headers = r.bytes()
	m.Body = r.bytes()
	// A flag for what is empty would be a second form of the same message.
	if (m.ExpiresAt != 0) != (flags&messageExpires != 0) || (m.As != "") != (flags&messageHasAs != 0) || (m.User != "") != (flags&messageHasUser != 0) {
		r.bad = true
	}
}
