package cluster

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"stampede/broker"
	"stampede/storage"
)

// farAhead is how many entries it takes that Raft has none of the first ones left, neither in its log nor in its cache.
const farAhead = raftCacheEntries + 200

// cutConfigs are three nodes whose logs are cut down to some entries now and then.
func cutConfigs(t *testing.T) []Config {
	t.Helper()
	cfgs := threeConfigs(t, 8<<10)
	for i := range cfgs {
		cfgs[i].logKeep = 50
		cfgs[i].RaftTimeout = 300 * time.Millisecond // a leader that changes by itself would make other tests of these
	}
	return cfgs
}

// startCut starts three of them and gives the leader and the others.
func startCut(t *testing.T, cfgs []Config) (leader *running, followers []*running) {
	t.Helper()
	var nodes []*running
	for _, cfg := range cfgs {
		nodes = append(nodes, startNode(t, cfg))
	}
	for _, n := range nodes {
		n.awaitReady(t)
	}
	return awaitLeader(t, nodes)
}

// sendEach sends messages one after the other, so that each has an entry of its own.
func (r *running) sendEach(t *testing.T, prefix string, n int) {
	t.Helper()
	for i := range n {
		body := fmt.Sprint(prefix, " ", i)
		r.send(t, body)
		r.await(t, "outcome of "+body[:min(len(body), 40)], func() bool { return r.outcomes[body] != 0 })
	}
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// awaitCut waits until the log begins after an index.
func (r *running) awaitCut(t *testing.T, index uint64) {
	t.Helper()
	eventually(t, fmt.Sprintf("cut behind %d at %s", index, r.cfg.Name), func() bool {
		first, err := r.log.FirstIndex()
		if err != nil {
			t.Fatal(err)
		}
		return first > index+1
	})
}

// paceSending has this node send states at so many bytes a second.
func (r *running) paceSending(pace int64) {
	r.snapshots.mu.Lock()
	defer r.snapshots.mu.Unlock()
	r.snapshots.pace = pace
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
	var x, y Status
	eventually(t, fmt.Sprintf("%s as far as %s", b.cfg.Name, a.cfg.Name), func() bool {
		x, y = a.Status(), b.Status()
		return x.DigestIndex == y.DigestIndex && x.AppliedIndex == x.DigestIndex && y.AppliedIndex == y.DigestIndex
	})
	if x.Digest != y.Digest || x.Chain != y.Chain || x.AppliedSeq != y.AppliedSeq {
		t.Errorf("%s and %s differ: %+v, %+v", x.Name, y.Name, x, y)
	}
	if got, want := strings.Join(b.bodies(t), "\n"), strings.Join(a.bodies(t), "\n"); got != want {
		t.Errorf("%s holds %d bytes of messages, %s holds %d", b.cfg.Name, len(got), a.cfg.Name, len(want))
	}
}

// leaveBehind stops a follower and lets the others go on without it, until their logs do not reach back to it.
func leaveBehind(t *testing.T, leader, away, stays *running, prefix string, entries int) {
	t.Helper()
	wantEqual(t, leader, away)
	index := away.Status().AppliedIndex
	away.stop(t)
	leader.sendEach(t, prefix, entries)
	leader.awaitCut(t, index)
	stays.awaitCut(t, index)
}

func TestFollowerThatIsTooFarBehindTakesTheStateOver(t *testing.T) {
	leader, followers := startCut(t, cutConfigs(t))
	away, stays := followers[0], followers[1]
	leader.sendEach(t, "before", 20)
	incarnation := away.Incarnation()
	leaveBehind(t, leader, away, stays, "while it is away", farAhead)

	back := startNode(t, away.cfg)
	back.awaitReady(t)
	eventually(t, "done", func() bool { return back.SnapshotStats().Receiving == 0 })
	if s := back.SnapshotStats(); s.Received != 1 || s.ReceivedBytes == 0 || s.Broken != 0 {
		t.Errorf("received %+v, want one state", s)
	}
	if s, want := leader.SnapshotStats(), back.SnapshotStats().ReceivedBytes; s.Sent != 1 || s.SentBytes < want || s.Sending != 0 {
		t.Errorf("sent %+v, want one state of %d bytes", s, want)
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
	wantProvedBehind(t, away.cfg.DataDir)
}

// wantProvedBehind checks the directory of a node that took a state over: what can be proved is, and what cannot is said.
func wantProvedBehind(t *testing.T, dir string) {
	t.Helper()
	report, err := Verify(t.Context(), dir, nil)
	if err != nil || report.Err() != nil {
		t.Fatalf("verify = %+v, %v, want no fault", report, err)
	}
	if report.Base == 0 || report.Base >= report.Index || report.Entries == 0 || len(report.Unproved) != 1 {
		t.Errorf("verify = %+v, want it to begin at a base and to say so", report)
	}
	if report.Digest != report.DigestOnDisk || report.Chain != report.ChainOnDisk {
		t.Errorf("verify = %+v, want digest and chain as they are on disk", report)
	}
	if err := ReadLog(dir, func(LogEntry) error { return nil }); !errors.Is(err, ErrLogCut) {
		t.Errorf("read log = %v, want %v", err, ErrLogCut)
	}
	disk, log, err := openOffline(dir)
	if err != nil {
		t.Fatal(err)
	}
	store, err := disk.OpenStore(storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	origin, first := store.Origin(), report.Base+1
	origin.Chain++
	var wrong VerifyReport
	if err := wrong.verifyBehind(t.Context(), log, origin, store.Position(), first, nil); err != nil || wrong.Err() == nil {
		t.Errorf("verify from another chain = %+v, %v, want a fault", wrong, err)
	}
	if err := errors.Join(store.Close(), log.Close(), disk.Close()); err != nil {
		t.Error(err)
	}
}

// A node that crashed after it had taken a state over, and before Raft had cut its log, starts with a log that does not lead there.
func TestNodeStartsBehindAStateThatItTookOver(t *testing.T) {
	leader, followers := startCut(t, cutConfigs(t))
	away := followers[0]
	leader.sendEach(t, "before", 5)
	leaveBehind(t, leader, away, followers[1], "while it is away", 200)
	out, err := leader.states.now().Snapshot(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	disk, err := OpenDir(away.cfg.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	in, err := disk.Receive(storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(in, out); err != nil {
		t.Fatal(err)
	}
	store, err := in.Finish()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []func() error{store.Close, in.TakeOver, in.Close, out.Close, disk.Close} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	back := startNode(t, away.cfg)
	back.awaitReady(t)
	leader.sendEach(t, "after", 5)
	wantEqual(t, leader, back)
	stopAll(t, []*running{leader, followers[1], back})
}

// While a state comes, slowly, its receiver answers heart-beats, takes part, and the leader stays.
func TestHeartBeatsGoOnWhileAStateComes(t *testing.T) {
	leader, followers := startCut(t, cutConfigs(t))
	away, stays := followers[0], followers[1]
	leaveBehind(t, leader, away, stays, strings.Repeat("x", 4<<10), farAhead)
	leader.paceSending(2 << 20)
	term := leader.Status().Term
	back := startNode(t, away.cfg)
	id := raft.ServerID(back.ID().String())
	answers := func() uint64 { return leader.consensus.Load().answers(string(id)) }
	eventually(t, "on its way", func() bool { return back.SnapshotStats().ReceivedBytes > 0 })
	before := answers()
	const heartBeats = 5
	eventually(t, "answering heart-beats", func() bool { return answers() >= before+heartBeats })
	if s := back.SnapshotStats(); s.Receiving != 1 || s.Received != 0 {
		t.Errorf("after %d heart-beats: %+v, want a state that is still on its way", heartBeats, s)
	}
	back.awaitReady(t)
	wantEqual(t, leader, back)
	if got := leader.Status().Term; got != term {
		t.Errorf("term = %d, want %d: nobody had to be elected", got, term)
	}
	stopAll(t, []*running{leader, stays, back})
}

// A leader that stops does not wait until a slow transfer is through, and its follower stays as it was, and gets the state from the next leader.
func TestTransferThatBreaksOffChangesNothing(t *testing.T) {
	leader, followers := startCut(t, cutConfigs(t))
	away, stays := followers[0], followers[1]
	leaveBehind(t, leader, away, stays, strings.Repeat("x", 4<<10), farAhead)
	before := away.Status()
	leader.paceSending(64 << 10) // it would take a minute
	back := startNode(t, away.cfg)
	eventually(t, "on its way", func() bool { return back.SnapshotStats().ReceivedBytes > 0 })
	if got := back.Status(); got.AppliedIndex != before.AppliedIndex || got.Digest != before.Digest {
		t.Errorf("while the state comes the node is at %d, want %d as before", got.AppliedIndex, before.AppliedIndex)
	}
	leader.stop(t)
	if s := leader.SnapshotStats(); s.Sent != 0 || s.Broken == 0 || s.Sending != 0 {
		t.Errorf("leader that stopped sent %+v, want nothing whole", s)
	}
	back.awaitReady(t)
	eventually(t, "one that was broken off and a whole one", func() bool {
		s := back.SnapshotStats()
		return s.Receiving == 0 && s.Received == 1 && s.Broken > 0
	})
	wantEqual(t, stays, back)
	stopAll(t, []*running{stays, back})
}

// A receiver that stops in the middle is, at the next start, what it was.
func TestReceiverThatStopsIsWhatItWas(t *testing.T) {
	leader, followers := startCut(t, cutConfigs(t))
	away, stays := followers[0], followers[1]
	leaveBehind(t, leader, away, stays, strings.Repeat("x", 4<<10), farAhead)
	before := away.Status()
	leader.paceSending(64 << 10)
	back := startNode(t, away.cfg)
	eventually(t, "on its way", func() bool { return back.SnapshotStats().ReceivedBytes > 0 })
	back.stop(t)
	if got := back.Status(); got.AppliedIndex != before.AppliedIndex || got.Digest != before.Digest {
		t.Errorf("node is at %d, want %d as before", got.AppliedIndex, before.AppliedIndex)
	}
	if report, err := Verify(t.Context(), away.cfg.DataDir, nil); err != nil || report.Index != before.AppliedIndex || len(report.Faults) > 0 {
		t.Errorf("verify = %+v, %v, want the state as before", report, err)
	}
	leader.paceSending(0)
	again := startNode(t, away.cfg)
	again.awaitReady(t)
	wantEqual(t, leader, again)
	stopAll(t, []*running{leader, stays, again})
}
