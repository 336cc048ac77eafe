package cluster

// These tests show each fault of the bare transport first, and then that the safe one closes it.

import (
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// A follower has entries 6 to 9 that were never committed. A leader of term 2 says that 100 is committed, and that the follower agrees up to 5.
func TestTransportCapsCommitOfFollower(t *testing.T) {
	eachTransport(t, func(t *testing.T, safe bool) {
		h := newHarness(safe, "f", "l", "o")
		h.order = []string{"f", "l", "o"}
		for _, id := range h.order {
			h.fill(id, 9, plain)
		}
		h.start(t)
		defer h.stop(t)
		_, driver := raft.NewInmemTransport("l")
		driver.Connect("f", h.peers["f"].inmem)
		request := raft.AppendEntriesRequest{
			RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte("l"), Addr: []byte("l")},
			Term:      2, PrevLogEntry: 5, PrevLogTerm: 1, LeaderCommitIndex: 100,
		}
		var response raft.AppendEntriesResponse
		if err := driver.AppendEntries("f", "f", &request, &response); err != nil || !response.Success {
			t.Fatalf("append = %v, %+v", err, response)
		}
		synctest.Wait()
		got := h.peers["f"].raft.AppliedIndex()
		if want := map[bool]uint64{false: 9, true: 5}[safe]; got != want {
			t.Errorf("applied = %d, want %d", got, want)
		}
		if request.LeaderCommitIndex != 100 {
			t.Errorf("commit index of the sender's own request = %d, want it left at 100", request.LeaderCommitIndex)
		}
	})
}

// A new leader's first append is slow, and a follower with a stale suffix cannot be reached meanwhile. Raft waits in its back-off with the
// last index of before, and then sends it, with no entry, the commit index of after.
func TestTransportKeepsStaleSuffixFromBeingApplied(t *testing.T) {
	eachTransport(t, func(t *testing.T, safe bool) {
		h := newHarness(safe, "l", "o", "f")
		h.commitTimeout = time.Millisecond
		h.fill("l", 5, plain)
		h.fill("o", 5, plain)
		h.fill("f", 9, func(i uint64) string {
			if i > 5 {
				return "STALE"
			}
			return plain(i)
		})
		leader, follower := h.peers["l"], h.peers["f"]
		leader.store.delay = 36 * time.Millisecond
		h.start(t)
		defer h.stop(t)

		leader.inmem.Disconnect("f")
		h.elect(t, "l")
		go reconnectAfter(leader, follower, 38*time.Millisecond)
		for leader.raft.State() != raft.Leader {
			time.Sleep(time.Microsecond)
		}
		if err := leader.raft.Apply([]byte("NEW"), 0).Error(); err != nil {
			t.Fatalf("apply: %v", err)
		}
		time.Sleep(5 * time.Second)

		want, got := leader.fsm.all(), follower.fsm.all()
		if want[len(want)-1] != "7/2:NEW" {
			t.Fatalf("leader applied %v, want NEW last", want)
		}
		diverged := slices.ContainsFunc(got, func(s string) bool { return strings.HasSuffix(s, "STALE") })
		switch {
		case !safe && !diverged:
			t.Error("bare transport did not diverge: the scenario shows nothing any more")
		case safe && (diverged || !slices.Equal(got, want)):
			t.Errorf("follower applied %v, want %v", got, want)
		}
	})
}

func reconnectAfter(from, to *peer, d time.Duration) {
	time.Sleep(d)
	from.inmem.Connect(raft.ServerAddress(to.id), to.inmem)
}

// An entry is applied by the leader on an idle cluster: when do the followers apply it?
func TestTransportNudgesFollowers(t *testing.T) {
	eachTransport(t, func(t *testing.T, safe bool) {
		h := newHarness(safe, "l", "o", "f")
		for _, id := range h.order {
			h.fill(id, 3, plain)
		}
		h.start(t)
		defer h.stop(t)
		h.elect(t, "l")
		time.Sleep(3 * time.Second)
		var lag time.Duration // the longest: by chance a follower hears at once from the bare transport too
		for range 20 {
			lag = max(lag, applyLag(t, h, "l", "o", "f"))
			time.Sleep(time.Second)
		}
		if safe && lag > time.Millisecond {
			t.Errorf("followers applied %v after the leader, want at once", lag)
		}
		if !safe && lag < 10*time.Millisecond {
			t.Errorf("bare transport's followers applied after %v: the nudge is of no use any more", lag)
		}
	})
}

// applyLag applies one entry and returns how long after the leader the others applied it.
func applyLag(t *testing.T, h *harness, leader string, others ...string) time.Duration {
	t.Helper()
	l := h.peers[leader].raft
	if err := l.Apply([]byte("now"), 0).Error(); err != nil {
		t.Fatalf("apply: %v", err)
	}
	start := time.Now()
	for _, id := range others {
		for h.peers[id].raft.AppliedIndex() < l.AppliedIndex() {
			time.Sleep(100 * time.Microsecond)
		}
	}
	return time.Since(start)
}

// A follower missed entries of 9 MiB together: it gets them in several calls, and all of them.
func TestTransportTrimsLargeAppends(t *testing.T) {
	eachTransport(t, func(t *testing.T, safe bool) {
		h := newHarness(safe, "l", "o", "f")
		for _, id := range h.order {
			h.fill(id, 3, plain)
		}
		h.start(t)
		defer h.stop(t)
		leader, follower := h.peers["l"], h.peers["f"]
		h.elect(t, "l")
		time.Sleep(time.Second)
		leader.inmem.Disconnect("f")
		big := strings.Repeat("x", 3<<20)
		for range 3 {
			if err := leader.raft.Apply([]byte(big), 0).Error(); err != nil {
				t.Fatalf("apply: %v", err)
			}
		}
		leader.inmem.Connect("f", follower.inmem)
		time.Sleep(30 * time.Second)
		if got, want := follower.fsm.all(), leader.fsm.all(); !slices.Equal(got, want) {
			t.Errorf("follower applied %v, want %v", got, want)
		}
		most := follower.store.largest()
		if safe && most > appendBytesMax {
			t.Errorf("largest append = %d bytes, want at most %d", most, appendBytesMax)
		}
		if !safe && most <= appendBytesMax {
			t.Errorf("largest append of the bare transport = %d bytes: the trimming is of no use any more", most)
		}
	})
}

// The leader does not hold back: an entry above the limit goes alone.
func TestTransportSendsOneEntryWhateverItWeighs(t *testing.T) {
	wire := &wireRecorder{}
	safe := newSafeTransport(wire)
	defer closeTransport(t, safe)
	huge := &raft.Log{Index: 8, Term: 2, Data: make([]byte, 3*appendBytesMax)}
	request := raft.AppendEntriesRequest{Term: 2, PrevLogEntry: 7, PrevLogTerm: 2, Entries: []*raft.Log{huge, {Index: 9, Term: 2, Data: []byte("x")}}, LeaderCommitIndex: 9}
	if err := safe.AppendEntries("f", "f", &request, &raft.AppendEntriesResponse{}); err != nil {
		t.Fatal(err)
	}
	sent := wire.requests()[0]
	if got := len(sent.Entries); got != 1 {
		t.Errorf("entries sent = %d, want 1", got)
	}
	if got := len(request.Entries); got != 1 {
		t.Errorf("entries left in the caller's request = %d, want 1: Raft reads from it how far the follower has come", got)
	}
	if got := sent.LeaderCommitIndex; got != 8 {
		t.Errorf("commit index = %d, want 8, that of the one entry sent", got)
	}
}

// A nudge claims no more than what the follower acknowledged.
func TestTransportNudgeClaimsNoMoreThanAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire := &wireRecorder{}
		safe := newSafeTransport(wire)
		defer closeTransport(t, safe)
		request := raft.AppendEntriesRequest{Term: 2, PrevLogEntry: 4, PrevLogTerm: 1, Entries: []*raft.Log{{Index: 5, Term: 2}}, LeaderCommitIndex: 3}
		if err := safe.AppendEntries("f", "f", &request, &raft.AppendEntriesResponse{}); err != nil {
			t.Fatal(err)
		}
		safe.nudge(9)
		synctest.Wait()
		sent := wire.requests()
		if len(sent) != 2 {
			t.Fatalf("%d requests, want the append and one nudge", len(sent))
		}
		if n := sent[1]; n.PrevLogEntry != 5 || n.PrevLogTerm != 2 || n.LeaderCommitIndex != 5 || len(n.Entries) != 0 || n.Term != 2 {
			t.Errorf("nudge = %+v, want previous 5/2, commit 5, no entries, term 2", n)
		}
		safe.nudge(10)
		synctest.Wait()
		if got := len(wire.requests()); got != 2 {
			t.Errorf("%d requests after a commit that the follower cannot use, want 2", got)
		}
		safe.forgetPeers()
		safe.nudge(11)
		synctest.Wait()
		if got := len(wire.requests()); got != 2 {
			t.Errorf("%d requests after the leadership ended, want 2", got)
		}
	})
}

func TestTransportOffersNoPipeline(t *testing.T) {
	eachTransport(t, func(t *testing.T, safe bool) {
		_, inmem := raft.NewInmemTransport("l")
		_, other := raft.NewInmemTransport("f")
		inmem.Connect("f", other)
		var transport raft.Transport = inmem
		if safe {
			s := newSafeTransport(inmem)
			defer closeTransport(t, s)
			transport = s
		}
		pipeline, err := transport.AppendEntriesPipeline("f", "f")
		if refused := errors.Is(err, raft.ErrPipelineReplicationNotSupported); refused != safe {
			t.Errorf("pipeline refused = %v (%v), want %v", refused, err, safe)
		}
		if pipeline != nil {
			if err := pipeline.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// A heart-beat over the network goes to Raft's main loop, not to the handler that Raft offers for it.
func TestTransportHasNoHeartbeatFastPath(t *testing.T) {
	for _, safe := range []bool{false, true} {
		t.Run(map[bool]string{false: "bare", true: "safe"}[safe], func(t *testing.T) {
			receiver := netTransport(t, member{cluster: nodeID(1), node: nodeID(2)})
			sender := netTransport(t, member{cluster: nodeID(1), node: nodeID(3)})
			var transport raft.Transport = receiver
			if safe {
				s := newSafeTransport(receiver)
				defer closeTransport(t, s)
				transport = s
			}
			took := make(chan string, 1)
			transport.SetHeartbeatHandler(func(call raft.RPC) {
				call.Respond(&raft.AppendEntriesResponse{}, nil)
				took <- "handler"
			})
			done := make(chan struct{})
			defer close(done)
			go consumeOne(transport, took, done)
			request := raft.AppendEntriesRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte("l"), Addr: []byte("l")}, Term: 1}
			if err := sender.AppendEntries("f", receiver.LocalAddr(), &request, &raft.AppendEntriesResponse{}); err != nil {
				t.Fatal(err)
			}
			if got, want := <-took, map[bool]string{false: "handler", true: "main loop"}[safe]; got != want {
				t.Errorf("heart-beat went to the %s, want the %s", got, want)
			}
		})
	}
}

func consumeOne(transport raft.Transport, took chan<- string, done <-chan struct{}) {
	select {
	case call := <-transport.Consumer():
		call.Respond(&raft.AppendEntriesResponse{}, nil)
		took <- "main loop"
	case <-done:
	}
}

// A node alone leads in no time when it campaigns, and waits for its timeout otherwise.
func TestTransportCampaignLeadsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(true, "l")
		h.fill("l", 3, plain)
		h.start(t)
		defer h.stop(t)
		start := time.Now()
		time.Sleep(time.Second)
		if got := h.peers["l"].raft.State(); got != raft.Follower {
			t.Fatalf("state without a campaign = %v, want follower until the timeout", got)
		}
		if err := h.peers["l"].safe.campaign(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := h.peers["l"].raft.State(); got != raft.Leader || time.Since(start) != time.Second {
			t.Errorf("state = %v after %v, want leader at once", got, time.Since(start)-time.Second)
		}
	})
}

// While a state is received other calls pass; Raft hears of the state when it is here, and copies nothing.
func TestTransportReceivesAStateBesideRaft(t *testing.T) {
	_, sender := raft.NewInmemTransport("l")
	_, receiver := raft.NewInmemTransport("f")
	sender.Connect("f", receiver)
	safe := newSafeTransport(receiver)
	defer closeTransport(t, safe)
	begun, here, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	safe.receiveStates(func(request *raft.InstallSnapshotRequest, r io.Reader) (func(), *raft.InstallSnapshotResponse, error) {
		close(begun)
		<-here
		if b, err := io.ReadAll(r); string(b) != "state" || err != nil || request.LastLogIndex != 7 {
			t.Errorf("state = %q, %v of %+v", b, err, request)
		}
		return func() { close(over) }, nil, nil
	})
	answered := make(chan error, 1)
	go func() {
		var response raft.InstallSnapshotResponse
		err := sender.InstallSnapshot("f", "f", &raft.InstallSnapshotRequest{Term: 3, LastLogIndex: 7, Size: 5}, &response, strings.NewReader("state"))
		if err == nil && !response.Success {
			err = errors.New("no success")
		}
		answered <- err
	}()
	<-begun
	took := make(chan string, 1)
	done := make(chan struct{})
	defer close(done)
	go consumeOne(safe, took, done)
	if err := sender.AppendEntries("f", "f", &raft.AppendEntriesRequest{Term: 3}, &raft.AppendEntriesResponse{}); err != nil {
		t.Errorf("heart-beat while a state comes: %v", err)
	}
	<-took
	close(here)
	call := <-safe.Consumer()
	request, ok := call.Command.(*raft.InstallSnapshotRequest)
	if b, err := io.ReadAll(call.Reader); !ok || request.LastLogIndex != 7 || request.Size != 0 || len(b) != 0 || err != nil {
		t.Errorf("raft was given %+v and %q, %v, want the request and nothing to copy", call.Command, b, err)
	}
	select {
	case <-over:
		t.Error("state was let go before raft had answered")
	default:
	}
	call.Respond(&raft.InstallSnapshotResponse{Success: true}, nil)
	if err := <-answered; err != nil {
		t.Errorf("sender was answered %v, want what raft said", err)
	}
	<-over
}

// A state that is not needed is answered with success, one that is wrong with its fault; Raft hears of neither.
func TestTransportAnswersForAStateThatRaftDoesNotSee(t *testing.T) {
	for _, fault := range []error{nil, errOtherState} {
		_, sender := raft.NewInmemTransport("l")
		_, receiver := raft.NewInmemTransport("f")
		sender.Connect("f", receiver)
		safe := newSafeTransport(receiver)
		safe.receiveStates(func(*raft.InstallSnapshotRequest, io.Reader) (func(), *raft.InstallSnapshotResponse, error) {
			return nil, &raft.InstallSnapshotResponse{Success: fault == nil}, fault
		})
		state := strings.NewReader("state")
		var response raft.InstallSnapshotResponse
		err := sender.InstallSnapshot("f", "f", &raft.InstallSnapshotRequest{Term: 3, Size: 5}, &response, state)
		if (err == nil) != (fault == nil) || response.Success != (fault == nil) {
			t.Errorf("answer to a state with fault %v = %+v, %v", fault, response, err)
		}
		if state.Len() != 0 {
			t.Errorf("%d bytes of the state were left where the next call begins", state.Len())
		}
		closeTransport(t, safe)
	}
}

// wireRecorder is a transport whose peers accept everything.
type wireRecorder struct {
	raft.InmemTransport
	mu   sync.Mutex
	sent []raft.AppendEntriesRequest
}

func (w *wireRecorder) AppendEntries(_ raft.ServerID, _ raft.ServerAddress, request *raft.AppendEntriesRequest, response *raft.AppendEntriesResponse) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, *request)
	*response = raft.AppendEntriesResponse{Term: request.Term, Success: true}
	return nil
}

func (w *wireRecorder) requests() []raft.AppendEntriesRequest {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.sent)
}

func closeTransport(t *testing.T, s *safeTransport) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close transport: %v", err)
	}
}
