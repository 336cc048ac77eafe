package cluster

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestCheckpoints(t *testing.T) {
	var own checkpoints
	own.add(checkpoint{index: 10, chain: 1, digest: 2})
	own.add(checkpoint{index: 20, chain: 3, digest: 4})
	for _, c := range []struct {
		name   string
		leader checkpoint
		want   error
	}{
		{"agree", checkpoint{10, 1, 2}, nil},
		{"differ in the chain", checkpoint{20, 9, 4}, errDiverged},
		{"differ in the digest", checkpoint{10, 1, 9}, errDiverged},
		{"say nothing of a place where the node has not been", checkpoint{15, 9, 9}, nil},
		{"say nothing at the first one", checkpoint{}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := own.compare(c.leader); !errors.Is(err, c.want) {
				t.Errorf("compare = %v, want %v", err, c.want)
			}
		})
	}
}

func TestNodeThatDiffersFromTheLeaderStops(t *testing.T) {
	nodes := startThree(t)
	leader, followers := awaitLeader(t, nodes)
	for i := range 10 {
		leader.send(t, fmt.Sprint(i))
	}
	wantSame(t, nodes, 10)
	leader.proposeCheck()
	leader.send(t, "between")
	wantSame(t, nodes, 11)
	bad := followers[0]
	bad.fold.mu.Lock()
	bad.fold.checks[0].digest++ // as if it had folded something else
	bad.fold.mu.Unlock()
	leader.proposeCheck()
	select {
	case err := <-bad.result:
		if !errors.Is(err, errDiverged) {
			t.Errorf("run of the node that differs = %v, want %v", err, errDiverged)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("node that differs goes on")
	}
	leader.send(t, "after")
	good := []*running{leader, followers[1]}
	wantSame(t, good, 12)
	for _, n := range good {
		n.stop(t)
	}
	report, err := Verify(t.Context(), leader.cfg.DataDir, nil)
	if err != nil || report.Err() != nil {
		t.Errorf("verify of the leader = %+v, %v, want no fault", report, err)
	}
}
