package cluster

// This file says what a node needs of consensus, so that another implementation could take the place of the one in raft.go.

import "time"

// replicator orders entries among the nodes and hands the committed ones to the fold, in order, on one goroutine.
type replicator interface {
	// propose asks for an entry to be put in the log. It never waits for the disk. Entries proposed by a leader are in the log in the
	// order of the calls; one whose outcome is an error may or may not be. The caller does not change entry any more.
	propose(entry []byte) outcome
	// leadership tells each change: true when this node begins to lead, false when it ends. Only the last one is kept for a slow reader.
	leadership() <-chan bool
	// changes tells that another node may lead now, or none. One token stands for any number of changes.
	changes() <-chan struct{}
	// answers is how many calls of this leader a member has answered; it only rises while this node leads.
	answers(node string) uint64
	// admit makes a node a member without a vote, or changes the address of one that is a member, whose vote stays as it is. expel takes one
	// out. Only a leader can; both wait for the voters' agreement.
	admit(node, addr string) error
	expel(node string) error
	// located says where a member answers: until the configuration has another address for it than now, it is to be found there.
	located(node, addr string)
	// transfer asks for the leadership to be handed to another voter.
	transfer() outcome
	// campaign makes this node stand for election at once if it is the only voter; otherwise it does nothing.
	campaign() error
	// stand makes this node stand for election at once, whoever leads.
	stand() error
	// applied says that the fold has come to index.
	applied(index uint64)
	// resigned says that the node has taken note of the end of its leadership.
	resigned()
	// standing reports roles and members.
	standing() standing
	// stop ends it; no entry is handed to the fold afterwards.
	stop() error
}

// standing is where this node stands in the consensus.
type standing struct {
	role       string // leader, candidate, follower, stopped
	leader     string // node id; "" when none is known
	leaderAddr string
	orphaned   time.Duration // how long no leader has been known; 0 while one is
	term       uint64
	lastIndex  uint64 // of the log
	members    []Member
}
