package cluster

// This file holds one connection of a link: what waits to be written on it, and the reading of what comes.

import (
	"bufio"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// frameQueue is what waits to be written on a connection.
type frameQueue struct {
	conn   net.Conn
	stale  time.Duration // how long reading may be held up; 0 for ever
	queued atomic.Int64
	wake   chan struct{} // of capacity 1
	done   chan struct{}
	once   sync.Once

	mu       sync.Mutex // guards the fields below
	frames   [][]byte
	messages uint64        // how many of all frames were messages
	room     chan struct{} // closed when the queue is not full any more
}

func newFrameQueue(conn net.Conn) *frameQueue {
	return &frameQueue{conn: conn, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

func (q *frameQueue) put(frame []byte) { q.putCounting(frame, 0) }

// putCounting queues a frame that holds so many messages, 0 or 1, and tells how many there were on the link with it.
func (q *frameQueue) putCounting(frame []byte, messages uint64) (count uint64) {
	q.mu.Lock()
	q.frames = append(q.frames, frame)
	q.messages += messages
	count = q.messages
	q.mu.Unlock()
	q.queued.Add(int64(len(frame)))
	select {
	case q.wake <- struct{}{}:
	default: // the writer will look
	}
	return count
}

func (q *frameQueue) end() {
	q.once.Do(func() {
		close(q.done)
		_ = q.conn.Close() // what was on its way is lost, as it may be
	})
}

// write writes what is queued, and a ping when there is nothing, until the link ends.
func (q *frameQueue) write() {
	defer q.end()
	ping := time.NewTicker(meshPing)
	defer ping.Stop()
	for {
		select {
		case <-q.wake:
		case <-ping.C:
			q.put(endFrame(beginFrame(nil, framePing)))
		case <-q.done:
			return
		}
		q.mu.Lock()
		frames := net.Buffers(q.frames)
		q.frames = nil
		q.mu.Unlock()
		for len(frames) > 0 {
			n := min(len(frames), meshWriteFrames)
			part := frames[:n:n]
			frames = frames[n:]
			if err := q.conn.SetWriteDeadline(time.Now().Add(meshSilence)); err != nil {
				return
			}
			written, err := part.WriteTo(q.conn)
			if err != nil {
				return
			}
			q.taken(written)
		}
	}
}

// meshRestEvery is how long a reader that always has more at hand goes on before what it took is given on, and before it says that the other side lives.
const meshRestEvery = 10 * time.Millisecond

// meshWriteFrames is how many frames go into one write.
const meshWriteFrames = 256

func (q *frameQueue) taken(n int64) {
	if q.queued.Add(-n) < meshQueueMax {
		q.mu.Lock()
		if q.room != nil {
			close(q.room)
			q.room = nil
		}
		q.mu.Unlock()
	}
}

func (q *frameQueue) full() bool { return q.queued.Load() >= meshQueueMax }

// awaitRoom waits until the queue is not full, the link ends, or d has passed; it tells whether there is room.
func (q *frameQueue) awaitRoom(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for q.full() {
		q.mu.Lock()
		if q.room == nil {
			q.room = make(chan struct{})
		}
		room := q.room
		q.mu.Unlock()
		if !q.full() {
			return true
		}
		select {
		case <-room:
		case <-q.done:
			return true // what is put into it goes nowhere
		case <-timer.C:
			return !q.full()
		}
	}
	return true
}

// read reads frames until the link ends, and calls idle when none is at hand, and now and then while there are always more.
func (q *frameQueue) read(take func(kind byte, payload []byte) error, idle func()) error {
	defer q.end()
	reader := bufio.NewReaderSize(q.conn, forwardReadBytes)
	heard := time.Now()
	rested := heard
	for {
		if reader.Buffered() == 0 || heard.Sub(rested) >= meshRestEvery {
			idle()
			rested = heard
			if err := q.conn.SetReadDeadline(time.Now().Add(meshSilence)); err != nil {
				return err
			}
		}
		if _, err := reader.Peek(1); err != nil {
			return err
		}
		now := time.Now()
		if q.stale > 0 && now.Sub(heard) > q.stale {
			return errMeshStale
		}
		heard = now
		kind, payload, err := readFrame(reader)
		if err != nil {
			return err
		}
		if kind == framePing {
			continue
		}
		if err := take(kind, payload); err != nil {
			return err
		}
	}
}
