package broker_test

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"

	"stampede/broker"
	"stampede/broker/brokertest"
)

// recordsOf returns the records of a state, as a store would have them.
func recordsOf(tb testing.TB, s *broker.State) map[string][]byte {
	tb.Helper()
	records := make(map[string][]byte)
	ok := broker.ReadChanges(s.Changes(), func(key, value []byte) bool {
		records[string(key)] = value
		return true
	})
	if !ok {
		tb.Fatal("changes are not well-formed")
	}
	return records
}

func TestRestore(t *testing.T) {
	limits := broker.DefaultLimits()
	t.Run("gives a new state for no records", func(t *testing.T) {
		s, err := broker.Restore(limits, brokertest.Sorted(nil))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := s.Digest(), broker.New(limits).Digest(); got != want {
			t.Errorf("digest = %x, want %x", got, want)
		}
	})
	t.Run("keeps the limits of the records", func(t *testing.T) {
		records := recordsOf(t, broker.New(limits))
		other := limits
		other.DueMax = 1
		s, err := broker.Restore(other, brokertest.Sorted(records))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Limits(); got != limits {
			t.Errorf("limits = %+v, want %+v", got, limits)
		}
	})
	t.Run("refuses records out of order", func(t *testing.T) {
		records := recordsOf(t, sampleState())
		keys := slices.Sorted(maps.Keys(records))
		slices.Reverse(keys)
		_, err := broker.Restore(limits, func(yield func(key, value []byte) bool) {
			for _, key := range keys {
				if !yield([]byte(key), records[key]) {
					return
				}
			}
		})
		if !errors.Is(err, broker.ErrBadRecord) {
			t.Errorf("restore = %v, want %v", err, broker.ErrBadRecord)
		}
	})
	t.Run("refuses records of a newer program", func(t *testing.T) {
		for at, value := range []byte{2, broker.FoldVersion + 1} { // the format, the version of the fold
			records := recordsOf(t, sampleState())
			records["\x01"][at] = value
			if _, err := broker.Restore(limits, brokertest.Sorted(records)); !errors.Is(err, broker.ErrNewerState) {
				t.Errorf("restore with byte %d = %d: %v, want %v", at, value, err, broker.ErrNewerState)
			}
		}
	})
	t.Run("takes a subscription that begins at any place", testRestorePosition)
	t.Run("refuses what is wrong, or gives a sound state", testRestoreHostile)
}

// testRestorePosition lets clients ask for places far ahead of the log while something waits.
func testRestorePosition(t *testing.T) {
	for _, position := range []broker.Seq{1, 3, 1 << 40, 1<<62 + 1, 1<<63 - 1, 1<<64 - 1} {
		j := brokertest.NewJournal(broker.DefaultLimits(), 1)
		o := broker.Origin{Node: sampleNode, Incarnation: 1}
		for _, f := range []broker.Fact{
			broker.NodeStarted{Name: "n", Version: 1},
			broker.SessionOpened{Session: 1, User: "ann"},
			broker.MessageSent{Message: &broker.Message{Kind: broker.KindUser, Dest: "/user/ann/queue/a", User: "ann"}},
			broker.SubscriptionOpened{Session: 1, Sub: 1, Kind: broker.KindUser, Dest: "/user/ann/queue/a", User: "ann", Position: position},
		} {
			o.N++
			j.Apply(broker.Event{At: 1, Origin: o, Fact: f})
			if refusal := j.Fx.Refused(); refusal != broker.RefusedNone {
				t.Fatalf("position %d: %s is refused: %v", position, broker.KindName(f), refusal)
			}
		}
		if err := j.Verify(10); err != nil {
			t.Errorf("position %d: %v", position, err)
		}
	}
}

// testRestoreHostile changes each bit of each record, cuts each value, and leaves each record out.
func testRestoreHostile(t *testing.T) {
	records := recordsOf(t, sampleState())
	refused, restored := 0, 0
	try := func(changed map[string][]byte) {
		s, err := broker.Restore(broker.DefaultLimits(), brokertest.Sorted(changed))
		if err != nil {
			refused++
			return
		}
		restored++
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		for key, value := range s.Records() {
			if !bytes.Equal(changed[string(key)], value) {
				t.Fatalf("record %x restored from %x is %x", key, changed[string(key)], value)
			}
		}
		goOn(t, s)
	}
	for key, value := range records {
		changed := maps.Clone(records)
		delete(changed, key)
		try(changed)
		for bit := range 8 * len(value) {
			changed[key] = bytes.Clone(value)
			changed[key][bit/8] ^= 1 << (bit % 8)
			try(changed)
		}
		for at := range value {
			for b := range byte(8) {
				changed[key] = bytes.Clone(value)
				changed[key][at] = b
				try(changed)
			}
		}
		for cut := range value {
			changed[key] = value[:cut]
			try(changed)
		}
		for bit := range 8 * len(key) {
			changed := maps.Clone(records)
			delete(changed, key)
			other := []byte(key)
			other[bit/8] ^= 1 << (bit % 8)
			changed[string(other)] = value
			try(changed)
		}
	}
	if refused < 1_000 || restored < 100 {
		t.Errorf("%d refused, %d restored: the records are not what this test is about", refused, restored)
	}
}
