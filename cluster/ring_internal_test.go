package cluster

import (
	"sync"
	"sync/atomic"
	"testing"

	"stampede/broker"
)

func message(seq broker.Seq, body int) *broker.Message {
	return &broker.Message{Seq: seq, Kind: broker.KindTopic, Dest: "/topic/x", Body: make([]byte, body)}
}

func TestRing(t *testing.T) {
	t.Run("finds what it holds and knows from where on it knows all", func(t *testing.T) {
		r := newRing(8, 1<<20, 5)
		for _, seq := range []broker.Seq{5, 7, 8, 11} {
			r.put(message(seq, 1))
		}
		for seq := broker.Seq(4); seq < 14; seq++ {
			held := seq == 5 || seq == 7 || seq == 8 || seq == 11
			if got := r.get(seq); (got != nil) != held || (held && got.Seq != seq) {
				t.Errorf("get(%d) = %v, want held = %v", seq, got, held)
			}
		}
		if got := r.low(); got != 5 {
			t.Errorf("low = %d, want 5", got)
		}
	})

	t.Run("keeps the latest seqs when it is full", func(t *testing.T) {
		r := newRing(8, 1<<20, 1)
		for seq := broker.Seq(1); seq <= 20; seq++ {
			r.put(message(seq, 1))
		}
		if got := r.low(); got != 13 {
			t.Errorf("low = %d, want 13", got)
		}
		if r.get(12) != nil || r.get(13) == nil || r.get(20) == nil {
			t.Error("ring does not hold 13 to 20 exactly")
		}
	})

	t.Run("forgets across a gap longer than itself", func(t *testing.T) {
		r := newRing(8, 1<<20, 1)
		r.put(message(1, 1))
		r.put(message(1000, 1))
		if r.get(1) != nil || r.get(1000) == nil || r.low() != 993 {
			t.Errorf("low = %d, want 993 and only message 1000", r.low())
		}
		if got, want := r.bytes, messageBytes(message(1000, 1)); got != want {
			t.Errorf("bytes = %d, want %d", got, want)
		}
	})

	t.Run("is bounded in bytes and keeps the newest whatever it weighs", func(t *testing.T) {
		r := newRing(64, 10*(messageOverhead+100), 1)
		for seq := broker.Seq(1); seq <= 30; seq++ {
			r.put(message(seq, 100))
		}
		if got := r.low(); got != 21 {
			t.Errorf("low = %d, want 21", got)
		}
		r.put(message(31, 1<<20))
		if r.get(31) == nil || r.get(30) != nil || r.low() != 31 {
			t.Errorf("low = %d, want only message 31", r.low())
		}
	})

	t.Run("never hides a message from a reader that asks low afterwards", func(t *testing.T) {
		const last = 200_000
		r := newRing(64, 1<<20, 1)
		var applied atomic.Uint64
		var tasks sync.WaitGroup
		tasks.Add(1)
		go readRing(t, r, last, &applied, &tasks)
		for seq := broker.Seq(1); seq <= last; seq++ {
			r.put(message(seq, 1))
			applied.Store(uint64(seq))
		}
		tasks.Wait()
	})
}

// readRing looks for messages at the edge where they leave: one that is not there must be below low.
func readRing(t *testing.T, r *ring, last uint64, applied *atomic.Uint64, tasks *sync.WaitGroup) {
	defer tasks.Done()
	for applied.Load() < last {
		seq := r.low()
		if uint64(seq) > applied.Load() {
			continue
		}
		if m := r.get(seq); m == nil && r.low() <= seq {
			t.Errorf("message %d is not there and low is %d", seq, r.low())
			return
		}
	}
}
