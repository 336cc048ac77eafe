package server

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"

	"github.com/gorilla/websocket"
)

// This file carries sessions over WebSocket: the handshake and the reading are the library's, the writing is the outbox's.

const (
	wsFrameBytesMax     = 64<<10 - 16 // payload of one frame; balancers limit it (RFC 6455 section 5.4 allows to fragment)
	wsReadBytes         = 128         // the library's own buffer: a socket that is busy is read in larger blocks (socket.go)
	wsCompressBytesMin  = 512         // a smaller message is not worth compressing
	wsOpContinuation    = 0x0
	wsOpText            = 0x1
	wsOpBinary          = 0x2
	wsOpClose           = 0x8
	wsOpPing            = 0x9
	wsOpPong            = 0xA
	wsFinal             = 0x80
	wsCompressed        = 0x40
	closeNormal         = uint32(websocket.CloseNormalClosure)
	closeProtocolError  = uint32(websocket.CloseProtocolError)
	closeServiceRestart = uint32(websocket.CloseServiceRestart)
)

// webSocket is what a session over WebSocket has more than one over TCP.
type webSocket struct {
	conn      *websocket.Conn
	message   io.Reader  // the WebSocket message being read
	failure   error      // that ended the reading
	closed    bool       // a close frame is in the outbox; guarded by the outbox
	deflaters *sync.Pool // of *deflater; nil: no compression
}

// ServeHTTP is the WebSocket endpoint.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !websocket.IsWebSocketUpgrade(r) {
		w.Header().Set("Upgrade", "websocket")
		http.Error(w, "This is a WebSocket endpoint for STOMP (subprotocols v12.stomp, v11.stomp, v10.stomp).", http.StatusUpgradeRequired)
		return
	}
	if !s.allowedOrigin(r) {
		s.stats.OriginsRefused.Add(1)
		s.logger.Warn("handshake from a foreign origin refused", "origin", r.Header.Get("Origin"), "address", r.RemoteAddr)
		http.Error(w, "origin not allowed", http.StatusForbidden)
		return
	}
	if !s.reserve() {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many connections, or the node drains", http.StatusServiceUnavailable)
		return
	}
	h := &hijacker{ResponseWriter: w, blocks: &s.blocks}
	conn, err := s.upgrader.Upgrade(h, r, http.Header{"Set-Cookie": {s.cookie(r)}})
	if err != nil {
		s.release()
		s.logger.Debug("handshake failed", "address", r.RemoteAddr, "error", err)
		return
	}
	ws := &webSocket{conn: conn}
	if s.config.WSCompression && strings.Contains(r.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate") {
		ws.deflaters = &s.pools.deflaters
	}
	session := s.newSession(h.socket.Conn, r.TLS != nil)
	session.webSocket = ws
	session.header = r.Header
	h.socket.session = session
	session.reader = newReader(ws)
	conn.SetPingHandler(func(data string) error { session.pong(data); return nil })
	conn.SetPongHandler(nil)
	conn.SetCloseHandler(func(int, string) error { return nil })
	s.start(session)
}

// hijacker gives the WebSocket library a connection that reads in larger pieces while there is traffic.
type hijacker struct {
	http.ResponseWriter
	blocks *sync.Pool
	socket *socket
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	hj, ok := h.ResponseWriter.(http.Hijacker)
	if !ok {
		return nil, nil, errors.New("the HTTP server cannot give the connection away")
	}
	conn, rw, err := hj.Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.socket = &socket{Conn: conn, pool: h.blocks}
	return h.socket, rw, nil
}

// cookie is the one that a balancer can use for stickiness.
func (s *Server) cookie(r *http.Request) string {
	https := r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") // the balancer ends TLS
	c := http.Cookie{Name: "WEBSOCKET_SESSION", Value: rand.Text(), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: https}
	return c.String()
}

// allowedOrigin tells whether a handshake may come from its origin. One without an Origin is no browser's.
func (s *Server) allowedOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	if u, err := url.Parse(origin); err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host) {
		return true
	}
	for _, allowed := range s.config.AllowedOrigins {
		if allowed == "*" || strings.EqualFold(allowed, origin) {
			return true
		}
		if ok, err := path.Match(strings.ToLower(allowed), strings.ToLower(origin)); err == nil && ok {
			return true
		}
	}
	return false
}

// Read implements io.Reader over the messages: STOMP frames may be split over them or joined in them.
func (w *webSocket) Read(p []byte) (int, error) {
	for {
		if w.message == nil {
			_, r, err := w.conn.NextReader()
			if err != nil {
				w.failure = err
				return 0, readError(err)
			}
			w.message = r
		}
		n, err := w.message.Read(p)
		if errors.Is(err, io.EOF) {
			w.message, err = nil, nil
			if n == 0 {
				continue
			}
		}
		if err != nil {
			w.failure = err
			err = readError(err)
		}
		return n, err
	}
}

func readError(err error) error {
	var closed *websocket.CloseError
	if errors.As(err, &closed) {
		return io.EOF
	}
	return err
}

// goodbye is the close code that answers what ended the reading: the client's own, or the breach of the protocol. answer
// is false if the connection itself broke. closed says that the client sends nothing more.
func (w *webSocket) goodbye() (code uint32, closed, answer bool) {
	var c *websocket.CloseError
	var broken net.Error
	switch {
	case errors.As(w.failure, &c):
		code = uint32(c.Code)
		if c.Code == websocket.CloseNoStatusReceived {
			code = closeNormal
		}
		return code, true, c.Code != websocket.CloseAbnormalClosure
	case w.failure == nil, errors.As(w.failure, &broken), errors.Is(w.failure, io.ErrUnexpectedEOF):
		return 0, true, false
	}
	return closeProtocolError, false, true
}

// awaitClose reads until the client's close frame. It is false when the stream broke before.
func (w *webSocket) awaitClose() bool {
	for {
		if _, _, err := w.conn.NextReader(); err != nil {
			var closed *websocket.CloseError
			return errors.As(err, &closed)
		}
	}
}

// appendLocked appends one message, compressed if that was agreed to and is worth it.
func (w *webSocket) appendLocked(o *outbox, head, tail []byte, text, shared bool) {
	op := byte(wsOpBinary)
	if text {
		op = wsOpText
	}
	if w.deflaters == nil || len(head)+len(tail) < wsCompressBytesMin {
		appendFramesLocked(o, op, head, tail, shared)
		return
	}
	d := w.deflaters.Get().(*deflater)
	appendFramesLocked(o, op|wsCompressed, nil, d.compress(head, tail), false)
	if cap(d.out) > wsFrameBytesMax {
		d.out = nil // a rare large one is not kept
	}
	w.deflaters.Put(d)
}

// appendFramesLocked appends one message in frames of at most wsFrameBytesMax.
func appendFramesLocked(o *outbox, op byte, head, tail []byte, shared bool) {
	for {
		n := min(len(head)+len(tail), wsFrameBytesMax)
		last := n == len(head)+len(tail)
		var first byte
		if last {
			first = wsFinal
		}
		appendFrameHeaderLocked(o, first|op, n)
		h := min(len(head), n)
		o.appendLocked(head[:h])
		t := n - h
		if shared && t >= sharedBytesMin {
			o.appendSharedLocked(tail[:t])
		} else {
			o.appendLocked(tail[:t])
		}
		if last {
			return
		}
		head, tail, op = head[h:], tail[t:], wsOpContinuation
	}
}

func appendFrameHeaderLocked(o *outbox, first byte, n int) {
	var b [10]byte
	b[0] = first
	switch {
	case n < 126:
		b[1] = byte(n)
		o.appendLocked(b[:2])
	case n < 1<<16:
		b[1] = 126
		binary.BigEndian.PutUint16(b[2:], uint16(n))
		o.appendLocked(b[:4])
	default:
		b[1] = 127
		binary.BigEndian.PutUint64(b[2:], uint64(n))
		o.appendLocked(b[:10])
	}
}

// appendCloseLocked appends the close frame, once.
func (w *webSocket) appendCloseLocked(o *outbox, code uint32) {
	if w.closed || o.finished {
		return
	}
	w.closed = true
	if code == 0 {
		code = closeNormal
	}
	appendFrameHeaderLocked(o, wsFinal|wsOpClose, 2)
	o.appendLocked(binary.BigEndian.AppendUint16(nil, uint16(code)))
}

// pong answers a ping, but not while the client reads too little: it may take the answer to a later one for both
// (RFC 6455 section 5.5.3).
func (s *Session) pong(data string) {
	if !s.Full() {
		s.control(wsOpPong, []byte(data))
	}
}

// control appends a ping or pong and wakes.
func (s *Session) control(op byte, data []byte) {
	o := &s.outbox
	o.mu.Lock()
	if !o.finished {
		appendFrameHeaderLocked(o, wsFinal|op, len(data))
		o.appendLocked(data)
	}
	o.mu.Unlock()
	s.Wake()
}

// compress deflates head and tail as one message without context of the ones before (RFC 7692 section 7.2.1).
func (d *deflater) compress(head, tail []byte) []byte {
	d.out = d.out[:0]
	if d.writer == nil {
		d.writer, _ = flate.NewWriter(d, flate.BestSpeed) // the level is valid
	} else {
		d.writer.Reset(d)
	}
	// Writing to d cannot fail.
	_, _ = d.writer.Write(head)
	_, _ = d.writer.Write(tail)
	_ = d.writer.Flush()
	return bytes.TrimSuffix(d.out, []byte{0, 0, 0xff, 0xff})
}
