package broker_test

import (
	"math/rand"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"stampede/broker"
	"stampede/broker/brokertest"
)

// The laws over random histories are in TestModel; here are those that need other histories.

func TestLaws(t *testing.T) {
	t.Run("decoding an encoded fact gives the fact", func(t *testing.T) {
		d := broker.NewDecoder()
		rapid.Check(t, func(t *rapid.T) {
			want := drawFact(t, false)
			encoded := broker.AppendFact(nil, want)
			got, n, err := d.Fact(append(slices.Clone(encoded), 0xee))
			if err != nil || n != len(encoded) {
				t.Fatalf("decode %x: %d bytes, %v", encoded, n, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("decoded fact (-want +got):\n%s", diff)
			}
			for cut := range encoded {
				if _, _, err := d.Fact(encoded[:cut]); err == nil {
					t.Fatalf("%d of %d bytes of %x were taken for a fact", cut, len(encoded), encoded)
				}
			}
		})
	})
	t.Run("a duplicate origin changes nothing, whatever the fact", func(t *testing.T) {
		for _, sample := range sampleFacts() {
			s := sampleState()
			var fx broker.Effects
			digest, next, clock := s.Digest(), s.Next(), s.Clock()
			for n := range uint64(12) {
				fx.Reset()
				s.Apply(broker.Event{At: 1 << 40, Origin: broker.Origin{Node: sampleNode, Incarnation: 3, N: n}, Fact: sample.fact}, &fx)
				if len(fx.List) != 1 || fx.List[0].Kind != broker.EffectDuplicate || fx.List[0].Tag != n {
					t.Fatalf("%s: effects of a repeat = %v, want one duplicate", sample.name, fx.List)
				}
			}
			if s.Digest() != digest || s.Next() != next || s.Clock() != clock {
				t.Errorf("%s: a repeat changed the state", sample.name)
			}
		}
	})
	t.Run("two folds of one log have one digest, however often it is asked for", func(t *testing.T) {
		one, other := broker.New(broker.DefaultLimits()), broker.New(broker.DefaultLimits())
		var fx broker.Effects
		for i, e := range longHistory(2_000, 200) {
			one.Apply(e, &fx)
			other.Apply(e, &fx)
			other.Digest()
			if i%97 == 0 {
				other.Changes()
			}
			fx.Reset()
		}
		if got, want := other.Digest(), one.Digest(); got != want {
			t.Errorf("digest = %x, want %x", got, want)
		}
	})
	t.Run("a long history with many subscriptions keeps the invariants", func(t *testing.T) {
		j := brokertest.NewJournal(broker.DefaultLimits(), 37)
		for i, e := range longHistory(12_000, 200) {
			j.Apply(e)
			if i%1_000 != 0 {
				continue
			}
			if err := j.State.Check(); err != nil {
				t.Fatalf("after event %d: %v", i, err)
			}
		}
		if err := j.Verify(4); err != nil {
			t.Error(err)
		}
	})
}

// drawFact draws any fact, or one that a transaction may hold.
func drawFact(t *rapid.T, action bool) broker.Fact {
	text := func(label string) string { return rapid.StringN(0, 20, 300).Draw(t, label) }
	number := func(label string) uint64 { return rapid.Uint64().Draw(t, label) }
	kinds := 15
	if action {
		kinds = 3
	}
	switch rapid.IntRange(1, kinds).Draw(t, "fact") {
	case 1:
		m := &broker.Message{
			Kind: broker.Kind(rapid.IntRange(1, 3).Draw(t, "kind")), Dest: text("dest"), As: text("as"), User: text("user"), Session: number("session"),
			ExpiresAt: broker.Instant(rapid.Int64().Draw(t, "expires")), Text: rapid.Bool().Draw(t, "text"),
		}
		if b := rapid.SliceOf(rapid.Byte()).Draw(t, "headers"); len(b) > 0 {
			m.Headers = b
		}
		if b := rapid.SliceOf(rapid.Byte()).Draw(t, "body"); len(b) > 0 {
			m.Body = b
		}
		return broker.MessageSent{Message: m}
	case 2:
		return broker.DeliverySettled{Sub: number("sub"), From: number("from"), To: number("to"), Outcome: broker.Outcome(rapid.IntRange(1, 4).Draw(t, "outcome")), Strict: rapid.Bool().Draw(t, "strict")}
	case 3:
		return broker.UserCovered{Sub: number("sub"), UpTo: broker.Seq(number("upto"))}
	case 9:
		return broker.NodeStarted{Name: text("name"), Version: rapid.Uint32().Draw(t, "version")}
	case 4:
		return broker.NodeLost{Node: broker.NodeID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "node")), Incarnation: number("incarnation")}
	case 5:
		return broker.SessionOpened{Session: number("session"), User: text("user"), Service: rapid.Bool().Draw(t, "service"), RemoteAddr: text("addr")}
	case 6:
		return broker.SessionClosed{Session: number("session")}
	case 7:
		return broker.SubscriptionOpened{
			Session: number("session"), Sub: number("sub"), Kind: broker.Kind(rapid.IntRange(1, 3).Draw(t, "kind")), Dest: text("dest"), User: text("user"),
			Mode: broker.AckMode(rapid.IntRange(0, 2).Draw(t, "mode")), Credit: rapid.Uint32().Draw(t, "credit"), CreditBytes: rapid.Int64().Draw(t, "bytes"),
			CreditBytesSet: rapid.Bool().Draw(t, "set"), Position: broker.Seq(number("position")),
		}
	case 8:
		return broker.SubscriptionClosed{Sub: number("sub")}
	case 10:
		var f broker.TransactionCommitted
		for range rapid.IntRange(0, 3).Draw(t, "actions") {
			f.Actions = append(f.Actions, drawFact(t, true))
		}
		return f
	case 11:
		p := broker.Policy{Set: broker.PolicyField(rapid.IntRange(0, 1<<10-1).Draw(t, "set"))}
		value := rapid.Int64().Draw(t, "value")
		p.Logged = p.Set&broker.PolicyLogged != 0
		for bit, to := range map[broker.PolicyField]*int64{
			broker.PolicyMaxAge: &p.MaxAgeMillis, broker.PolicyMaxBytes: &p.MaxBytes, broker.PolicyMaxMessages: &p.MaxMessages, broker.PolicyMaxDepth: &p.MaxDepth,
			broker.PolicyAckTimeout: &p.AckTimeoutMillis, broker.PolicyMaxDeliveries: &p.MaxDeliveries, broker.PolicyMaxReturns: &p.MaxReturns,
			broker.PolicyUserWaitingMessages: &p.UserWaitingMessages, broker.PolicyUserWaitingAge: &p.UserWaitingAgeMillis,
		} {
			if p.Set&bit != 0 {
				*to = value
			}
		}
		return broker.PolicyChanged{Pattern: text("pattern"), Policy: p}
	case 12:
		return broker.PolicyRemoved{Pattern: text("pattern")}
	case 13:
		return broker.TimeAdvanced{}
	case 14:
		return broker.FoldVersionRaised{Version: rapid.Uint32().Draw(t, "version")}
	default:
		l := broker.DefaultLimits()
		l.DueMax = rapid.Int().Draw(t, "due")
		l.CreditBytesMax = rapid.Int64().Draw(t, "bytes")
		return broker.LimitsChanged{Limits: l}
	}
}

// longHistory returns events of many subscriptions on a few queues, from a fixed seed, of which so many recent ones are settled and closed.
// The fewer, the more waits. Messages are not shared between calls.
func longHistory(events int, recent int) []broker.Event {
	random := rand.New(rand.NewSource(7))
	o := broker.Origin{Node: sampleNode, Incarnation: 1}
	var history []broker.Event
	at := broker.Instant(1_000)
	add := func(f broker.Fact) {
		o.N++
		at += broker.Instant(random.Intn(20))
		history = append(history, broker.Event{At: at, Origin: o, Fact: f})
	}
	add(broker.NodeStarted{Name: "n", Version: 1})
	add(broker.PolicyChanged{Pattern: "/queue/0", Policy: broker.Policy{Set: broker.PolicyAckTimeout, AckTimeoutMillis: 2_000}})
	queues := []string{"/queue/0", "/queue/1", "/queue/2"}
	sub := uint64(0)
	for len(history) < events {
		switch n := random.Intn(100); {
		case n < 3:
			add(broker.SessionOpened{Session: uint64(random.Intn(20)), User: "u"})
		case n < 4:
			add(broker.SessionClosed{Session: uint64(random.Intn(20))})
		case n < 5+recent/16:
			sub++
			add(broker.SubscriptionOpened{
				Session: uint64(random.Intn(20)), Sub: sub, Kind: broker.KindQueue, Dest: queues[random.Intn(3)],
				Mode: broker.AckMode(random.Intn(3)), Credit: uint32(random.Intn(recent/3 + 1)),
			})
		case n < 24 && sub > 0:
			add(broker.SubscriptionClosed{Sub: sub - uint64(random.Intn(int(min(sub, uint64(recent)))))})
		case n < 55 && sub > 0:
			from := uint64(1 + random.Intn(60))
			add(broker.DeliverySettled{
				Sub: sub - uint64(random.Intn(int(min(sub, uint64(recent))))), From: from, To: from + uint64(random.Intn(4)), Outcome: broker.Outcome(1 + random.Intn(4)),
			})
		case n < 60:
			history = append(history, broker.Event{At: at, Fact: broker.TimeAdvanced{}})
		default:
			m := &broker.Message{Kind: broker.KindQueue, Dest: queues[random.Intn(3)], Body: make([]byte, random.Intn(50))}
			if random.Intn(2) == 0 {
				m.ExpiresAt = at + broker.Instant(random.Intn(3_000))
			}
			add(broker.MessageSent{Message: m})
		}
	}
	return history
}
