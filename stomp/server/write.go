package server

import (
	"compress/flate"
	"crypto/tls"
	"errors"
	"math"
	"net"
	"os"
	"time"
	"unicode/utf8"

	"stampede/stomp"
)

// This file writes: the methods that put frames into the outbox, and the goroutine that empties it.

// NeverWritten is the position of a frame that was not taken, because the session is ending: Link.Written does not reach it.
const NeverWritten = math.MaxUint64

// Write appends one frame made of head and tail, which ends with the NUL, to the outbox. text says that both are UTF-8
// (a WebSocket text message then); shared that tail never changes, so that a large one may be kept by reference. end is
// the outbox's position behind the frame. If wake is true the caller has to call Wake later, at the end of its batch.
// The frame is taken however full the outbox is: ask Full before writing what can be left out or read again. A session that
// is ending takes none, and end is NeverWritten.
func (s *Session) Write(head, tail []byte, text, shared bool) (end uint64, wake bool) {
	o := &s.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sealed || o.finished {
		return NeverWritten, false
	}
	s.appendLocked(head, tail, text, shared)
	return o.end, o.promiseLocked()
}

func (s *Session) appendLocked(head, tail []byte, text, shared bool) {
	o := &s.outbox
	if s.webSocket != nil {
		s.webSocket.appendLocked(o, head, tail, text, shared)
		return
	}
	o.appendLocked(head)
	if shared && len(tail) >= sharedBytesMin {
		o.appendSharedLocked(tail)
	} else {
		o.appendLocked(tail)
	}
}

// Full tells whether the outbox is at its limit.
func (s *Session) Full() bool { return s.outbox.full() }

// AwaitSpace blocks until the outbox is not full, at most for d, and tells whether there is space.
func (s *Session) AwaitSpace(d time.Duration) bool { return s.outbox.awaitSpace(d) }

// Wake starts the writing goroutine if there is something for it to do and it does not run.
func (s *Session) Wake() {
	o := &s.outbox
	o.mu.Lock()
	o.promised = false
	start := !o.running && (len(o.chunks) > 0 || o.refill)
	if start {
		o.running = true
		s.writers.Add(1)
	}
	o.mu.Unlock()
	if start {
		go s.runWriter()
	}
}

// RequestRefill asks for a Refill when half of the outbox is free, and wakes.
func (s *Session) RequestRefill() {
	s.outbox.mu.Lock()
	s.outbox.refill = !s.outbox.sealed && !s.outbox.finished
	s.outbox.mu.Unlock()
	s.Wake()
}

// TrackWrites says whether the link is told what the socket took.
func (s *Session) TrackWrites(on bool) { s.tracked.Store(on) }

// Receipt appends a RECEIPT. If wake is true the caller has to call Wake later.
func (s *Session) Receipt(id string) (wake bool) {
	scratch := s.outbox.pools.scratch.Get().(*[]byte)
	b := append((*scratch)[:0], "RECEIPT\n"...)
	b = stomp.AppendHeader(b, s.Version(), "receipt-id", id)
	b = append(b, '\n', 0)
	_, wake = s.Write(nil, b, utf8.Valid(b), false)
	if cap(b) <= smallChunkBytes {
		*scratch = b
	}
	s.outbox.pools.scratch.Put(scratch)
	return wake
}

// writeFrame appends a whole frame of the server's own, also when the outbox is sealed, and wakes.
func (s *Session) writeFrame(f *stomp.Frame) {
	b := stomp.AppendFrame(nil, s.Version(), f)
	s.outbox.mu.Lock()
	if !s.outbox.finished {
		s.appendLocked(nil, b, utf8.Valid(b), false)
	}
	s.outbox.mu.Unlock()
	s.Wake()
}

// runWriter writes what is in the outbox, asks the link for more, and ends when there is nothing left.
func (s *Session) runWriter() {
	defer s.writers.Done()
	o := &s.outbox
	var taken []*chunk
	for {
		o.mu.Lock()
		switch {
		case o.refill && o.queued.Load() < o.limit/2:
			o.refill = false
			o.mu.Unlock()
			s.link.Refill(int(o.limit - o.queued.Load()))
			continue
		case len(o.chunks) == 0:
			o.running = false
			o.mu.Unlock()
			return
		}
		taken = o.takeLocked(taken)
		o.mu.Unlock()
		n, err := s.writeChunks(taken)
		for i, c := range taken {
			c.release()
			taken[i] = nil
		}
		written := o.taken(n)
		if err != nil {
			s.writeFailed(err)
			o.mu.Lock()
			o.running = false
			o.mu.Unlock()
			return
		}
		s.lastWrite.Store(s.server.clock())
		if s.tracked.Load() {
			s.link.Written(written)
		}
	}
}

// writeChunks writes all, as long as the socket takes anything within WriteStallTimeout.
func (s *Session) writeChunks(chunks []*chunk) (total int, err error) {
	if _, ok := s.conn.(*tls.Conn); ok {
		return s.writePieces(chunks)
	}
	if len(chunks) == 1 {
		return s.writeAll(chunks[0].bytes)
	}
	var array [chunksAtOnceMax][]byte
	buffers := net.Buffers(array[:0])
	for _, c := range chunks {
		buffers = append(buffers, c.bytes)
	}
	for len(buffers) > 0 {
		s.extendDeadline()
		n, err := buffers.WriteTo(s.conn)
		total += int(n)
		if err != nil && !s.goesOn(n > 0, err) {
			return total, err
		}
	}
	return total, nil
}

// tlsPieceBytes is the most that is written over TLS at once, a record: a write that timed out is the last there, whatever it had
// written, so that the deadline has to be ahead of each piece.
const tlsPieceBytes = 16 << 10

func (s *Session) writePieces(chunks []*chunk) (total int, err error) {
	for _, c := range chunks {
		for b := c.bytes; len(b) > 0; {
			n, err := s.writeAll(b[:min(len(b), tlsPieceBytes)])
			total += n
			if err != nil {
				return total, err
			}
			b = b[n:]
		}
	}
	return total, nil
}

func (s *Session) writeAll(b []byte) (total int, err error) {
	for len(b) > 0 {
		s.extendDeadline()
		n, err := s.conn.Write(b)
		total += n
		b = b[n:]
		if err != nil && !s.goesOn(n > 0, err) {
			return total, err
		}
	}
	return total, nil
}

// extendDeadline keeps the write deadline ahead, without setting it at each write.
func (s *Session) extendDeadline() {
	now := s.server.clock()
	stall := s.server.config.WriteStallTimeout.Milliseconds()
	if s.ending.Load() {
		stall = s.server.config.LingerTimeout.Milliseconds()
	}
	if s.deadline-now > stall*3/4 && s.deadline-now <= stall {
		return
	}
	s.deadline = now + stall
	// A connection that takes no deadline is closed already, and says so at the write.
	_ = s.conn.SetWriteDeadline(time.Now().Add(time.Duration(stall) * time.Millisecond))
}

// goesOn tells whether a write that timed out made progress and is worth going on.
func (s *Session) goesOn(progress bool, err error) bool {
	s.deadline = 0
	return progress && errors.Is(err, os.ErrDeadlineExceeded)
}

// writeFailed ends a session whose socket takes nothing more.
func (s *Session) writeFailed(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) && !s.ending.Load() {
		s.server.stats.SlowConsumers.Add(1)
		s.logger().Warn("slow consumer closed", "stall", s.server.config.WriteStallTimeout)
	}
	s.outbox.drop()
	s.closeByForce()
}

// deflater compresses one WebSocket message at a time.
type deflater struct {
	out    []byte
	writer *flate.Writer
}

func (d *deflater) Write(p []byte) (int, error) {
	d.out = append(d.out, p...)
	return len(p), nil
}
