package cluster

// This file holds the streams of submissions: from a node to the leader, and into Raft there. FORMAT.md has the table.

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/semaphore"

	"stampede/broker"
)

const (
	// forwardWriteTimeout is how long a leader may take nothing before the stream to it is given up.
	forwardWriteTimeout = 10 * time.Second
	// forwardPing is how often a leader says on a stream that it is there; forwardSilence is how long nothing may come from it before the stream is given up.
	forwardPing    = time.Second
	forwardSilence = 6 * time.Second
	// forwardBytesMax is what one node may have on its way through the leader; past it its stream is not read. A larger envelope goes alone.
	forwardBytesMax = 32 << 20
	// forwardEntriesMax is how many entries of one stream may await their fate; past it the stream is not read.
	forwardEntriesMax = raftEntriesMax
	// forwardReadBytes is the buffer of a stream that is read.
	forwardReadBytes = 64 << 10
	// storePause is how long a stream is not read while the leader's store has too much to write.
	storePause = time.Millisecond

	forwardLengthBytes = 4
	forwardWelcome     = 1 // said by a leader before it reads, and again and again as long as it does
)

// Why a stream of submissions ends.
var (
	errNotLeader   = errors.New("other side does not lead")
	errEnvelope    = errors.New("envelope is not what its node may send")
	errForwardsMax = errors.New("envelope is larger than an entry may be")
)

// forwardStream is the way to a leader elsewhere. Its end, for whatever cause, is the only sign that something may be lost on it.
//
// Goroutines: runWriter and runReader, from openForward to end.
type forwardStream struct {
	leader string // node id
	conn   net.Conn
	wake   chan struct{} // of capacity 1: there is something to write
	done   chan struct{}
	once   sync.Once
	tasks  sync.WaitGroup

	mu    sync.Mutex
	queue [][]byte // envelopes to write; bounded by the proposer's limits; guarded by mu
}

var _ route = (*forwardStream)(nil)

// dialLeader opens a stream to the leader and gives it to result.
func (n *Node) dialLeader(ctx context.Context, address, leader string, result chan<- dialResult) {
	s, err := n.openForward(ctx, address, leader)
	if err != nil {
		n.logger.Debug("leader not reached", "leader", leader, "addr", address, "error", err)
	}
	result <- dialResult{stream: s, refused: errors.Is(err, syscall.ECONNREFUSED)}
}

func (n *Node) openForward(ctx context.Context, address, leader string) (*forwardStream, error) {
	conn, peer, err := n.port.dial(ctx, address, streamForward)
	if err != nil {
		return nil, err
	}
	if err := n.awaitWelcome(ctx, conn, peer, leader); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	s := &forwardStream{leader: leader, conn: conn, wake: make(chan struct{}, 1), done: make(chan struct{})}
	s.tasks.Add(2)
	go s.runWriter()
	go s.runReader()
	return s, nil
}

// awaitWelcome waits until the other side says that it leads.
func (n *Node) awaitWelcome(ctx context.Context, conn net.Conn, peer member, leader string) error {
	if peer.node.String() != leader {
		return fmt.Errorf("%w: %s is at its address", errNotLeader, peer.node)
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetReadDeadline(deadline); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	var welcome [1]byte
	if _, err := io.ReadFull(conn, welcome[:]); err != nil || welcome[0] != forwardWelcome {
		return errors.Join(errNotLeader, err)
	}
	return conn.SetReadDeadline(time.Time{})
}

// carry queues an envelope. It never blocks.
func (s *forwardStream) carry(entry []byte) outcome {
	s.mu.Lock()
	s.queue = append(s.queue, entry[entryHeaderBytes:])
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default: // the writer will look
	}
	return nil
}

// ended is closed when the stream has ended; of no stream it never is.
func (s *forwardStream) ended() <-chan struct{} {
	if s == nil {
		return nil
	}
	return s.done
}

// end closes the stream and waits for its goroutines.
func (s *forwardStream) end() {
	s.breakOff()
	s.tasks.Wait()
}

func (s *forwardStream) breakOff() {
	s.once.Do(func() {
		close(s.done)
		_ = s.conn.Close() // what was on its way is carried again
	})
}

// runWriter writes all that is queued at a time.
func (s *forwardStream) runWriter() {
	defer s.tasks.Done()
	defer s.breakOff()
	var lengths []byte
	for {
		select {
		case <-s.wake:
		case <-s.done:
			return
		}
		s.mu.Lock()
		queue := s.queue
		s.queue = nil
		s.mu.Unlock()
		lengths = lengths[:0]
		for _, envelope := range queue {
			lengths = binary.BigEndian.AppendUint32(lengths, uint32(len(envelope)))
		}
		buffers := make(net.Buffers, 0, 2*len(queue))
		for i, envelope := range queue {
			buffers = append(buffers, lengths[i*forwardLengthBytes:(i+1)*forwardLengthBytes], envelope)
		}
		if err := s.conn.SetWriteDeadline(time.Now().Add(forwardWriteTimeout)); err != nil {
			return
		}
		if _, err := buffers.WriteTo(s.conn); err != nil {
			return
		}
	}
}

// runReader waits for the end of the stream. What is written may go nowhere for a quarter of an hour before the kernel says so, while Raft's calls, on
// connections of their own, go on: so the stream ends when the leader is silent on it.
func (s *forwardStream) runReader() {
	defer s.tasks.Done()
	defer s.breakOff()
	var said [64]byte
	for {
		if err := s.conn.SetReadDeadline(time.Now().Add(forwardSilence)); err != nil {
			return
		}
		if _, err := s.conn.Read(said[:]); err != nil {
			return
		}
	}
}

// forwards are the streams of submissions that come in while this node leads.
type forwards struct {
	mu    sync.Mutex // guards the fields below
	taken bool       // this node leads
	conns map[net.Conn]struct{}

	entries, bytes uint64 // taken since the start, for the metrics
}

// open lets streams in.
func (f *forwards) open() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken = true
}

// shut ends all streams: this node leads no more.
func (f *forwards) shut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken = false
	for conn := range f.conns {
		_ = conn.Close() // its node looks for the next leader
	}
}

// enter notes a stream, unless this node does not lead.
func (f *forwards) enter(conn net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.taken {
		return false
	}
	if f.conns == nil {
		f.conns = make(map[net.Conn]struct{})
	}
	f.conns[conn] = struct{}{}
	return true
}

func (f *forwards) leave(conn net.Conn) {
	f.mu.Lock()
	delete(f.conns, conn)
	f.mu.Unlock()
	_ = conn.Close() // closed already where the other side ended it
}

func (f *forwards) count(bytes int) {
	f.mu.Lock()
	f.entries++
	f.bytes += uint64(bytes)
	f.mu.Unlock()
}

func (f *forwards) stats() (streams int, entries, bytes uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.conns), f.entries, f.bytes
}

// fate is an entry of a stream on its way through Raft.
type fate struct {
	outcome outcome
	weight  int64
}

// takeForward proposes what a node submits, in its order, until the stream ends or a proposal fails: then the node carries it again. It is
// the handler of the port.
func (n *Node) takeForward(conn net.Conn, peer member) {
	if !n.forwards.enter(conn) {
		_ = conn.Close() // it asks again, or somebody else
		return
	}
	defer n.forwards.leave(conn)
	if _, err := conn.Write([]byte{forwardWelcome}); err != nil {
		return
	}
	read := make(chan struct{})
	var pinging sync.WaitGroup
	pinging.Go(func() { pingForward(conn, read) })
	fates := make(chan fate, forwardEntriesMax)
	room := semaphore.NewWeighted(forwardBytesMax)
	settled := make(chan struct{})
	go n.settleForward(conn, fates, room, settled)
	err := n.readForward(conn, peer, fates, room)
	close(fates)
	<-settled
	close(read)
	_ = conn.Close() // nothing more comes on it
	pinging.Wait()
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) {
		n.logger.Warn("stream of submissions broken", "node", peer.node.String(), "error", err)
	}
}

// pingForward says now and then that this node is there, until the stream is not read any more.
func pingForward(conn net.Conn, read <-chan struct{}) {
	ticker := time.NewTicker(forwardPing)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-read:
			return
		}
		if err := conn.SetWriteDeadline(time.Now().Add(forwardWriteTimeout)); err != nil {
			return
		}
		if _, err := conn.Write([]byte{forwardWelcome}); err != nil {
			return
		}
	}
}

// settleForward waits for the fates of entries, in order. The first that is not known to be in the log ends the stream.
func (n *Node) settleForward(conn net.Conn, fates <-chan fate, room *semaphore.Weighted, settled chan<- struct{}) {
	defer close(settled)
	for f := range fates {
		if err := f.outcome.Error(); err != nil {
			_ = conn.Close() // its reader ends, and with it the stream
		}
		room.Release(f.weight)
	}
}

// readForward reads envelopes and proposes each as an entry.
func (n *Node) readForward(conn net.Conn, peer member, fates chan<- fate, room *semaphore.Weighted) error {
	reader := bufio.NewReaderSize(conn, forwardReadBytes)
	var head [forwardLengthBytes]byte
	for {
		if _, err := io.ReadFull(reader, head[:]); err != nil {
			return err
		}
		length := binary.BigEndian.Uint32(head[:])
		if length > entryBytesMax {
			return fmt.Errorf("%w: %d bytes", errForwardsMax, length)
		}
		weight := min(int64(length), forwardBytesMax)
		if err := room.Acquire(context.Background(), weight); err != nil { // fates that come in make room; all come when Raft stops
			return err
		}
		entry := make([]byte, entryHeaderBytes+int(length))
		if _, err := io.ReadFull(reader, entry[entryHeaderBytes:]); err != nil {
			return err
		}
		if err := checkForward(entry[entryHeaderBytes:], peer.node); err != nil {
			return err
		}
		for n.states.now().Full() {
			select {
			case <-time.After(storePause):
			case <-n.port.done:
				return net.ErrClosed
			}
		}
		putEntryHeader(entry, n.stamp())
		n.forwards.count(len(entry))
		fates <- fate{n.propose(entry), weight}
	}
}

// checkForward finds out whether bytes are one whole envelope of the node that sent them.
func checkForward(b []byte, node broker.NodeID) error {
	e, rest, err := decodeEnvelope(b)
	switch {
	case err != nil:
		return errors.Join(errEnvelope, err)
	case len(rest) > 0 || e.node != node || e.firstN == 0 || e.count == 0:
		return errEnvelope
	}
	return nil
}
