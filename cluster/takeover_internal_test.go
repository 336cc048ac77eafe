package cluster

import (
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"stampede/internal/loopback"
	"stampede/storage"
)

// A node that was only cut off has sessions when the state comes: they are closed, and it goes on as another incarnation.
func TestNodeThatWasCutOffClosesItsSessionsWhenItTakesAStateOver(t *testing.T) {
	cfgs := cutConfigs(t)
	gates := make(map[string]*loopback.Gate)
	for i := range cfgs {
		gates[cfgs[i].Name] = new(loopback.Gate)
		cfgs[i].Network = gates[cfgs[i].Name]
	}
	leader, followers := startCut(t, cfgs)
	away, stays := followers[0], followers[1]
	leader.sendEach(t, "before", 5)
	wantEqual(t, leader, away)
	index, incarnation := away.Status().AppliedIndex, away.Incarnation()
	gates[away.cfg.Name].Set(true)
	leader.sendEach(t, "while it is cut off", farAhead)
	leader.awaitCut(t, index)
	stays.awaitCut(t, index)
	gates[away.cfg.Name].Set(false)
	away.await(t, "eviction", func() bool { return away.evicted > 0 })
	eventually(t, "another incarnation", func() bool { return !away.Status().Adrift })
	if got := away.Incarnation(); got != incarnation+1 {
		t.Errorf("incarnation = %d, want %d", got, incarnation+1)
	}
	if err := away.SubmitAs(t.Context(), incarnation, []byte{1}, []Ticket{{}}); !errors.Is(err, ErrEvicted) {
		t.Errorf("submission of the incarnation that ended = %v, want %v", err, ErrEvicted)
	}
	leader, _ = awaitLeader(t, []*running{leader, away, stays})
	leader.sendEach(t, "after", 5)
	wantEqual(t, stays, away)
	away.sendEach(t, "from the one that was cut off", 3)
	wantEqual(t, stays, away)
	stopAll(t, []*running{leader, away, stays})
}

// A disk that fails in the middle of a takeover ends the node; the next start finds the old state or the new one.
func TestFaultInATakeoverEndsTheNodeAndNotItsState(t *testing.T) {
	leader, followers := startCut(t, cutConfigs(t))
	away, stays := followers[0], followers[1]
	leader.sendEach(t, "before", 5)
	leaveBehind(t, leader, away, stays, "while it is away", farAhead)
	injected := errors.New("disk failed")
	for _, op := range []storage.Op{storage.OpPutAside, storage.OpTakeOver} {
		failing := away.cfg
		failing.storeFault = func(at storage.Op, _ string) error {
			if at == op {
				return injected
			}
			return nil
		}
		back := startNode(t, failing)
		select {
		case err := <-back.result:
			if !errors.Is(err, injected) {
				t.Errorf("run with a fault at %s = %v, want %v", op, err, injected)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("node goes on after a fault at %s", op)
		}
	}
	again := startNode(t, away.cfg)
	again.awaitReady(t)
	wantEqual(t, leader, again)
	stopAll(t, []*running{leader, stays, again})
}

// A follower whose log has another leader's entries where the state belongs cannot go on with it, but from its next start.
func TestNodeWithAStaleTailTakesAStateOverAndStartsAnew(t *testing.T) {
	leader, followers := startCut(t, cutConfigs(t))
	away, stays := followers[0], followers[1]
	leader.sendEach(t, "before", 5)
	wantEqual(t, leader, away)
	at := away.Status()
	away.stop(t)
	if err := leader.Resign(t.Context()); err != nil {
		t.Fatal(err)
	}
	leader, followers = awaitLeader(t, []*running{leader, stays})
	leader.sendEach(t, "in a later term", farAhead)
	leader.awaitCut(t, at.AppliedIndex)
	appendStale(t, away.cfg, at.Term, leader.Status().LastIndex+100)

	back := startNode(t, away.cfg)
	select {
	case err := <-back.result:
		if !errors.Is(err, ErrStaleTail) {
			t.Fatalf("run = %v, want %v", err, ErrStaleTail)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("node goes on: %+v", back.Status())
	}
	if report, err := Verify(t.Context(), away.cfg.DataDir, nil); err != nil || report.Err() != nil || report.Base != report.Index || report.Index <= at.AppliedIndex {
		t.Errorf("verify = %+v, %v, want the state that was taken over", report, err)
	}
	again := startNode(t, away.cfg)
	again.awaitReady(t)
	leader.sendEach(t, "after", 5)
	wantEqual(t, leader, again)
	stopAll(t, append(followers, leader, again))
}

// appendStale gives a log entries of a term that the cluster has left, up to an index, as one that was cut off while it led would have them.
func appendStale(t *testing.T, cfg Config, term, until uint64) {
	t.Helper()
	disk, log, err := openOffline(cfg.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	last, err := log.LastIndex()
	if err != nil {
		t.Fatal(err)
	}
	var entries []*raft.Log
	for index := last + 1; index <= until; index++ {
		entries = append(entries, &raft.Log{Index: index, Term: term, Type: raft.LogNoop})
	}
	if err := errors.Join(log.StoreLogs(entries), log.Close(), disk.Close()); err != nil {
		t.Fatal(err)
	}
}
