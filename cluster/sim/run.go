package sim

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// This file is one run: a world, its clients, what goes wrong, and what must hold in the end.

// convergeMax is how long a cluster may take to be whole again: a node that was given up, and its sessions, included.
const convergeMax = 40 * time.Second

// Result is what became of a run.
type Result struct {
	Faults, Notes []string
	Summary       string
}

// Run lives through one seed, in fake time. It must be called in a bubble of testing/synctest.
func Run(seed uint64, lasts time.Duration, logger *slog.Logger) Result {
	machines := 3
	if seed%8 == 7 {
		machines = 5
	}
	w := NewWorld(seed, machines, logger)
	for _, m := range w.Machines {
		m.Start()
	}
	if err := w.AwaitConvergence(convergeMax); err != nil {
		w.History.Fault("founding: %v", err)
	} else {
		w.live(seed, lasts)
	}
	w.Stop()
	faults, notes := w.History.Faults()
	return Result{Faults: faults, Notes: notes, Summary: w.History.Summary()}
}

// live puts clients to the cluster, torments it, and checks what is left.
func (w *World) live(seed uint64, lasts time.Duration) {
	var calm, over atomic.Bool
	var publishing, reading sync.WaitGroup
	var readers []string
	make1 := func(name string) client {
		seed++
		return client{name: name, world: w, random: rand.New(rand.NewPCG(seed, 2)), calm: &calm, over: &over}
	}
	for i := range 3 {
		s := &subscriber{client: make1(fmt.Sprint("sub", i)), topic: "/topic/a"}
		q := &consumer{client: make1(fmt.Sprint("consumer", i)), queue: "/queue/a"}
		readers = append(readers, s.name, q.name)
		reading.Go(s.run)
		reading.Go(q.run)
	}
	for i := range 2 {
		publishing.Go((&publisher{client: make1(fmt.Sprint("topic", i)), topic: "/topic/a"}).run)
		publishing.Go((&publisher{client: make1(fmt.Sprint("queue", i)), queue: "/queue/a"}).run)
	}
	publishing.Go((&publisher{client: make1("both"), topic: "/topic/a", queue: "/queue/a"}).run)
	publishing.Go((&publisher{client: make1("fast"), topic: "/topic/a", unlogged: true}).run)
	publishing.Go((&publisher{client: make1("mixed"), topic: "/topic/a", mixed: true}).run)

	w.Torment(lasts)
	calm.Store(true)
	publishing.Wait()
	if err := w.AwaitConvergence(convergeMax); err != nil {
		w.History.Fault("%v", err)
	}
	w.CheckStates()
	time.Sleep(time.Second) // what is on its way to subscribers arrives
	over.Store(true)
	for _, name := range readers {
		w.Net.Kill(name)
	}
	reading.Wait()
	w.History.Check()
}
