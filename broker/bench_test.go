package broker_test

import (
	"fmt"
	"testing"

	"stampede/broker"
)

// newNode returns a state with one node and the origin of its next fact.
func newNode(tb testing.TB, fx *broker.Effects) (*broker.State, broker.Origin) {
	tb.Helper()
	s := broker.New(broker.DefaultLimits())
	o := broker.Origin{Node: broker.NodeID{15: 1}, Incarnation: 1}
	apply(s, &o, broker.NodeStarted{Name: "n1", Version: 1}, fx)
	return s, o
}

// apply folds one fact of the origin as its next one.
func apply(s *broker.State, o *broker.Origin, f broker.Fact, fx *broker.Effects) {
	o.N++
	fx.Reset()
	s.Apply(broker.Event{At: 1_000, Origin: *o, Fact: f}, fx)
}

// BenchmarkApply folds a message of a topic. Budget: 0 allocs, and no record is encoded.
func BenchmarkApply(b *testing.B) {
	b.Run("fact=MessageSent/kind=topic", func(b *testing.B) {
		var fx broker.Effects
		s, o := newNode(b, &fx)
		m := &broker.Message{Kind: broker.KindTopic, Dest: "/topic/a", Body: make([]byte, 128)}
		b.ReportAllocs()
		for b.Loop() {
			apply(s, &o, broker.MessageSent{Message: m}, &fx)
		}
	})
}

// BenchmarkQueue sends a message, delivers the oldest and settles it, while so many others wait. Budget: the settling's own allocation
// (its fact in an interface) and no more; flat from 0 to a million waiting.
func BenchmarkQueue(b *testing.B) {
	for _, waiting := range []int{0, 1_000_000} {
		for _, subs := range []int{1, 10_000} {
			b.Run(fmt.Sprintf("waiting=%d/subs=%d", waiting, subs), func(b *testing.B) { benchQueue(b, waiting, subs) })
		}
	}
}

func benchQueue(b *testing.B, waiting, subs int) {
	var fx broker.Effects
	s, o := newNode(b, &fx)
	m := &broker.Message{Kind: broker.KindQueue, Dest: "/queue/a", Body: make([]byte, 128)}
	apply(s, &o, broker.PolicyChanged{Pattern: "/queue/a", Policy: broker.Policy{Set: broker.PolicyMaxDepth, MaxDepth: 1 << 30}}, &fx)
	for range waiting + subs {
		apply(s, &o, broker.MessageSent{Message: m}, &fx)
	}
	apply(s, &o, broker.SessionOpened{Session: 1, User: "ann"}, &fx)
	for i := range subs {
		apply(s, &o, broker.SubscriptionOpened{Session: 1, Sub: uint64(i + 1), Kind: broker.KindQueue, Dest: "/queue/a", Mode: broker.AckClient, Credit: 1}, &fx)
	}
	s.Changes()
	sub := 0
	tags := make([]uint64, subs)
	b.ReportAllocs()
	for b.Loop() {
		apply(s, &o, broker.MessageSent{Message: m}, &fx)
		tags[sub]++
		apply(s, &o, broker.DeliverySettled{Sub: uint64(sub + 1), From: tags[sub], To: tags[sub], Outcome: broker.Acked}, &fx)
		sub = (sub + 1) % subs
	}
	b.StopTimer()
	if got, want := s.Counts().QueueWaiting, waiting; got != want {
		b.Fatalf("waiting = %d, want %d", got, want)
	}
}

// BenchmarkDecode reads an encoded MessageSent. Budget: 1 alloc, the Message.
func BenchmarkDecode(b *testing.B) {
	b.Run("fact=MessageSent/body=128", func(b *testing.B) {
		m := &broker.Message{Kind: broker.KindTopic, Dest: "/topic/a", Session: 7, Headers: []byte("content-type:text/plain\n"), Body: make([]byte, 128), Text: true}
		encoded := broker.AppendFact(nil, broker.MessageSent{Message: m})
		d := broker.NewDecoder()
		b.ReportAllocs()
		b.SetBytes(int64(len(encoded)))
		for b.Loop() {
			if _, _, err := d.Fact(encoded); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkEncode writes a MessageSent. Budget: 0 allocs.
func BenchmarkEncode(b *testing.B) {
	b.Run("fact=MessageSent/body=128", func(b *testing.B) {
		m := &broker.Message{Kind: broker.KindTopic, Dest: "/topic/a", Session: 7, Headers: []byte("content-type:text/plain\n"), Body: make([]byte, 128), Text: true}
		var buffer []byte
		b.ReportAllocs()
		for b.Loop() {
			buffer = broker.AppendFact(buffer[:0], broker.MessageSent{Message: m})
		}
	})
}

// BenchmarkChanges brings the records up to date after so many queue messages were sent. Budget: far below a microsecond a message.
func BenchmarkChanges(b *testing.B) {
	const messages = 1_000
	b.Run("messages=1000", func(b *testing.B) {
		var fx broker.Effects
		s, o := newNode(b, &fx)
		apply(s, &o, broker.SessionOpened{Session: 1, User: "ann"}, &fx)
		apply(s, &o, broker.SubscriptionOpened{Session: 1, Sub: 1, Kind: broker.KindQueue, Dest: "/queue/a", Mode: broker.AckClient, Credit: messages}, &fx)
		m := &broker.Message{Kind: broker.KindQueue, Dest: "/queue/a", Body: make([]byte, 128)}
		b.ReportAllocs()
		for b.Loop() {
			for range messages {
				apply(s, &o, broker.MessageSent{Message: m}, &fx)
			}
			s.Changes()
			apply(s, &o, broker.DeliverySettled{Sub: 1, To: 1 << 60, Outcome: broker.Acked}, &fx)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*messages), "ns/message")
	})
}

// BenchmarkMatch matches a destination. Budget: 0 allocs.
func BenchmarkMatch(b *testing.B) {
	for _, text := range []string{"/topic/a.b.c", "/topic/a.*.c", "/topic/**"} {
		b.Run("pattern="+text[1:], func(b *testing.B) {
			p, err := broker.ParsePattern(text)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if !p.Match("/topic/a.b.c") {
					b.Fatal("no match")
				}
			}
		})
	}
}
