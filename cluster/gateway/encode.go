package gateway

import (
	"strconv"
	"strings"

	"stampede/broker"
	"stampede/stomp"
)

// This file writes MESSAGE frames: a small head of the subscription's own and a tail shared by all subscribers, encoded
// once for each protocol version that is asked for.

// Epoch and group are in every position from the first day (several Raft groups come later).
const (
	epoch        = 1
	group        = 0
	messageIDTag = "1-0-"
)

// sharedBytesMin is the size of a body from which its tail is kept by reference in the outboxes, not copied.
const sharedBytesMin = 8 << 10

// scratchBytesMax is how large a reused tail buffer may stay.
const scratchBytesMax = 64 << 10

// encoder encodes one message at a time. Its buffers are reused: a tail that is not shared is valid until reset.
type encoder struct {
	message *broker.Message
	id      string // message-id of an unlogged message, else ""
	tails   [stomp.V12 + 1][]byte
	ready   [stomp.V12 + 1]bool
	kept    bool // outboxes may hold the tails by reference
	head    []byte
}

// reset makes the encoder ready for a message. id is the message-id of an unlogged one, "" otherwise.
func (e *encoder) reset(m *broker.Message, id string) {
	for v := range e.tails {
		if e.kept || len(e.tails[v]) > scratchBytesMax {
			e.tails[v] = nil
		}
	}
	e.message, e.id, e.kept, e.ready = m, id, false, [stomp.V12 + 1]bool{}
}

// tail gives what follows the head of the MESSAGE in the form of a version, and whether it may be kept by reference.
func (e *encoder) tail(v stomp.Version) (tail []byte, shared bool) {
	m := e.message
	shared = len(m.Body) >= sharedBytesMin
	if e.ready[v] {
		return e.tails[v], shared
	}
	buf := e.tails[v][:0]
	if shared {
		e.kept = true
		buf = make([]byte, 0, len(m.Headers)+len(m.Body)+len(m.Dest)+len(m.As)+192)
	}
	buf = append(buf, "message-id:"...)
	if e.id != "" {
		buf = append(buf, e.id...)
	} else {
		buf = append(buf, messageIDTag...)
		buf = strconv.AppendUint(buf, uint64(m.Seq), 10)
	}
	buf = append(buf, '\n')
	dest := m.Dest
	if m.As != "" {
		dest = m.As
	}
	buf = stomp.AppendHeader(buf, v, "destination", dest)
	buf = append(buf, "content-length:"...)
	buf = strconv.AppendInt(buf, int64(len(m.Body)), 10)
	buf = append(buf, "\ntimestamp:"...)
	buf = strconv.AppendInt(buf, int64(m.At), 10)
	if e.id == "" {
		buf = append(buf, "\nx-stream-offset:"...)
		buf = strconv.AppendUint(buf, uint64(m.Seq), 10)
	}
	buf = append(buf, '\n')
	if v == stomp.V12 {
		buf = append(buf, m.Headers...)
	} else {
		buf = stomp.TranscodeHeaders(buf, v, m.Headers)
	}
	buf = append(buf, '\n')
	buf = append(buf, m.Body...)
	buf = append(buf, 0)
	e.tails[v], e.ready[v] = buf, true
	return buf, shared
}

// messageHead is the constant beginning of a subscription's MESSAGE frames.
func messageHead(v stomp.Version, id string) []byte {
	return stomp.AppendHeader([]byte("MESSAGE\n"), v, "subscription", id)
}

// appendAck appends the ack header: the subscription's number and the delivery's tag name the delivery. An unlogged
// message has no tag of its own: its header names the delivery before it, and the number in its message-id.
func appendAck(dst []byte, sub, tag uint64, unloggedID string) []byte {
	dst = append(dst, "ack:"...)
	dst = strconv.AppendUint(dst, sub, 10)
	dst = append(dst, '-')
	dst = strconv.AppendUint(dst, tag, 10)
	if _, n, found := strings.Cut(unloggedID, "."); found {
		dst = append(dst, '.')
		dst = append(dst, n...)
	}
	return append(dst, '\n')
}

// parseAck reads what appendAck wrote.
func parseAck(id []byte) (sub, tag uint64, unlogged, ok bool) {
	left, right, found := strings.Cut(string(id), "-")
	if !found {
		return 0, 0, false, false
	}
	sub, err := strconv.ParseUint(left, 10, 64)
	if err != nil {
		return 0, 0, false, false
	}
	right, _, unlogged = strings.Cut(right, ".")
	tag, err = strconv.ParseUint(right, 10, 64)
	return sub, tag, unlogged, err == nil && (tag > 0 || unlogged)
}

// parseMessageID gives the offset in a message-id: epoch-group-offset, with .n behind it for an unlogged message.
func parseMessageID(id string) (seq broker.Seq, unlogged, ok bool) {
	rest, ok := strings.CutPrefix(id, messageIDTag)
	if !ok {
		return 0, false, false
	}
	rest, _, unlogged = strings.Cut(rest, ".")
	n, err := strconv.ParseUint(rest, 10, 63)
	return broker.Seq(n), unlogged, err == nil
}
