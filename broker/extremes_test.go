package broker_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"stampede/broker"
	"stampede/broker/brokertest"
)

// TestLawsAtTheExtremes folds random histories of numbers that nobody sensible sends, under limits and policies that change, and checks the
// invariants and the laws. The oracle knows no limits, so it has no part in this.
func TestLawsAtTheExtremes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := extremes{t: t, journal: brokertest.NewJournal(smallLimits(t), rapid.IntRange(1, 9).Draw(t, "every"))}
		for i := range rapid.IntRange(20, 120).Draw(t, "events") {
			x.step()
			if err := x.journal.State.Check(); err != nil {
				t.Fatalf("after event %d: %v", i, err)
			}
		}
		if err := x.journal.Verify(8); err != nil {
			t.Fatal(err)
		}
	})
}

func smallLimits(t *rapid.T) broker.Limits {
	few := func(label string) int { return rapid.SampledFrom([]int{1, 2, 3, 5, 1 << 20}).Draw(t, label) }
	l := broker.DefaultLimits()
	l.DestinationsMax, l.QueueMessagesMax, l.NodesMax, l.SessionsMax = few("destinations")+2, few("messages")+2, few("nodes"), few("sessions")+1
	l.SubscriptionsMax, l.CreditMax, l.TransactionActionsMax = few("subscriptions")+1, few("credit"), min(few("actions")+2, 100)
	l.UserWaitingMax, l.DueMax, l.PoliciesMax = few("waiting"), few("due"), few("policies")
	l.CreditBytesMax = int64(few("bytes"))
	return l
}

type extremes struct {
	t       *rapid.T
	journal *brokertest.Journal
	now     broker.Instant
	origins []*broker.Origin
}

func (x *extremes) number(label string) uint64 {
	return rapid.SampledFrom([]uint64{0, 1, 1, 1, 2, 2, 3, 4, 1 << 32, 1<<62 + 1, math.MaxInt64, math.MaxUint64}).Draw(x.t, label)
}

func (x *extremes) instant(label string) broker.Instant {
	return x.now + broker.Instant(rapid.SampledFrom([]int64{-5, 0, 1, 1, 50, 5_000, math.MaxInt64 / 2}).Draw(x.t, label))
}

func (x *extremes) name(label string) string {
	return rapid.SampledFrom([]string{"/queue/a", "/queue/a", "/queue/b.c", "/queue/dlq.a", "/queue/x-user1"}).Draw(x.t, label)
}

func (x *extremes) message() *broker.Message {
	m := &broker.Message{Session: x.number("from"), Body: make([]byte, rapid.IntRange(0, 4).Draw(x.t, "size"))}
	switch m.Kind = broker.Kind(rapid.IntRange(1, 4).Draw(x.t, "kind")); m.Kind {
	case broker.KindTopic:
		m.Dest = "/topic/a"
	case broker.KindUser:
		m.Dest, m.User = "/user/u/queue/a", "u"
	case broker.KindQueue, broker.KindExclusive:
		m.Dest = x.name("dest")
	}
	if rapid.Bool().Draw(x.t, "expires") {
		m.ExpiresAt = x.instant("expires at")
	}
	return m
}

func (x *extremes) settled() broker.DeliverySettled {
	return broker.DeliverySettled{
		Sub: x.number("sub"), From: x.number("from"), To: x.number("to"), Outcome: broker.Outcome(rapid.IntRange(1, 4).Draw(x.t, "outcome")),
		Strict: rapid.IntRange(0, 3).Draw(x.t, "strict") == 0,
	}
}

func (x *extremes) step() {
	if len(x.origins) == 0 || rapid.IntRange(0, 30).Draw(x.t, "node") == 0 {
		o := &broker.Origin{Node: broker.NodeID{15: byte(len(x.origins)%5 + 1)}, Incarnation: uint64(len(x.origins))}
		x.origins = append(x.origins, o)
		x.fold(o, broker.NodeStarted{Name: "n", Version: math.MaxUint32})
		x.fold(o, broker.SessionOpened{Session: 1, User: "u"})
	}
	o := x.origins[rapid.IntRange(max(len(x.origins)-3, 0), len(x.origins)-1).Draw(x.t, "origin")]
	switch rapid.IntRange(0, 19).Draw(x.t, "fact") {
	case 0:
		x.fold(o, broker.SessionOpened{Session: x.number("session"), User: "u"})
	case 1:
		x.fold(o, broker.SessionClosed{Session: x.number("session")})
	case 2, 3, 4, 5:
		x.subscribe(o)
	case 6:
		x.fold(o, broker.SubscriptionClosed{Sub: x.number("sub")})
	case 7, 8, 9:
		x.fold(o, x.settled())
	case 10:
		x.fold(o, broker.UserCovered{Sub: x.number("sub"), UpTo: broker.Seq(x.number("upto"))})
	case 11:
		var f broker.TransactionCommitted
		for range rapid.IntRange(0, 4).Draw(x.t, "actions") {
			switch rapid.IntRange(0, 4).Draw(x.t, "action") {
			case 0:
				f.Actions = append(f.Actions, broker.UserCovered{Sub: x.number("sub"), UpTo: broker.Seq(x.number("upto"))})
			case 1, 2:
				f.Actions = append(f.Actions, x.settled())
			default:
				f.Actions = append(f.Actions, broker.MessageSent{Message: x.message()})
			}
		}
		x.fold(o, f)
	case 12:
		x.policy()
	case 13:
		x.fold(nil, broker.LimitsChanged{Limits: smallLimits(x.t)})
	case 14:
		x.fold(nil, broker.NodeLost{Node: o.Node, Incarnation: o.Incarnation})
	case 15, 16:
		x.now += broker.Instant(rapid.SampledFrom([]int64{1, 60, 6_000, 40_000, 1 << 54}).Draw(x.t, "millis"))
		x.fold(nil, broker.TimeAdvanced{})
	default:
		x.fold(o, broker.MessageSent{Message: x.message()})
	}
}

func (x *extremes) subscribe(o *broker.Origin) {
	f := broker.SubscriptionOpened{
		Session: rapid.SampledFrom([]uint64{1, 1, 1, 2}).Draw(x.t, "session"), Sub: x.number("sub"), Mode: broker.AckMode(rapid.IntRange(0, 2).Draw(x.t, "mode")),
		Credit: uint32(x.number("credit")), CreditBytesSet: rapid.Bool().Draw(x.t, "set"), CreditBytes: int64(x.number("bytes")),
		Position: broker.Seq(x.number("position")), Kind: broker.Kind(rapid.IntRange(1, 4).Draw(x.t, "kind")), Dest: x.name("dest"),
	}
	if f.Kind == broker.KindUser {
		f.Dest, f.User = "/user/u/queue/a", "u"
	}
	x.fold(o, f)
}

func (x *extremes) policy() {
	pattern := rapid.SampledFrom([]string{"/queue/a", "/queue/*", "/queue/**", "**", "/user/*/queue/a", "/queue/*.c"}).Draw(x.t, "pattern")
	if rapid.IntRange(0, 2).Draw(x.t, "removed") == 0 {
		x.fold(nil, broker.PolicyRemoved{Pattern: pattern})
		return
	}
	value := func(label string) int64 { return rapid.SampledFrom([]int64{0, 1, 2, 50, 1 << 50, -1}).Draw(x.t, label) }
	x.fold(nil, broker.PolicyChanged{Pattern: pattern, Policy: broker.Policy{
		Set: broker.PolicyField(rapid.IntRange(0, 1<<10-1).Draw(x.t, "set")), MaxDepth: value("depth"), AckTimeoutMillis: value("timeout"),
		MaxDeliveries: value("deliveries"), MaxReturns: value("returns"), UserWaitingMessages: value("waiting"), UserWaitingAgeMillis: value("age"),
	}})
}

func (x *extremes) fold(o *broker.Origin, f broker.Fact) {
	e := broker.Event{At: x.now, Fact: f}
	if o != nil {
		o.N++
		e.Origin = *o
	}
	x.journal.Apply(e)
}
