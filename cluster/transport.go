package cluster

// This file holds the safe transport: a wrapper of Raft's transport that closes what Raft leaves open between replicas.

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"
)

// appendBytesMax is how much one AppendEntries may carry. One entry goes whatever it weighs, so that a follower can always catch up.
const appendBytesMax = 4 << 20

var errTransportClosed = errors.New("transport is closed")

// wireTransport is what the wrapper needs of the transport below it: raft's own, with pre-votes and an end.
type wireTransport interface {
	raft.Transport
	raft.WithPreVote
	raft.WithClose
}

// intake takes the state that an InstallSnapshot brings before Raft hears of it: arrivals.take has its meaning.
type intake func(request *raft.InstallSnapshotRequest, r io.Reader) (done func(), answer *raft.InstallSnapshotResponse, err error)

// safeTransport wraps a Raft transport (T1 to T9 are tested, T1 to T6 each against the bare one):
//
//	T1 No heart-beat fast path: heart-beats go through Raft's main loop like all other calls, where they cannot change the term in the
//	   middle of an append.
//	T2 The commit index of an AppendEntries, sent or received, is at most the index of the last entry that it carries or names as the one
//	   before: a follower never takes for committed what the call did not compare.
//	T3 No pipelining: it can hang one follower for ever, and leaves the tail of a burst behind.
//	T4 An AppendEntries carries at most appendBytesMax, but at least one entry; trimmed before T2, and in the caller's own request, since
//	   Raft reads from it how far the follower has come.
//	T5 As soon as the leader has applied, its followers are told the commit index (nudge), with an ordinary empty AppendEntries that
//	   claims no more than the follower has acknowledged. Raft itself would wait for the next entry or 50 ms.
//	T6 A node that is the only voter, or finds nobody listening where the leader was, can hand itself a TimeoutNow and need not wait for an
//	   election timeout.
//	T7 A member that has moved is called where it is (locate), not where the configuration still has it: nodes that all moved at once could not
//	   elect the leader who would take note of it.
//	T8 A call reaches the member that is meant or nobody (named): the answer of another one that has come to its address would be counted as its
//	   own, and with it entries as being on a majority that are not.
//	T9 A state that is sent is received before Raft hears of it (install), so that Raft's main loop answers heart-beats and votes while it
//	   comes; and not at all from a leader that was, nor where the log has what it would bring: Raft would go back to it.
//
// Goroutines: forward, from newSafeTransport to Close; nudgePeer, one at a time a peer, while it is behind; install, for each state that comes.
type safeTransport struct {
	wireTransport
	named bool // targets say which member is meant; set before use, for transports that can tell
	calls chan raft.RPC
	done  chan struct{}
	tasks sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	closed  bool
	intake  intake // nil: Raft receives states itself
	hears   func() // called when a leader speaks; nil: nobody asks
	applied uint64 // the leader's
	peers   map[raft.ServerID]*peerProgress
	heard   map[raft.ServerID]uint64 // how many AppendEntries each node has answered
	places  map[raft.ServerID]*place // at most one for each node that was ever a member
}

// peerProgress is what a leader knows of a follower from its last successful AppendEntries.
type peerProgress struct {
	target  raft.ServerAddress
	request raft.AppendEntriesRequest // header, term and leader of it; entries dropped
	matched uint64                    // index of the last entry that the follower is known to have
	term    uint64                    // of that entry
	told    uint64                    // commit index that the follower was told
	nudging bool                      // a nudge is on its way
}

var (
	_ raft.Transport   = (*safeTransport)(nil)
	_ raft.WithPreVote = (*safeTransport)(nil)
	_ raft.WithClose   = (*safeTransport)(nil)
)

func newSafeTransport(inner wireTransport) *safeTransport {
	t := &safeTransport{
		wireTransport: inner,
		calls:         make(chan raft.RPC),
		done:          make(chan struct{}),
		peers:         make(map[raft.ServerID]*peerProgress),
		heard:         make(map[raft.ServerID]uint64),
		places:        make(map[raft.ServerID]*place),
	}
	t.tasks.Add(1)
	go t.forward()
	return t
}

// forward hands the calls of other nodes on to Raft, each capped (T2).
func (t *safeTransport) forward() {
	defer t.tasks.Done()
	for {
		var call raft.RPC
		select {
		case call = <-t.wireTransport.Consumer():
		case <-t.done:
			return
		}
		switch request := call.Command.(type) {
		case *raft.AppendEntriesRequest:
			t.hear()
			received := *request // in memory the sender still reads its own
			capCommit(&received)
			call.Command = &received
		case *raft.InstallSnapshotRequest:
			if take := t.takesStates(); take != nil {
				t.tasks.Add(1)
				go t.install(call, request, take)
				continue
			}
		}
		select {
		case t.calls <- call:
		case <-t.done:
			call.Respond(nil, errTransportClosed)
			return
		}
	}
}

// tellHeard has fn called whenever a leader speaks; it must not block.
func (t *safeTransport) tellHeard(fn func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hears = fn
}

func (t *safeTransport) hear() {
	t.mu.Lock()
	fn := t.hears
	t.mu.Unlock()
	if fn != nil {
		fn()
	}
}

// receiveStates has states received by take (T9).
func (t *safeTransport) receiveStates(take intake) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.intake = take
}

func (t *safeTransport) takesStates() intake {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.intake
}

// install receives a state, tells Raft of it when it is here, and answers what Raft says. Raft copies nothing then.
func (t *safeTransport) install(call raft.RPC, request *raft.InstallSnapshotRequest, take intake) {
	defer t.tasks.Done()
	done, answer, err := take(request, call.Reader)
	if done == nil {
		_, _ = io.Copy(io.Discard, call.Reader) // the next call comes behind it; if it breaks off, none comes
		call.Respond(answer, err)
		return
	}
	defer done()
	here := *request
	here.Size = 0
	answers := make(chan raft.RPCResponse, 1)
	select {
	case t.calls <- raft.RPC{Command: &here, Reader: new(emptyReader), RespChan: answers}:
	case <-t.done:
		call.Respond(answer, errTransportClosed)
		return
	}
	select {
	case a := <-answers:
		call.Respond(a.Response, a.Error)
	case <-t.done:
		call.Respond(answer, errTransportClosed)
	}
}

// Consumer gives Raft the calls of other nodes.
func (t *safeTransport) Consumer() <-chan raft.RPC { return t.calls }

// SetHeartbeatHandler takes no handler (T1). Raft's documentation allows that.
func (t *safeTransport) SetHeartbeatHandler(func(raft.RPC)) {}

// AppendEntriesPipeline offers none (T3).
func (t *safeTransport) AppendEntriesPipeline(raft.ServerID, raft.ServerAddress) (raft.AppendPipeline, error) {
	return nil, raft.ErrPipelineReplicationNotSupported
}

// AppendEntries sends entries to a follower, trimmed (T4) and capped (T2), and remembers what it acknowledged (T5).
func (t *safeTransport) AppendEntries(id raft.ServerID, target raft.ServerAddress, request *raft.AppendEntriesRequest, response *raft.AppendEntriesResponse) error {
	trimEntries(request)
	capCommit(request)
	target, err := t.enter(id, target, request)
	if err != nil {
		return err
	}
	if err := t.wireTransport.AppendEntries(id, target, request, response); err != nil {
		return err
	}
	t.mu.Lock()
	t.heard[id]++
	t.placeLocked(id).busy = len(request.Entries) > 0
	t.mu.Unlock()
	if response.Success && response.Term == request.Term {
		t.acknowledged(id, target, request)
	}
	return nil
}

// answers is how many AppendEntries, heart-beats among them, a node has answered.
func (t *safeTransport) answers(id raft.ServerID) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.heard[id]
}

// InstallSnapshot sends a snapshot; how far the follower has come is known again after the next AppendEntries.
func (t *safeTransport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, request *raft.InstallSnapshotRequest, response *raft.InstallSnapshotResponse, data io.Reader) error {
	t.mu.Lock()
	delete(t.peers, id)
	t.mu.Unlock()
	return t.wireTransport.InstallSnapshot(id, t.whereIs(id, target), request, response, data)
}

// Close ends the transport and waits for its goroutines.
func (t *safeTransport) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	close(t.done)
	t.mu.Unlock()
	err := t.wireTransport.Close()
	t.tasks.Wait()
	return err
}

// campaign makes this node a candidate at once (T6). Only the sole voter, or who knows that the leader is gone, should: it would disturb a leader.
func (t *safeTransport) campaign() error {
	answer := make(chan raft.RPCResponse, 1)
	call := raft.RPC{
		Command:  &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}},
		RespChan: answer,
	}
	select {
	case t.calls <- call:
	case <-t.done:
		return errTransportClosed
	}
	select {
	case a := <-answer:
		if a.Error != nil {
			return fmt.Errorf("stand for election: %w", a.Error)
		}
		return nil
	case <-t.done:
		return errTransportClosed
	}
}

// trimEntries shortens a request to appendBytesMax, but never below one entry.
func trimEntries(request *raft.AppendEntriesRequest) {
	size := 0
	for i, entry := range request.Entries {
		size += len(entry.Data) + len(entry.Extensions)
		if i > 0 && size > appendBytesMax {
			request.Entries = request.Entries[:i]
			return
		}
	}
}

// capCommit lowers the commit index of a request to what its receiver will have compared.
func capCommit(request *raft.AppendEntriesRequest) {
	if mutantCommitCap {
		return
	}
	request.LeaderCommitIndex = min(request.LeaderCommitIndex, lastIndexOf(request))
}

// lastIndexOf is the index of the last entry of which the receiver knows, if it takes the request, that it has the leader's.
func lastIndexOf(request *raft.AppendEntriesRequest) uint64 {
	if n := len(request.Entries); n > 0 {
		return request.Entries[n-1].Index
	}
	return request.PrevLogEntry
}
