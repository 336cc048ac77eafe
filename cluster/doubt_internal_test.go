package cluster

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestDoubt(t *testing.T) {
	// raised begins a doubt's story and gives how often it was raised, and the node that tells whether it is open.
	begin := func() (*Node, *int) {
		n, raised := &Node{}, new(int)
		n.doubt.start = time.Now()
		n.doubt.begin(func() { *raised++ })
		return n, raised
	}
	run := func(n *Node, d time.Duration, leads, hears bool) {
		for range d / tickInterval {
			time.Sleep(tickInterval)
			n.doubt.tick(leads)
			if hears {
				n.doubt.hear()
			}
		}
		synctest.Wait()
	}
	check := func(t *testing.T, n *Node, raised *int, want int, open bool) {
		t.Helper()
		if *raised != want || n.InDoubt() != open {
			t.Errorf("raised %d times, in doubt %v; want %d, %v", *raised, n.InDoubt(), want, open)
		}
	}

	t.Run("does not begin while the node runs, and leads or hears a leader", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n, raised := begin()
			run(n, time.Minute, true, false)
			run(n, time.Minute, false, true)
			check(t, n, raised, 0, false)
		})
	})
	t.Run("begins when a leader is heard again after long, and lasts until it is settled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n, raised := begin()
			run(n, 2*doubtAfter, false, false)
			check(t, n, raised, 0, true) // what queues gave to its sessions before may be late already
			run(n, time.Minute, false, true)
			check(t, n, raised, 1, true)
			n.Confirm()
			run(n, time.Minute, false, true)
			check(t, n, raised, 1, false)
		})
	})
	t.Run("is there before anything notices that the node stood still", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n, raised := begin()
			run(n, time.Second, true, false)
			time.Sleep(2 * doubtAfter)
			check(t, n, raised, 0, true)
			run(n, time.Second, true, false)
			check(t, n, raised, 1, true)
			n.Confirm()
			check(t, n, raised, 1, false)
		})
	})
	t.Run("begins when the node leads that has heard no leader for long", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n, raised := begin()
			run(n, 2*doubtAfter, false, false)
			run(n, time.Second, true, false)
			check(t, n, raised, 1, true)
			n.Confirm()
			run(n, time.Minute, true, false)
			check(t, n, raised, 1, false)
		})
	})
	t.Run("lasts until the last of several was settled, whose fact alone is behind all that was decided", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n, raised := begin()
			run(n, time.Second, false, true)
			for range 2 {
				time.Sleep(2 * doubtAfter) // it stands still
				run(n, time.Second, false, true)
			}
			check(t, n, raised, 2, true)
			n.Confirm() // the fact that was submitted between the two was folded
			check(t, n, raised, 2, true)
			n.Confirm()
			check(t, n, raised, 2, false)
		})
	})
	t.Run("never begins for a node that stays alone", func(t *testing.T) {
		n := &Node{}
		n.doubt.start = time.Now().Add(-time.Hour)
		n.doubt.tick(true)
		n.doubt.hear()
		if n.InDoubt() {
			t.Error("in doubt, want not")
		}
	})
}
