package server

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"stampede/stomp"
	"stampede/stomp/auth"
)

// This file is a session: a connection from its accept to its end.

// Session is one client's connection. Its exported methods are safe for concurrent use.
//
// Goroutines: run (reading), and runWriter while there is something to write.
type Session struct {
	server    *Server
	conn      net.Conn
	webSocket *webSocket // nil over TCP
	secure    bool
	place     int   // in the server's list; guarded by the server
	began     int64 // on the server's clock

	outbox   outbox
	writers  sync.WaitGroup // the writing goroutine
	deadline int64          // of writes, on the server's clock; the writing goroutine's

	// Set by CONNECT, on the reading goroutine, before anybody else knows the session.
	id       string
	identity auth.Identity
	version  atomic.Uint32
	host     string
	header   http.Header // of the handshake, until CONNECT
	link     Link
	unlinked bool // the link is closed; the reading goroutine's
	lenient  bool
	counted  bool  // in the user's count
	send     int64 // heart-beat: the most between two writes, in ms; 0 none
	expect   int64 // heart-beat: the most between two reads, in ms; 0 none

	reader  *stomp.Reader
	machine machine

	lastRead  atomic.Int64 // on the server's clock
	lastWrite atomic.Int64
	pinged    atomic.Int64
	paused    atomic.Bool // the link blocks the reading goroutine: the client is not late
	tracked   atomic.Bool
	greeting  atomic.Uint32 // one of greeting...: CONNECT and its timeout exclude each other
	connected atomic.Bool
	unread    atomic.Int64 // bytes of answers written while the outbox was full
	leaving   atomic.Pointer[departure]
	farewell  atomic.Uint32 // close code of a WebSocket
	gone      chan struct{} // closed when the socket was closed from outside, however much waits
	goneOnce  sync.Once

	turning sync.Mutex  // taken before outbox.mu; orders who ends the session with the reading goroutine that parts
	ending  atomic.Bool // no frame is handled any more; set under turning
	parted  bool        // goodbye was said; guarded by turning, written by the reading goroutine
}

// What became of CONNECT.
const (
	greetingAwaited uint32 = iota
	greetingCame
	greetingMissed // the sweeper waits for it no longer
)

// departure is how a draining server says goodbye to a session.
type departure struct{ retryAfter time.Duration }

// ID is the `session` header of CONNECTED.
func (s *Session) ID() string { return s.id }

// Identity is who the session was authenticated as.
func (s *Session) Identity() auth.Identity { return s.identity }

// Version is the negotiated version, VersionNone before CONNECTED.
func (s *Session) Version() stomp.Version { return stomp.Version(s.version.Load()) }

// Host is the `host` header of CONNECT.
func (s *Session) Host() string { return s.host }

// RemoteAddr is where the connection comes from.
func (s *Session) RemoteAddr() string { return s.conn.RemoteAddr().String() }

// Lenient tells whether destination-level errors leave the session open.
func (s *Session) Lenient() bool { return s.lenient }

// PauseHeartBeat says that the link blocks the reading goroutine, or no longer: meanwhile the client cannot be late.
func (s *Session) PauseHeartBeat(on bool) {
	s.paused.Store(on)
	if !on {
		s.lastRead.Store(s.server.clock())
	}
}

// Gone is closed when the session's connection was closed by force: who blocks its reading goroutine has to let go.
func (s *Session) Gone() <-chan struct{} { return s.gone }

// closeByForce ends the connection without goodbye.
func (s *Session) closeByForce() {
	s.goneOnce.Do(func() { close(s.gone) })
	_ = s.conn.Close() // wakes the reading goroutine, which ends the session
}

func (s *Session) logger() *slog.Logger {
	return s.server.logger.With("session", s.id, "address", s.RemoteAddr())
}

// run reads and handles frames until the session ends [S2].
func (s *Session) run() {
	defer s.end()
	for {
		f, err := s.reader.ReadFrame()
		if err != nil {
			s.readFailed(err)
			return
		}
		s.server.stats.FramesReceived.Add(1)
		if !s.ending.Load() {
			s.handle(f)
		}
		if s.ending.Load() {
			s.linger()
			return
		}
		if s.unread.Load() >= unreadBytesMax {
			s.awaitReader()
		}
	}
}

// unreadBytesMax bounds the answers (RECEIPT and ERROR) of the server itself that a session is given beyond a full outbox;
// then its socket is not read until it reads, or is closed as a slow consumer.
const unreadBytesMax = 256 << 10

// awaitReader blocks the reading goroutine while the client sends without reading its answers.
func (s *Session) awaitReader() {
	s.PauseHeartBeat(true)
	defer s.PauseHeartBeat(false)
	for !s.AwaitSpace(time.Second) {
		select {
		case <-s.gone:
			return
		default:
		}
	}
	s.unread.Store(0)
}

// handle does what a frame asks for.
func (s *Session) handle(f *stomp.Frame) {
	if f.Command == stomp.CommandSubscribe && s.link != nil {
		if id := string(stomp.SubscriptionID(f, s.machine.version)); s.machine.holds(id) && s.link.Refused(id) {
			s.machine.forget(id)
		}
	}
	step, err := s.machine.take(f)
	if err == nil {
		err = s.do(step, f)
	}
	if err != nil {
		s.Error(err, f.Value("receipt"))
	}
}

func (s *Session) do(what step, f *stomp.Frame) *stomp.ProtocolError {
	switch what {
	case stepConnect:
		return s.open(f)
	case stepSend:
		return s.link.Send(f)
	case stepSubscribe:
		err := s.link.Subscribe(f)
		if err != nil {
			s.machine.forget(string(stomp.SubscriptionID(f, s.machine.version)))
		}
		return err
	case stepUnsubscribe:
		return s.link.Unsubscribe(f)
	case stepAck:
		return s.link.Ack(f)
	case stepCommit:
		actions := s.machine.actions
		s.machine.actions = nil
		return s.link.Commit(actions, f.Value("receipt"))
	case stepReceipt:
		if id, ok := f.Get("receipt"); ok {
			s.countUnread(len(id))
			if s.Receipt(string(id)) {
				s.Wake()
			}
		}
	case stepDisconnect:
		s.link.Disconnect(f.Value("receipt"))
	}
	return nil
}

// Error appends an ERROR, wakes, and ends the session if the severity and the session's policy say so.
func (s *Session) Error(e *stomp.ProtocolError, receiptID string) {
	s.turning.Lock()
	defer s.turning.Unlock()
	if s.ending.Load() {
		return
	}
	s.server.stats.ErrorsSent.Add(1)
	f := stomp.ErrorFrame(e, receiptID)
	s.countUnread(f.Size())
	s.writeFrame(f)
	if e.Severity == stomp.Fatal || (e.Severity == stomp.Refused && !s.lenient) {
		s.logger().Info("session closed by error", "code", e.Code, "message", e.Message)
		s.stopLocked(closeProtocolError)
	}
}

// countUnread counts an answer of that size if the client does not read.
func (s *Session) countUnread(size int) {
	if s.Full() {
		s.unread.Add(int64(size + answerBytes))
	}
}

// answerBytes is about what an answer has beyond its contents.
const answerBytes = 32

// Finish ends the session once the outbox is empty.
func (s *Session) Finish() { s.stop(closeNormal) }

// stop makes the reading goroutine end the session: it handles no frame any more, and lingers.
func (s *Session) stop(code uint32) {
	s.turning.Lock()
	defer s.turning.Unlock()
	s.stopLocked(code)
}

func (s *Session) stopLocked(code uint32) {
	s.farewell.CompareAndSwap(0, code)
	if s.ending.Swap(true) {
		return
	}
	s.outbox.seal()
	s.breakOffLocked()
}

// breakOffLocked wakes the reading goroutine if it waits for its socket: it then says goodbye (socket.fetch).
func (s *Session) breakOffLocked() {
	if !s.parted {
		_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // a connection that takes no deadline is closed already
	}
}

// brokenOff tells whether a read failed because it was broken off, and says goodbye then; on the reading goroutine.
func (s *Session) brokenOff(err error) bool {
	if s.parted || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	if d := s.leaving.Load(); d != nil && !s.ending.Load() {
		s.leave(d)
	}
	if !s.ending.Load() {
		return false
	}
	s.part()
	return true
}

// readFailed ends a session whose stream broke.
func (s *Session) readFailed(err error) {
	if s.ending.Load() {
		s.linger()
		return
	}
	if e, ok := err.(*stomp.ProtocolError); ok {
		s.foreign()
		s.Error(e, "")
		s.linger()
		return
	}
	if s.webSocket == nil {
		return
	}
	if code, closed, answer := s.webSocket.goodbye(); answer {
		s.stop(code)
		s.part()
		if !closed {
			s.linger()
		}
	}
}

// leave says goodbye for a server that drains: everything that the session sent is answered first.
func (s *Session) leave(d *departure) {
	if s.link != nil {
		s.link.Disconnect("")
	}
	s.farewell.Store(closeServiceRestart)
	if s.webSocket == nil {
		s.server.stats.ErrorsSent.Add(1)
		s.writeFrame(stomp.ErrorFrame(drained(d.retryAfter), ""))
	}
	s.stop(closeServiceRestart)
}

// part says goodbye, once: it writes what is left and half-closes. What the client still sends may come for LingerTimeout.
func (s *Session) part() {
	s.turning.Lock()
	if s.parted {
		s.turning.Unlock()
		return
	}
	s.parted = true
	s.turning.Unlock()
	s.outbox.mu.Lock()
	if s.webSocket != nil {
		s.webSocket.appendCloseLocked(&s.outbox, s.farewell.Load())
	}
	s.outbox.finished = true
	s.outbox.mu.Unlock()
	s.Wake()
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.server.config.LingerTimeout)) // a client that takes nothing is not waited for
	s.writers.Wait()
	if c, ok := s.conn.(interface{ CloseWrite() error }); ok && s.webSocket == nil {
		_ = c.CloseWrite() // it may be closed by the client already
	}
	_ = s.conn.SetReadDeadline(time.Now().Add(s.server.config.LingerTimeout))
}

// linger says goodbye and reads until the client closes too, so that no reset takes the ERROR back
// [STOMP12 §Connection Lingering] [S5].
func (s *Session) linger() {
	s.part()
	s.closeLink() // what it held goes back now, however long the client keeps its side open
	if s.webSocket != nil && s.webSocket.awaitClose() {
		return
	}
	_, _ = io.Copy(io.Discard, s.conn) // whatever comes is not wanted any more
}

// end frees everything; the last of the reading goroutine [S3].
func (s *Session) end() {
	s.ending.Store(true)
	_ = s.conn.Close()
	s.outbox.drop()
	s.writers.Wait()
	s.closeLink()
	s.server.remove(s)
}

// closeLink ends the session's way into the broker, once.
func (s *Session) closeLink() {
	if s.link == nil || s.unlinked {
		return
	}
	s.unlinked = true
	s.link.Close()
}
