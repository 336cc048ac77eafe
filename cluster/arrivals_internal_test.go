package cluster

import (
	"errors"
	"io"
	"testing"

	"github.com/hashicorp/raft"

	"stampede/storage"
)

// What a node has in its log it does not take over, which would take it back.
func TestStateThatBringsNothingIsNotTaken(t *testing.T) {
	leader, followers := startCut(t, cutConfigs(t))
	leader.sendEach(t, "before", 5)
	follower := followers[0]
	wantEqual(t, leader, follower)
	have := follower.Status()
	request := &raft.InstallSnapshotRequest{Term: have.Term, LastLogIndex: have.AppliedIndex, LastLogTerm: have.Term}
	if done, answer, err := follower.arrivals.take(request, nil); done != nil || !answer.Success || err != nil {
		t.Errorf("answer to a state at the place of the node = %+v, %v, want success", answer, err)
	}
	old := &raft.InstallSnapshotRequest{Term: have.Term - 1, LastLogIndex: have.AppliedIndex + 100, LastLogTerm: have.Term}
	if done, answer, err := follower.arrivals.take(old, nil); done != nil || answer.Success || answer.Term != have.Term || err != nil {
		t.Errorf("answer to a leader that was = %+v, %v, want term %d and no success", answer, err, have.Term)
	}
	follower.fold.mu.Lock()
	_, err := follower.compareLocked(&arrival{position: storage.Position{Index: have.AppliedIndex, Term: have.Term}})
	follower.fold.mu.Unlock()
	if !errors.Is(err, errNotAhead) {
		t.Errorf("compare = %v, want %v", err, errNotAhead)
	}
	if err := (statePersisted{follower.Node, have.AppliedIndex + 1}).Persist(stateSink{"1-1"}); !errors.Is(err, errNotDurable) {
		t.Errorf("persist beyond what was folded = %v, want %v", err, errNotDurable)
	}
	stopAll(t, append(followers, leader))
}

// A state that begins to come ends the one that is still coming, and waits for one that is being installed.
func TestArrivalsTakeOneStateAtATime(t *testing.T) {
	leader, followers := startCut(t, cutConfigs(t))
	leader.sendEach(t, "message", 30)
	eventually(t, "durable", func() bool { return leader.states.now().Position().Index > 20 })
	disk, err := OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &arrivals{disk: disk, options: func() storage.Options { return storage.Options{} }, has: func(uint64, uint64) bool { return false }, term: func() uint64 { return 0 }}
	snapshot := func() (*raft.InstallSnapshotRequest, Outgoing) {
		out, err := leader.states.now().Snapshot(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		return &raft.InstallSnapshotRequest{Term: 3, LastLogIndex: out.Position.Index, LastLogTerm: out.Position.Term, Size: out.Size}, out
	}

	request, out := snapshot()
	half, stalled := io.Pipe()
	first := make(chan error, 1)
	go func() {
		_, _, err := s.take(request, half)
		first <- err
	}()
	if _, err := io.CopyN(stalled, out, out.Size/2); err != nil {
		t.Fatal(err)
	}
	old, late := snapshot()
	old.Term = 2
	if _, _, err := s.take(old, late); !errors.Is(err, errSuperseded) {
		t.Errorf("state of an earlier term while one comes = %v, want %v", err, errSuperseded)
	}
	second, whole := snapshot()
	done, answer, err := s.take(second, whole)
	if err != nil || done == nil {
		t.Fatalf("second state = %+v, %v, want it taken", answer, err)
	}
	rest := make(chan struct{})
	go func() {
		defer close(rest)
		_, _ = io.Copy(stalled, out) // it is not taken any more
	}()
	if err := <-first; err == nil {
		t.Error("first state was taken, want it broken off")
	}
	if err := half.Close(); err != nil {
		t.Error(err)
	}
	<-rest
	if a := s.whole(); a == nil || a.position.Index != second.LastLogIndex {
		t.Errorf("waiting to be installed: %+v, want the second", a)
	}

	third, another := snapshot()
	began := make(chan error, 1)
	go func() {
		done, _, err := s.take(third, another)
		if err == nil {
			done()
		}
		began <- err
	}()
	if a := s.whole(); a == nil || a.position.Index != second.LastLogIndex {
		t.Errorf("waiting to be installed: %+v, want the second still", a)
	}
	done()
	if err := <-began; err != nil {
		t.Errorf("third state = %v, want it taken", err)
	}
	wrong, yetAnother := snapshot()
	wrong.LastLogIndex++
	if _, _, err := s.take(wrong, yetAnother); !errors.Is(err, errOtherState) {
		t.Errorf("state of another index than announced = %v, want %v", err, errOtherState)
	}
	var stats SnapshotStats
	s.figures(&stats)
	if stats.Receiving != 0 || stats.Received != 0 || stats.Broken != 4 {
		t.Errorf("figures = %+v, want four that were not taken over", stats)
	}
	for _, closing := range []func() error{stalled.Close, late.Close, out.Close, whole.Close, another.Close, yetAnother.Close, disk.Close} {
		if err := closing(); err != nil {
			t.Error(err)
		}
	}
	stopAll(t, append(followers, leader))
}
