package cluster

// This file holds states on their way here. A state is received, checked and restored before Raft hears that one came: Raft's main loop,
// which would otherwise copy it from the network, goes on answering heart-beats and votes meanwhile.

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"stampede/broker"
	"stampede/storage"
)

var (
	// errSuperseded says that a newer state began to come while this one did.
	errSuperseded = errors.New("another state came meanwhile")
	// errOtherState says that what came is not what was announced.
	errOtherState = errors.New("state is not the one that was announced")
)

// arrivals takes the states that leaders send, one at a time. Another one of the same or a later term breaks off what is still coming, and
// waits for what Raft is just installing. What a crash or an error leaves is cleared away, and the node stays as it was.
//
// While a state is being restored, memory holds two.
type arrivals struct {
	disk    Disk
	options func() storage.Options
	has     func(index, term uint64) bool // whether this node's log has all up to there: then there is nothing to install
	term    func() uint64                 // Raft's

	mu       sync.Mutex // guards all below
	current  *arrival
	received uint64
	bytes    uint64
	broken   uint64
}

// arrival is one of them.
type arrival struct {
	in   Incoming
	term uint64        // of the leader that sends it
	gone chan struct{} // closed when it is over

	ready    bool // guarded by the arrivals' mu: all of it came, nothing breaks it off
	whole    bool // guarded by the arrivals' mu: checked and restored, Raft may install it
	taken    bool // guarded by the arrivals' mu: it is this node's state now
	position storage.Position
	state    *broker.State
}

// take reads the state that a request brings, which then waits for Raft to install it until done is called. A nil done says that there is
// nothing to install: the answer tells a leader that was of the present term, and one whose state brings nothing that this node has it.
func (s *arrivals) take(request *raft.InstallSnapshotRequest, r io.Reader) (done func(), answer *raft.InstallSnapshotResponse, err error) {
	answer = &raft.InstallSnapshotResponse{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}, Term: request.Term}
	if term := s.term(); term > request.Term {
		answer.Term = term
		return nil, answer, nil
	}
	if s.has(request.LastLogIndex, request.LastLogTerm) {
		answer.Success = true
		return nil, answer, nil
	}
	a, err := s.begin(request.Term)
	if err != nil {
		return nil, answer, err
	}
	if err := s.receive(a, request, r); err != nil {
		return nil, answer, errors.Join(err, s.end(a))
	}
	return func() { _ = s.end(a) }, answer, nil // what stays behind is cleared away by the next one, or by the next start
}

// begin makes room for a state.
func (s *arrivals) begin(term uint64) (*arrival, error) {
	s.mu.Lock()
	for s.current != nil && s.current.ready {
		gone := s.current.gone
		s.mu.Unlock()
		<-gone
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	if s.current != nil {
		if s.current.term > term {
			return nil, errSuperseded
		}
		if err := s.current.in.Close(); err != nil {
			return nil, err
		}
	}
	in, err := s.disk.Receive(s.options())
	if err != nil {
		return nil, err
	}
	s.current = &arrival{in: in, term: term, gone: make(chan struct{})}
	return s.current, nil
}

func (s *arrivals) receive(a *arrival, request *raft.InstallSnapshotRequest, r io.Reader) error {
	n, err := io.Copy(countedWriter{a.in, s}, r)
	if err == nil && n != request.Size {
		err = fmt.Errorf("%w: %d bytes came, %d were announced", errOtherState, n, request.Size)
	}
	if err != nil {
		return fmt.Errorf("receive state: %w", err)
	}
	s.mu.Lock()
	if s.current != a {
		s.mu.Unlock()
		return errSuperseded
	}
	a.ready = true
	s.mu.Unlock()
	store, err := a.in.Finish()
	if err != nil {
		return err
	}
	a.position = store.Position()
	a.state, err = restoreState(store)
	if err = errors.Join(err, store.Close()); err != nil {
		return err
	}
	if a.position.Index != request.LastLogIndex || a.position.Term != request.LastLogTerm {
		return fmt.Errorf("%w: it is of index %d and term %d, announced were %d and %d", errOtherState, a.position.Index, a.position.Term, request.LastLogIndex, request.LastLogTerm)
	}
	s.mu.Lock()
	a.whole = true
	s.mu.Unlock()
	return nil
}

// end clears away what is not needed any more of a state, or of the one that it has replaced.
func (s *arrivals) end(a *arrival) error {
	err := a.in.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == a {
		s.current = nil
	}
	if a.taken {
		s.received++
	} else {
		s.broken++
	}
	close(a.gone)
	return err
}

// whole is the state that waits for Raft to install it, nil when there is none.
func (s *arrivals) whole() *arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil || !s.current.whole {
		return nil
	}
	return s.current
}

// took notes that a state was taken over.
func (s *arrivals) took(a *arrival) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.taken = true
}

func (s *arrivals) figures(stats *SnapshotStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats.Received, stats.ReceivedBytes = s.received, s.bytes
	stats.Broken += s.broken
	if s.current != nil {
		stats.Receiving = 1
	}
}

// countedWriter counts what comes as it comes.
type countedWriter struct {
	io.Writer
	arrivals *arrivals
}

func (w countedWriter) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	w.arrivals.mu.Lock()
	w.arrivals.bytes += uint64(n)
	w.arrivals.mu.Unlock()
	return n, err
}
