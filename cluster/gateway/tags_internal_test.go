package gateway

import (
	"testing"
	"time"

	"stampede/broker"
)

// The fold's goroutine settles too: what a client of 1.1 has unsettled must not make each ACK cost as much as all of them.
func TestSettlingBefore12CostsTheSameHoweverMuchIsUnsettled(t *testing.T) {
	for _, mode := range []broker.AckMode{broker.AckClient, broker.AckClientIndividual} {
		const count = 10_000
		s := &queueSub{mode: mode, tags: map[broker.Seq]uint64{}}
		for i := range count {
			s.noteTag(broker.Seq(100+i), uint64(1+i))
		}
		begun := time.Now()
		for i := range count {
			s.settled(broker.Seq(100+i), uint64(1+i), mode == broker.AckClient)
			if i == count/2 {
				if _, known := s.tagOf(broker.Seq(100 + i + 1)); !known || len(s.tags) != count-i-1 {
					t.Fatalf("%d deliveries are known after %d were settled", len(s.tags), i+1)
				}
			}
		}
		if took := time.Since(begun); took > 200*time.Millisecond || len(s.tags) > 0 {
			t.Errorf("%d ACKs took %v and left %d", count, took, len(s.tags))
		}
	}
	s := &queueSub{tags: map[broker.Seq]uint64{}}
	for i := range 100_000 { // the first is never settled
		s.noteTag(broker.Seq(100+i), uint64(1+i))
		if i > 0 {
			s.settled(broker.Seq(100+i), uint64(1+i), false)
		}
	}
	if len(s.tags) != 1 || len(s.order) > 1000 {
		t.Errorf("%d deliveries are known, in a list of %d, want one", len(s.tags), len(s.order))
	}
}
