package cluster

import (
	"fmt"
	"io"
	"testing"
	"time"

	"stampede/broker"
)

// cutConfigs are three nodes whose logs are cut down to some entries now and then.
func cutConfigs(t *testing.T) []Config {
	t.Helper()
	cfgs := threeConfigs(t, 8<<10)
	for i := range cfgs {
		cfgs[i].logKeep = 50
	}
	return cfgs
}

// sendEach sends messages one after the other, so that each has an entry of its own.
func (r *running) sendEach(t *testing.T, prefix string, n int) {
	t.Helper()
	for i := range n {
		body := fmt.Sprint(prefix, " ", i)
		r.send(t, body)
		r.await(t, "outcome of "+body, func() bool { return r.outcomes[body] != 0 })
	}
}

// awaitCut waits until the log begins after an index.
func (r *running) awaitCut(t *testing.T, index uint64) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(5 * time.Millisecond) {
		first, err := r.log.FirstIndex()
		if err != nil {
			t.Fatal(err)
		}
		if first > index+1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the log of %s begins at %d, want after %d", r.cfg.Name, first, index)
		}
	}
}

// bodies reads all messages of a topic from the store and from memory.
func (r *running) bodies(t *testing.T) (all []string) {
	t.Helper()
	next := broker.Seq(1)
	for next <= r.Applied() {
		msgs, after, err := r.Scan("/topic/x", nil, next, 1000, 1<<20, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range msgs {
			all = append(all, fmt.Sprint(m.Seq, string(m.Body)))
		}
		next = after
	}
	return all
}

// wantEqual waits until two nodes are equally far and compares what they hold.
func wantEqual(t *testing.T, a, b *running) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(5 * time.Millisecond) {
		x, y := a.Status(), b.Status()
		if x.DigestIndex == y.DigestIndex && x.AppliedIndex == x.DigestIndex && y.AppliedIndex == y.DigestIndex {
			if x.Digest != y.Digest || x.Chain != y.Chain || x.AppliedSeq != y.AppliedSeq {
				t.Errorf("%s and %s differ: %+v, %+v", x.Name, y.Name, x, y)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("never equally far: %+v, %+v", x, y)
		}
	}
	if got, want := fmt.Sprint(b.bodies(t)), fmt.Sprint(a.bodies(t)); got != want {
		t.Errorf("%s holds %d bytes of messages, %s holds %d", b.cfg.Name, len(got), a.cfg.Name, len(want))
	}
}

func TestFollowerThatIsTooFarBehindTakesTheStateOver(t *testing.T) {
	var nodes []*running
	for _, cfg := range cutConfigs(t) {
		nodes = append(nodes, startNode(t, cfg))
	}
	for _, n := range nodes {
		n.awaitReady(t)
	}
	leader, followers := awaitLeader(t, nodes)
	leader.sendEach(t, "before", 20)
	away, stays := followers[0], followers[1]
	wantEqual(t, leader, away)
	index, incarnation := away.Status().AppliedIndex, away.Incarnation()
	away.stop(t)
	leader.sendEach(t, "while it is away", raftCacheEntries+200) // more than Raft keeps in memory beside the log
	leader.awaitCut(t, index)
	stays.awaitCut(t, index)

	back := startNode(t, away.cfg)
	back.awaitReady(t)
	if s := back.SnapshotStats(); s.Received != 1 || s.ReceivedBytes == 0 {
		t.Errorf("received %+v, want one state", s)
	}
	if got := back.Incarnation(); got != incarnation+2 {
		t.Errorf("incarnation = %d, want %d: one for the start and one for the state that was taken over", got, incarnation+2)
	}
	wantEqual(t, leader, back)
	back.send(t, "from the one that came back")
	leader.await(t, "its message", func() bool { return leader.stored[len(leader.stored)-1] == "from the one that came back" })
	leader.sendEach(t, "after", 20)
	wantEqual(t, leader, back)

	back.stop(t)
	again := startNode(t, away.cfg)
	again.awaitReady(t)
	if s := again.SnapshotStats(); s.Received != 0 {
		t.Errorf("received %+v after a restart, want none: the log goes on", s)
	}
	wantEqual(t, leader, again)
	stopAll(t, []*running{leader, stays, again})
}

// A node that crashed after it had taken a state over, and before Raft had cut its log, starts with a log that does not lead there.
func TestNodeStartsBehindAStateThatItTookOver(t *testing.T) {
	var nodes []*running
	for _, cfg := range cutConfigs(t) {
		nodes = append(nodes, startNode(t, cfg))
	}
	for _, n := range nodes {
		n.awaitReady(t)
	}
	leader, followers := awaitLeader(t, nodes)
	away := followers[0]
	leader.sendEach(t, "before", 5)
	wantEqual(t, leader, away)
	index := away.Status().AppliedIndex
	away.stop(t)
	leader.sendEach(t, "while it is away", 200)
	leader.awaitCut(t, index)
	out, err := leader.states.now().Snapshot(0)
	if err != nil {
		t.Fatal(err)
	}
	disk, err := OpenDir(away.cfg.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	in, err := disk.Receive()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(in, out); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Finish(); err != nil {
		t.Fatal(err)
	}
	if err := disk.TakeOver(); err != nil {
		t.Fatal(err)
	}
	for _, closing := range []func() error{out.Close, disk.Close} {
		if err := closing(); err != nil {
			t.Fatal(err)
		}
	}
	back := startNode(t, away.cfg)
	back.awaitReady(t)
	leader.sendEach(t, "after", 5)
	wantEqual(t, leader, back)
	stopAll(t, []*running{leader, followers[1], back})
}
