package cluster

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/raft"
)

// targetRecorder is a transport that keeps whom it was to call.
type targetRecorder struct {
	wireTransport
	called []raft.ServerAddress
}

func (r *targetRecorder) call(target raft.ServerAddress) error {
	r.called = append(r.called, target)
	return nil
}

func (r *targetRecorder) AppendEntries(_ raft.ServerID, a raft.ServerAddress, _ *raft.AppendEntriesRequest, _ *raft.AppendEntriesResponse) error {
	return r.call(a)
}

func (r *targetRecorder) RequestVote(_ raft.ServerID, a raft.ServerAddress, _ *raft.RequestVoteRequest, _ *raft.RequestVoteResponse) error {
	return r.call(a)
}

func (r *targetRecorder) RequestPreVote(_ raft.ServerID, a raft.ServerAddress, _ *raft.RequestPreVoteRequest, _ *raft.RequestPreVoteResponse) error {
	return r.call(a)
}

func (r *targetRecorder) TimeoutNow(_ raft.ServerID, a raft.ServerAddress, _ *raft.TimeoutNowRequest, _ *raft.TimeoutNowResponse) error {
	return r.call(a)
}

// A member that has moved is called where it was found, until the configuration has changed; then what was found is forgotten.
func TestTransportCallsAMemberWhereItIs(t *testing.T) {
	_, inmem := raft.NewInmemTransport("self")
	r := &targetRecorder{wireTransport: inmem}
	safe := newSafeTransport(r)
	defer closeTransport(t, safe)
	for _, c := range []struct {
		name   string
		before func()
		target raft.ServerAddress
		want   raft.ServerAddress
	}{
		{"where it was never elsewhere", func() {}, "old", "old"},
		{"once it was found", func() { safe.locate("m", "old", "new") }, "old", "new"},
		{"found where it was", func() { safe.locate("m", "old", "old") }, "old", "old"},
		{"once it was found again", func() { safe.locate("m", "old", "new") }, "old", "new"},
		{"once the configuration knows", func() {}, "new", "new"},
		{"when the configuration says as before", func() {}, "old", "old"},
		{"by its name too", func() { safe.named = true }, "old", "m@old"},
	} {
		r.called = nil
		c.before()
		_ = safe.AppendEntries("m", c.target, &raft.AppendEntriesRequest{}, &raft.AppendEntriesResponse{})
		_ = safe.RequestVote("m", c.target, nil, nil)
		_ = safe.RequestPreVote("m", c.target, nil, nil)
		_ = safe.TimeoutNow("m", c.target, nil, nil)
		if want := slices.Repeat([]raft.ServerAddress{c.want}, 4); !slices.Equal(r.called, want) {
			t.Errorf("%s: %s was called at %v, want %v", c.name, c.target, r.called, want)
		}
	}
}

// Another member of the same cluster at the address is not the one that is meant.
func TestPortReachesTheMemberThatIsMeant(t *testing.T) {
	receiver := netTransport(t, member{cluster: nodeID(1), node: nodeID(2)})
	friend := netTransport(t, member{cluster: nodeID(1), node: nodeID(3)})
	request := raft.RequestVoteRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: 3}, Term: 7}
	other := raft.ServerAddress(nodeID(4).String()+placeSeparator) + receiver.LocalAddr()
	if err := friend.RequestVote("f", other, &request, &raft.RequestVoteResponse{}); !errors.Is(err, errOtherNode) {
		t.Errorf("vote asked of another member = %v, want %v", err, errOtherNode)
	}
	meant := raft.ServerAddress(nodeID(2).String()+placeSeparator) + receiver.LocalAddr()
	go answerVote(receiver)
	var response raft.RequestVoteResponse
	if err := friend.RequestVote("f", meant, &request, &response); err != nil || !response.Granted {
		t.Errorf("vote asked of the member = %+v, %v, want granted", response, err)
	}
}

// While a member is given another address it gets no entries at the one before, and the change waits for the call that is under way.
func TestTransportMovesAMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, inmem := raft.NewInmemTransport("self")
		r := &targetRecorder{wireTransport: inmem}
		safe := newSafeTransport(r)
		defer closeTransport(t, safe)
		send := func(target raft.ServerAddress, entries ...*raft.Log) error {
			return safe.AppendEntries("m", target, &raft.AppendEntriesRequest{PrevLogEntry: 7, Entries: entries}, &raft.AppendEntriesResponse{})
		}
		if err := send("old", &raft.Log{Index: 8}); err != nil {
			t.Fatal(err)
		}
		moved := make(chan struct{})
		go func() { safe.move("m", "old"); close(moved) }()
		synctest.Wait()
		select {
		case <-moved:
			t.Error("the change does not wait for Raft to come back from its last call")
		default:
		}
		if err := send("old"); !errors.Is(err, errMoving) {
			t.Errorf("entries to the address before = %v, want %v", err, errMoving)
		}
		<-moved
		if err := safe.AppendEntries("m", "old", &raft.AppendEntriesRequest{}, &raft.AppendEntriesResponse{}); err != nil {
			t.Errorf("heart-beat to the address before = %v, want nil", err)
		}
		if err := send("new"); err != nil {
			t.Errorf("entries to the new address = %v, want nil", err)
		}
		safe.move("m", "new")
		safe.stay("m")
		if err := send("new"); err != nil {
			t.Errorf("entries to a member that stays = %v, want nil", err)
		}
	})
}
