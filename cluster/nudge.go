package cluster

// This file holds the commit nudge: a leader tells its followers what is committed as soon as it has applied it.

import "github.com/hashicorp/raft"

// acknowledged remembers what a follower took.
func (t *safeTransport) acknowledged(id raft.ServerID, target raft.ServerAddress, request *raft.AppendEntriesRequest) {
	matched, term := request.PrevLogEntry, request.PrevLogTerm
	if n := len(request.Entries); n > 0 {
		matched, term = request.Entries[n-1].Index, request.Entries[n-1].Term
	}
	if matched == 0 {
		return // a heart-beat compares nothing
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[id]
	if p == nil {
		p = &peerProgress{}
		t.peers[id] = p
	}
	if p.request.Term != request.Term {
		p.matched, p.told = 0, 0 // of another leadership
	}
	p.target = target
	p.request = raft.AppendEntriesRequest{RPCHeader: request.RPCHeader, Term: request.Term}
	if matched > p.matched {
		p.matched, p.term = matched, term
	}
	p.told = max(p.told, request.LeaderCommitIndex)
	t.nudgeLocked(id, p)
}

// nudge says that this node, as leader, has applied all up to index. It never blocks.
func (t *safeTransport) nudge(index uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.applied = index
	for id, p := range t.peers {
		t.nudgeLocked(id, p)
	}
}

// forgetPeers drops all that is known of followers: this node does not lead any more.
func (t *safeTransport) forgetPeers() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.peers)
}

// nudgeLocked starts a nudge to p if it is behind what it could know, and none is on its way.
func (t *safeTransport) nudgeLocked(id raft.ServerID, p *peerProgress) {
	if p.nudging || t.closed || min(t.applied, p.matched) <= p.told {
		return
	}
	p.nudging = true
	t.tasks.Add(1)
	go t.nudgePeer(id, p)
}

// nudgePeer tells one follower the commit index until it knows all that it may know.
func (t *safeTransport) nudgePeer(id raft.ServerID, p *peerProgress) {
	defer t.tasks.Done()
	for {
		t.mu.Lock()
		commit := min(t.applied, p.matched)
		if t.closed || commit <= p.told || t.peers[id] != p {
			p.nudging = false
			t.mu.Unlock()
			return
		}
		request, target := p.request, p.target
		request.PrevLogEntry, request.PrevLogTerm, request.LeaderCommitIndex = p.matched, p.term, commit
		t.mu.Unlock()

		var response raft.AppendEntriesResponse
		err := t.wireTransport.AppendEntries(id, target, &request, &response)

		t.mu.Lock()
		if err != nil || !response.Success || response.Term != request.Term {
			p.nudging = false // Raft's own replication finds out why, and tells the commit index then
			t.mu.Unlock()
			return
		}
		p.told = max(p.told, commit)
		t.mu.Unlock()
	}
}
