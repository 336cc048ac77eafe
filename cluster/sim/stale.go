package sim

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"stampede/broker"
	"stampede/cluster"
)

// This file is one story that chance tells too rarely: a leader that was cut off comes back with entries that nobody has, while the next
// leader waits for its disk.

// RunStaleSuffix lives through the story once. A leader that is cut off appends entries of its own and dies. The next leader's first append is slow;
// meanwhile it tries in vain to reach the dead one, and is in the middle of such a try when its own entries are committed. The one that
// comes back just then must not take the commit index for its own entries'. It must be called in a bubble of testing/synctest.
func RunStaleSuffix(seed uint64, logger *slog.Logger) Result {
	w := NewWorld(seed, 3, logger)
	for _, m := range w.Machines {
		m.Start()
	}
	if err := w.AwaitConvergence(convergeMax); err != nil {
		w.History.Fault("founding: %v", err)
	} else {
		w.staleSuffix()
		w.Mend()
		if err := w.AwaitConvergence(convergeMax); err != nil {
			w.History.Fault("%v", err)
		}
		w.CheckStates()
	}
	w.Stop()
	faults, notes := w.History.Faults()
	return Result{Faults: faults, Notes: notes, Summary: w.History.Summary()}
}

func (w *World) staleSuffix() {
	old := w.Leader()
	var next *Machine // the one that stands first: the lowest id of those that are left
	for _, m := range w.Machines {
		if m != old && (next == nil || m.Node().ID().Compare(next.Node().ID()) < 0) {
			next = m
		}
	}
	w.submit(old, "before")
	time.Sleep(200 * time.Millisecond)
	w.isolate(old, true, true)
	for i := range 6 {
		w.submit(old, fmt.Sprint("stale ", i))
		time.Sleep(10 * time.Millisecond)
	}
	slow := w.between(500*time.Millisecond, 900*time.Millisecond)
	next.Disk.SetNext(slow)
	old.Crash()
	w.Net.Heal()
	for range 3000 {
		if w.Leader() == next {
			break
		}
		time.Sleep(time.Millisecond)
	}
	w.submit(next, "new")
	w.History.Note("%s leads, its first append takes %v; %s comes back with a stale suffix", next.Name, slow, old.Name)
	time.Sleep(slow - w.between(20*time.Millisecond, 120*time.Millisecond))
	old.Start()
	time.Sleep(3 * time.Second)
	w.submit(next, "after")
	time.Sleep(time.Second)
}

// submit sends a message at a node, whatever becomes of it.
func (w *World) submit(m *Machine, body string) {
	facts := broker.AppendFact(nil, broker.MessageSent{Message: &broker.Message{Kind: broker.KindTopic, Dest: "/topic/a", Body: []byte(body)}})
	if err := m.Node().Submit(context.Background(), facts, []cluster.Ticket{{Lasting: true}}); err != nil {
		w.History.Note("%s: %v", m.Name, err)
	}
}
