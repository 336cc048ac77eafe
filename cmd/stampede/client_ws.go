package main

// client_ws.go: a WebSocket as a net.Conn that carries STOMP bytes. gorilla/websocket shakes hands; the frames are
// ours, so that reading costs no copy but the shift over the frame headers, and prepared frames can be written in batches.

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA

	finBit  = 0x80
	maskBit = 0x80

	// controlBytesMax is RFC 6455's bound for ping, pong and close; a longer one ends the connection.
	controlBytesMax = 125
	// handshakeBytesMax bounds the broker's answer to the upgrade; a longer one fails it.
	handshakeBytesMax = 64 << 10
)

// wsConn is a client's WebSocket after the handshake. Read gives the payload of data frames, each Write is one message.
// One goroutine may read while others write.
type wsConn struct {
	net.Conn
	reader  wsReader
	mu      sync.Mutex // guards writes and scratch
	scratch []byte
}

// upgradeWebSocket shakes hands over conn, which stays the caller's to close when it fails.
func upgradeWebSocket(ctx context.Context, conn net.Conn, e endpoint) (*wsConn, error) {
	hello := &handshakeConn{Conn: conn}
	give := func(context.Context, string, string) (net.Conn, error) { return hello, nil }
	dialer := websocket.Dialer{
		NetDialContext: give, NetDialTLSContext: give, Subprotocols: []string{"v12.stomp"},
		HandshakeTimeout: dialTimeout, ReadBufferSize: 1024, WriteBufferSize: 1024,
	}
	_, response, err := dialer.DialContext(ctx, e.url, nil)
	if err != nil {
		if response != nil {
			return nil, fmt.Errorf("the broker refused the WebSocket with HTTP %s", response.Status)
		}
		return nil, err
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	w := &wsConn{Conn: conn}
	w.reader = wsReader{src: conn, control: w.answerControl}
	if len(hello.rest) > 0 { // what came right behind the handshake
		w.reader.src = &firstThen{first: hello.rest, then: conn}
	}
	return w, nil
}

func (w *wsConn) Read(p []byte) (int, error) { return w.reader.Read(p) }

// Write sends p as one message.
func (w *wsConn) Write(p []byte) (int, error) {
	if err := w.writeMessage(dataOpcode(p), p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// writePrepared sends bytes that are WebSocket frames already.
func (w *wsConn) writePrepared(p []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.Conn.Write(p)
	return err
}

func (w *wsConn) writeMessage(opcode byte, p []byte) error {
	mask := newMask()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.scratch = appendMaskedFrame(w.scratch[:0], opcode, p, mask)
	_, err := w.Conn.Write(w.scratch)
	return err
}

// appendMessage appends p as one message of the kind that Write would choose.
func appendMessage(dst, p []byte) []byte {
	return appendMaskedFrame(dst, dataOpcode(p), p, newMask())
}

// dataOpcode prefers text, because some brokers take nothing else.
func dataOpcode(p []byte) byte {
	if utf8.Valid(p) {
		return opText
	}
	return opBinary
}

func newMask() (mask [4]byte) {
	_, _ = rand.Read(mask[:]) // never fails
	return mask
}

// answerControl does a client's duties of RFC 6455 5.5. It is called on the reading goroutine.
func (w *wsConn) answerControl(opcode byte, payload []byte) error {
	switch opcode {
	case opPing:
		return w.writeMessage(opPong, payload)
	case opClose:
		_ = w.writeMessage(opClose, payload[:min(len(payload), 2)]) // a courtesy: the broker is going anyway
		return closeReason(payload)
	}
	return nil
}

func closeReason(payload []byte) error {
	if len(payload) < 2 {
		return io.EOF
	}
	code := binary.BigEndian.Uint16(payload)
	if code == websocket.CloseNormalClosure {
		return io.EOF
	}
	return fmt.Errorf("the broker closed the WebSocket with %d %s", code, payload[2:])
}

// appendMaskedFrame appends one whole client frame.
func appendMaskedFrame(dst []byte, opcode byte, payload []byte, mask [4]byte) []byte {
	dst = appendFrameHeader(dst, opcode, len(payload), maskBit)
	dst = append(dst, mask[:]...)
	start := len(dst)
	dst = append(dst, payload...)
	for i := range payload {
		dst[start+i] ^= mask[i&3]
	}
	return dst
}

// appendFrameHeader appends the header of a frame that is a message of its own, without the mask.
func appendFrameHeader(dst []byte, opcode byte, payloadBytes int, mask byte) []byte {
	dst = append(dst, finBit|opcode)
	switch {
	case payloadBytes <= 125:
		return append(dst, mask|byte(payloadBytes))
	case payloadBytes <= 0xFFFF:
		dst = append(dst, mask|126)
		return binary.BigEndian.AppendUint16(dst, uint16(payloadBytes))
	default:
		dst = append(dst, mask|127)
		return binary.BigEndian.AppendUint64(dst, uint64(payloadBytes))
	}
}

// wsReader takes the payload of data frames out of a stream of a server's WebSocket frames, in the caller's buffer.
type wsReader struct {
	src     io.Reader
	control func(opcode byte, payload []byte) error // called for ping, pong and close

	opcode    byte
	left      uint64 // payload bytes of the current frame still to come
	head      [10]byte
	headBytes int
	collected []byte // payload of the current control frame
}

func (r *wsReader) Read(p []byte) (int, error) {
	for {
		n, err := r.src.Read(p)
		kept, fault := r.strip(p[:n])
		if fault != nil {
			err = fault
		}
		if kept > 0 || err != nil || len(p) == 0 {
			return kept, err
		}
	}
}

// strip moves the payload bytes of b to its front and returns their number.
func (r *wsReader) strip(b []byte) (int, error) {
	kept, at := 0, 0
	for at < len(b) {
		if r.left == 0 {
			used, whole, err := r.takeHead(b[at:])
			at += used
			if err != nil {
				return kept, err
			}
			if !whole || r.left > 0 || r.opcode < opClose {
				continue
			}
		}
		k := int(min(r.left, uint64(len(b)-at)))
		if r.opcode < opClose {
			if kept != at {
				copy(b[kept:], b[at:at+k])
			}
			kept += k
		} else {
			r.collected = append(r.collected, b[at:at+k]...)
		}
		at += k
		r.left -= uint64(k)
		if r.left == 0 && r.opcode >= opClose {
			if err := r.control(r.opcode, r.collected); err != nil {
				return kept, err
			}
		}
	}
	return kept, nil
}

// takeHead collects a frame header, which may come in pieces. whole says that it is complete: opcode and left are set.
func (r *wsReader) takeHead(b []byte) (used int, whole bool, err error) {
	if r.headBytes == 0 && len(b) >= 2 && len(b) >= headSize(b[1]) { // in one piece, as nearly always
		used = copy(r.head[:headSize(b[1])], b)
		return used, true, r.startFrame()
	}
	for used < len(b) {
		r.head[r.headBytes] = b[used]
		r.headBytes++
		used++
		if r.headBytes < 2 || r.headBytes < headSize(r.head[1]) {
			continue
		}
		r.headBytes = 0
		return used, true, r.startFrame()
	}
	return used, false, nil
}

func headSize(second byte) int {
	switch second & 0x7F {
	case 126:
		return 4
	case 127:
		return 10
	default:
		return 2
	}
}

func (r *wsReader) startFrame() error {
	r.opcode = r.head[0] & 0x0F
	r.collected = r.collected[:0]
	switch r.left = uint64(r.head[1] & 0x7F); r.left {
	case 126:
		r.left = uint64(binary.BigEndian.Uint16(r.head[2:]))
	case 127:
		r.left = binary.BigEndian.Uint64(r.head[2:])
	}
	switch {
	case r.head[1]&maskBit != 0:
		return errors.New("the broker sent a masked WebSocket frame")
	case r.head[0]&0x70 != 0:
		return errors.New("the broker sent a WebSocket frame with an extension that was not agreed on")
	case r.opcode > opBinary && (r.opcode < opClose || r.opcode > opPong):
		return fmt.Errorf("the broker sent a WebSocket frame with opcode %d", r.opcode)
	case r.opcode >= opClose && r.left > controlBytesMax:
		return fmt.Errorf("the broker sent a WebSocket control frame of %d bytes", r.left)
	}
	return nil
}

// handshakeConn lets an HTTP client read the response's head only; what comes behind it is kept in rest.
type handshakeConn struct {
	net.Conn
	head []byte // read, not given yet
	rest []byte
	seen []byte // all read so far, until the end of the head
	done bool
}

func (h *handshakeConn) Read(p []byte) (int, error) {
	if len(h.head) == 0 {
		if err := h.fill(len(p)); err != nil {
			return 0, err
		}
	}
	n := copy(p, h.head)
	h.head = h.head[n:]
	return n, nil
}

func (h *handshakeConn) fill(size int) error {
	if h.done {
		return io.EOF // nothing of the response is left, and what follows is not HTTP
	}
	b := make([]byte, size)
	n, err := h.Conn.Read(b)
	if n == 0 {
		return err
	}
	before := len(h.seen)
	h.seen = append(h.seen, b[:n]...)
	end := bytes.Index(h.seen, []byte("\r\n\r\n"))
	if end < 0 {
		if len(h.seen) > handshakeBytesMax {
			return errors.New("the broker's answer to the WebSocket upgrade does not end")
		}
		h.head = b[:n]
		return nil
	}
	h.head, h.rest = b[:end+4-before], b[end+4-before:n]
	h.done, h.seen = true, nil
	return nil
}

// firstThen reads what came early, then the rest.
type firstThen struct {
	first []byte
	then  io.Reader
}

func (f *firstThen) Read(p []byte) (int, error) {
	if len(f.first) > 0 {
		n := copy(p, f.first)
		f.first = f.first[n:]
		return n, nil
	}
	return f.then.Read(p)
}
