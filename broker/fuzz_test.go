package broker_test

import (
	"bytes"
	"testing"

	"stampede/broker"
	"stampede/broker/brokertest"
)

// FuzzDecodeFact reads facts from any bytes: what is read is written as it was, and the fold takes or refuses it.
func FuzzDecodeFact(f *testing.F) {
	for _, encoded := range openGolden(f, "facts.txt").lines {
		f.Add(encoded)
		f.Add(encoded[:len(encoded)/2])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fact, n, err := broker.NewDecoder().Fact(data)
		if err != nil {
			return
		}
		if got := broker.AppendFact(nil, fact); !bytes.Equal(got, data[:n]) {
			t.Fatalf("%s read from %x is written as %x", broker.KindName(fact), data[:n], got)
		}
		if raised, ok := fact.(broker.FoldVersionRaised); ok && raised.Version > broker.FoldVersion {
			return
		}
		s := sampleState()
		var fx broker.Effects
		for _, o := range []broker.Origin{{}, {Node: sampleNode, Incarnation: 4, N: 1}, nextOrigin(s)} {
			s.Apply(broker.Event{At: 5_000, Origin: o, Fact: fact}, &fx)
			if err := s.Check(); err != nil {
				t.Fatalf("after %+v: %v", fact, err)
			}
		}
	})
}

// FuzzDecodeMessage reads stored messages from any bytes: what is read is written as it was.
func FuzzDecodeMessage(f *testing.F) {
	for _, encoded := range openGolden(f, "messages.txt").lines {
		f.Add(encoded)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := broker.DecodeMessage(data)
		if err != nil {
			return
		}
		if got := broker.AppendMessage(nil, m); !bytes.Equal(got, data) {
			t.Fatalf("message read from %x is written as %x", data, got)
		}
	})
}

// nextOrigin returns the origin of the next fact of the sample's node.
func nextOrigin(s *broker.State) broker.Origin {
	o := broker.Origin{Node: sampleNode}
	s.Nodes(func(n broker.NodeInfo) bool {
		if n.Node == sampleNode {
			o.Incarnation, o.N = n.Incarnation, n.LastN+1
		}
		return true
	})
	return o
}

// FuzzRestoreState restores a state from any records: it is refused, or it is sound and goes on.
func FuzzRestoreState(f *testing.F) {
	f.Add(sampleState().Changes())
	f.Add(broker.New(broker.DefaultLimits()).Changes())
	s := broker.New(broker.DefaultLimits())
	var fx broker.Effects
	for _, e := range longHistory(60, 30) {
		s.Apply(e, &fx)
	}
	f.Add(s.Changes())
	f.Fuzz(func(t *testing.T, data []byte) {
		records := make(map[string][]byte)
		broker.ReadChanges(data, func(key, value []byte) bool {
			records[string(key)] = value
			return true
		})
		s, err := broker.Restore(broker.DefaultLimits(), brokertest.Sorted(records))
		if err != nil {
			return
		}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		n := 0
		for key, value := range s.Records() {
			n++
			if len(records) > 0 && !bytes.Equal(records[string(key)], value) {
				t.Fatalf("record %x restored from %x is %x", key, records[string(key)], value)
			}
		}
		if len(records) > 0 && n != len(records) {
			t.Fatalf("%d records of %d restored", n, len(records))
		}
		goOn(t, s)
	})
}

// goOn does to a state what touches all of it.
func goOn(t *testing.T, s *broker.State) {
	t.Helper()
	var fx broker.Effects
	o := broker.Origin{Node: broker.NodeID{15: 99}, Incarnation: 1 << 62}
	fold := func(e broker.Event) {
		fx.Reset()
		s.Apply(e, &fx)
		if err := s.Check(); err != nil {
			t.Fatalf("after %s: %v", broker.KindName(e.Fact), err)
		}
	}
	own := func(f broker.Fact) {
		o.N++
		fold(broker.Event{Origin: o, Fact: f})
	}
	own(broker.NodeStarted{Name: "new"})
	own(broker.SessionOpened{Session: 1, User: "u"})
	var queues []string
	s.Destinations(func(d broker.DestinationInfo) bool {
		if d.Kind == broker.KindQueue {
			queues = append(queues, d.Name)
		}
		return true
	})
	for i, name := range queues {
		own(broker.SubscriptionOpened{Session: 1, Sub: uint64(i), Kind: broker.KindQueue, Dest: name, Credit: 1_000, Mode: broker.AckClient})
		own(broker.MessageSent{Message: &broker.Message{Kind: broker.KindQueue, Dest: name}})
		own(broker.DeliverySettled{Sub: uint64(i), To: 2, Outcome: broker.Requeued})
	}
	fold(broker.Event{At: 1 << 60, Fact: broker.TimeAdvanced{}})
	var lost []broker.NodeLost
	s.Nodes(func(n broker.NodeInfo) bool {
		lost = append(lost, broker.NodeLost{Node: n.Node, Incarnation: n.Incarnation})
		return true
	})
	for _, f := range lost {
		fold(broker.Event{Fact: f})
	}
}
