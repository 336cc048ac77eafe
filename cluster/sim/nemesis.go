package sim

import (
	"fmt"
	"time"
)

// This file is what goes wrong.

// Torment lets things go wrong for a time, and mends everything then.
func (w *World) Torment(lasts time.Duration) {
	end := time.Now().Add(lasts)
	for time.Now().Before(end) {
		time.Sleep(w.between(200*time.Millisecond, 3*time.Second))
		w.misfortune()
	}
	w.Mend()
}

// Mend heals the network and the disks, and starts what does not run.
func (w *World) Mend() {
	w.Net.Heal()
	w.Net.SetLatency(200 * time.Microsecond)
	for _, m := range w.Machines {
		m.Disk.SetSlow(time.Millisecond)
		m.Start()
	}
}

func (w *World) between(least, most time.Duration) time.Duration {
	return least + time.Duration(w.random.Int64N(int64(most-least)))
}

func (w *World) anyone() *Machine { return w.Machines[w.random.IntN(len(w.Machines))] }

// misfortune is one fault, for as long as it lasts.
func (w *World) misfortune() {
	m, lasts := w.anyone(), w.between(50*time.Millisecond, 4*time.Second)
	if w.random.IntN(6) == 0 {
		lasts = w.between(10*time.Second, 14*time.Second) // long enough to be given up
	}
	if leader := w.Leader(); leader != nil && w.random.IntN(2) == 0 {
		m = leader
	}
	kind := w.random.IntN(9)
	w.History.Note("%s for %v: %s", faultNames[kind], lasts, m.Name)
	switch kind {
	case 0, 1:
		m.Crash()
		time.Sleep(lasts)
		m.Start()
	case 2:
		for _, one := range w.Machines {
			one.Crash()
		}
		time.Sleep(w.between(50*time.Millisecond, time.Second))
		for _, one := range w.Machines {
			one.Start()
		}
	case 3:
		w.isolate(m, true, true)
		time.Sleep(lasts)
		w.Net.Heal()
	case 4:
		w.isolate(m, true, false)
		time.Sleep(lasts)
		w.Net.Heal()
	case 5:
		w.isolate(m, false, true)
		time.Sleep(lasts)
		w.Net.Heal()
	case 6:
		for _, other := range w.Machines {
			w.Net.Cut(m.Name, other.Name)
		}
	case 7:
		m.Disk.SetSlow(w.between(20*time.Millisecond, 400*time.Millisecond))
		time.Sleep(lasts)
		m.Disk.SetSlow(time.Millisecond)
	case 8:
		w.Net.SetLatency(w.between(time.Millisecond, 60*time.Millisecond))
		time.Sleep(lasts)
		w.Net.SetLatency(200 * time.Microsecond)
	}
}

var faultNames = [...]string{
	"crash", "crash", "blackout", "isolation", "deaf", "mute", "broken connections", "slow disk", "slow network",
}

// isolate lets nothing pass between a machine and the others, from it or to it or both. Clients reach it still.
func (w *World) isolate(m *Machine, from, to bool) {
	for _, other := range w.Machines {
		if other == m {
			continue
		}
		if to {
			w.Net.Block(m.Name, other.Name, true)
		}
		if from {
			w.Net.Block(other.Name, m.Name, true)
		}
	}
}

// AwaitConvergence waits until the cluster is whole, and says what was missing if it never is.
func (w *World) AwaitConvergence(most time.Duration) error {
	var err error
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = w.Converged(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("not whole %v after everything was mended: %w", most, err)
}
