package cluster

// This file holds whom the safe transport calls: the member that is meant, where it is (T7, T8).

import (
	"errors"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// settleMax is how long a change of a member's address waits for the call before it to be over; then the change is made all the same.
	settleMax = time.Second
	// placeSeparator stands between a member and its address where a target names both.
	placeSeparator = "@"
)

// errMoving says that a member is being given another address.
var errMoving = errors.New("member is being given another address")

// place is where one member is called.
type place struct {
	from, to raft.ServerAddress // it was found at to while the configuration had from; from is "" when nothing was found
	left     raft.ServerAddress // where it is called no more; "" for nowhere
	target   raft.ServerAddress // the last one asked for, and what it was called by
	called   raft.ServerAddress
	busy     bool          // Raft has not come back since its last entries were taken
	settled  chan struct{} // closed when it does; nil while nobody waits
}

// placeLocked gives a member's place.
func (t *safeTransport) placeLocked(id raft.ServerID) *place {
	p := t.places[id]
	if p == nil {
		p = &place{}
		t.places[id] = p
	}
	return p
}

// whereIs gives what to call a member by. What was found counts until the configuration has another address.
func (t *safeTransport) whereIs(id raft.ServerID, target raft.ServerAddress) raft.ServerAddress {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.whereIsLocked(t.placeLocked(id), id, target)
}

func (t *safeTransport) whereIsLocked(p *place, id raft.ServerID, target raft.ServerAddress) raft.ServerAddress {
	if p.from != target {
		p.from = ""
	} else {
		target = p.to
	}
	if !t.named {
		return target
	}
	if p.target != target || p.called == "" {
		p.target, p.called = target, raft.ServerAddress(string(id)+placeSeparator+string(target))
	}
	return p.called
}

// splitTarget gives the member and the address that a target names; the member is "" where it names none.
func splitTarget(target raft.ServerAddress) (node, addr string) {
	if node, addr, ok := strings.Cut(string(target), placeSeparator); ok {
		return node, addr
	}
	return "", string(target)
}

// locate says that a member, which the configuration has at one address, was found at another.
func (t *safeTransport) locate(id raft.ServerID, from, to raft.ServerAddress) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.placeLocked(id)
	if p.from, p.to = from, to; from == to {
		p.from = ""
	}
}

// enter begins an AppendEntries.
func (t *safeTransport) enter(id raft.ServerID, target raft.ServerAddress, request *raft.AppendEntriesRequest) (raft.ServerAddress, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.placeLocked(id)
	if request.PrevLogEntry == 0 && len(request.Entries) == 0 {
		return t.whereIsLocked(p, id, target), nil // a heart-beat, which goes beside the rest
	}
	if p.busy = false; p.settled != nil {
		close(p.settled)
		p.settled = nil
	}
	if p.left == target {
		return "", errMoving
	}
	p.left = ""
	return t.whereIsLocked(p, id, target), nil
}

// move prepares a change of a member's address in the configuration: it gets no entries at the address before, so that Raft, which reads a
// member's name without a lock when entries were taken, does not do so while it writes the new address beside it. It returns when no call
// is under way; calls go on with the new address.
func (t *safeTransport) move(id raft.ServerID, from raft.ServerAddress) {
	t.mu.Lock()
	p := t.placeLocked(id)
	p.left = from
	var settled chan struct{}
	if p.busy {
		settled = make(chan struct{})
		p.settled = settled
	}
	t.mu.Unlock()
	if settled == nil {
		return
	}
	select {
	case <-settled:
	case <-time.After(settleMax):
	case <-t.done:
	}
}

// stay takes a move back: the configuration has not changed.
func (t *safeTransport) stay(id raft.ServerID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.placeLocked(id).left = ""
}

// RequestVote asks for a vote.
func (t *safeTransport) RequestVote(id raft.ServerID, target raft.ServerAddress, request *raft.RequestVoteRequest, response *raft.RequestVoteResponse) error {
	return t.wireTransport.RequestVote(id, t.whereIs(id, target), request, response)
}

// RequestPreVote asks whether there would be a vote.
func (t *safeTransport) RequestPreVote(id raft.ServerID, target raft.ServerAddress, request *raft.RequestPreVoteRequest, response *raft.RequestPreVoteResponse) error {
	return t.wireTransport.RequestPreVote(id, t.whereIs(id, target), request, response)
}

// TimeoutNow hands the leadership over.
func (t *safeTransport) TimeoutNow(id raft.ServerID, target raft.ServerAddress, request *raft.TimeoutNowRequest, response *raft.TimeoutNowResponse) error {
	return t.wireTransport.TimeoutNow(id, t.whereIs(id, target), request, response)
}
