package broker_test

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"stampede/broker"
	"stampede/broker/brokertest"
)

// machine drives the fold and the oracle with the same events.
type machine struct {
	t       *rapid.T
	model   *brokertest.Model
	journal *brokertest.Journal
	now     broker.Instant
	origins []*broker.Origin
	last    broker.Event
	events  int
}

// TestModel lets the fold and the oracle judge the same random histories, then checks the laws over each.
func TestModel(t *testing.T) {
	if steps := flag.Lookup("rapid.steps"); steps.Value.String() == steps.DefValue {
		// A queue needs more history than most things to become interesting.
		if err := steps.Value.Set("80"); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := steps.Value.Set(steps.DefValue); err != nil {
				t.Error(err)
			}
		}()
	}
	rapid.Check(t, property)
}

// TestModelLongHistory compares with the oracle over a history in which much waits and comes back.
func TestModelLongHistory(t *testing.T) {
	model := brokertest.NewModel()
	journal := brokertest.NewJournal(broker.DefaultLimits(), 50)
	for i, e := range longHistory(4_000, 8) {
		want, got := byQueue(model.Apply(e)), byQueue(journal.Apply(e))
		if !maps.EqualFunc(got, want, slices.Equal) {
			t.Fatalf("effects of event %d, %s:\n got %v\nwant %v", i, broker.KindName(e.Fact), got, want)
		}
		if err := journal.State.Check(); err != nil {
			t.Fatalf("after event %d: %v", i, err)
		}
	}
	if err := journal.Verify(10); err != nil {
		t.Fatal(err)
	}
}

// FuzzModel lends the same property to the fuzzer.
func FuzzModel(f *testing.F) { f.Fuzz(rapid.MakeFuzz(property)) }

func property(t *rapid.T) {
	m := &machine{
		t: t, model: brokertest.NewModel(), now: 1_000,
		journal: brokertest.NewJournal(broker.DefaultLimits(), rapid.IntRange(1, 20).Draw(t, "every")),
	}
	for i := range 2 {
		o := &broker.Origin{Node: broker.NodeID{15: byte(i + 1)}, Incarnation: 1}
		m.origins = append(m.origins, o)
		m.fold(o, broker.NodeStarted{Name: "n"})
	}
	t.Repeat(map[string]func(*rapid.T){
		"":         m.check,
		"send":     func(t *rapid.T) { m.fold(m.node(), broker.MessageSent{Message: m.message()}) },
		"burst":    m.burst,
		"open":     func(t *rapid.T) { m.fold(m.node(), broker.SessionOpened{Session: m.number("session", 3), User: "u"}) },
		"close":    func(t *rapid.T) { m.fold(m.node(), broker.SessionClosed{Session: m.number("session", 3)}) },
		"sub":      m.subscribe,
		"sub2":     m.subscribe,
		"unsub":    func(t *rapid.T) { m.fold(m.node(), broker.SubscriptionClosed{Sub: m.number("sub", 6)}) },
		"settle":   func(t *rapid.T) { m.fold(m.node(), m.settled()) },
		"settle2":  func(t *rapid.T) { m.fold(m.node(), m.settled()) },
		"cover":    func(t *rapid.T) { m.fold(m.node(), m.covered()) },
		"commit":   m.commit,
		"tick":     m.tick,
		"policy":   m.policy,
		"restart":  m.restart,
		"lost":     m.lost,
		"repeat":   m.repeat,
		"sessions": m.openBoth,
	})
	if err := m.journal.Verify(6); err != nil {
		t.Fatalf("laws: %v", err)
	}
}

func (m *machine) number(label string, most uint64) uint64 {
	return rapid.Uint64Range(1, most).Draw(m.t, label)
}

func (m *machine) node() *broker.Origin { return rapid.SampledFrom(m.origins).Draw(m.t, "node") }

var (
	modelQueues = []string{"/queue/a", "/queue/b", "/queue/dlq.a", "/queue/x-user1"}
	// An exclusive queue may be met by its name alone, and the name of a plain one by who takes it for exclusive.
	modelExclusive = []string{"/queue/a", "/queue/x-user1", "/queue/x-user2", "/queue/dlq.a"}
	modelUsers     = []string{"/user/u/queue/a", "/user/u/topic/b"}
)

func (m *machine) message() *broker.Message {
	msg := &broker.Message{Session: 1, Body: make([]byte, rapid.IntRange(0, 40).Draw(m.t, "size"))}
	switch rapid.IntRange(0, 9).Draw(m.t, "kind") {
	case 0:
		msg.Kind, msg.Dest = broker.KindTopic, "/topic/t"
	case 1, 2:
		msg.Kind, msg.Dest, msg.User = broker.KindUser, rapid.SampledFrom(modelUsers).Draw(m.t, "dest"), "u"
	case 3, 4:
		msg.Kind, msg.Dest = broker.KindExclusive, rapid.SampledFrom(modelExclusive).Draw(m.t, "dest")
	default:
		msg.Kind, msg.Dest = broker.KindQueue, rapid.SampledFrom(modelQueues).Draw(m.t, "dest")
	}
	if rapid.IntRange(0, 3).Draw(m.t, "expires") == 0 {
		msg.ExpiresAt = m.now + broker.Instant(rapid.IntRange(-100, 3_000).Draw(m.t, "ttl"))
	}
	return msg
}

func (m *machine) subscribe(*rapid.T) {
	f := broker.SubscriptionOpened{
		Session: m.number("session", 3), Sub: m.number("sub", 6), Kind: broker.KindQueue,
		Mode: broker.AckMode(rapid.IntRange(0, 2).Draw(m.t, "mode")), Credit: uint32(rapid.IntRange(0, 4).Draw(m.t, "credit")),
	}
	if rapid.Bool().Draw(m.t, "bytes") {
		f.CreditBytesSet, f.CreditBytes = true, rapid.Int64Range(-1, 100).Draw(m.t, "credit bytes")
	}
	f.Dest = rapid.SampledFrom(modelQueues).Draw(m.t, "dest")
	switch rapid.IntRange(0, 4).Draw(m.t, "kind") {
	case 1:
		f.Kind, f.Dest = broker.KindExclusive, rapid.SampledFrom(modelExclusive).Draw(m.t, "dest")
	case 0:
		f.Kind, f.Dest, f.User = broker.KindUser, rapid.SampledFrom(modelUsers).Draw(m.t, "dest"), "u"
		f.Position = broker.Seq(rapid.Uint64Range(0, 3).Draw(m.t, "position"))
		if ahead := rapid.SampledFrom([]broker.Seq{0, 0, 0, 2, 5, 1 << 63}).Draw(m.t, "ahead"); ahead > 0 {
			f.Position = m.model.Next() + ahead
		}
	}
	m.fold(m.node(), f)
}

// burst fills a queue.
func (m *machine) burst(*rapid.T) {
	for range rapid.IntRange(2, 8).Draw(m.t, "messages") {
		m.fold(m.origins[0], broker.MessageSent{Message: &broker.Message{Kind: broker.KindQueue, Dest: "/queue/a"}})
	}
}

func (m *machine) openBoth(*rapid.T) {
	for _, o := range m.origins {
		for number := range uint64(3) {
			m.fold(o, broker.SessionOpened{Session: number + 1, User: "u"})
		}
	}
}

func (m *machine) settled() broker.DeliverySettled {
	f := broker.DeliverySettled{
		Sub: m.number("sub", 6), To: m.number("to", 12), Strict: rapid.IntRange(0, 4).Draw(m.t, "strict") == 0,
		Outcome: broker.Outcome(rapid.IntRange(1, 4).Draw(m.t, "outcome")),
	}
	switch rapid.IntRange(0, 2).Draw(m.t, "range") {
	case 0:
		f.From = f.To
	case 1:
		f.From = m.number("from", f.To)
	}
	return f
}

func (m *machine) covered() broker.UserCovered {
	return broker.UserCovered{Sub: m.number("sub", 6), UpTo: broker.Seq(rapid.Uint64Range(0, uint64(m.model.Next())+1).Draw(m.t, "upto"))}
}

func (m *machine) commit(*rapid.T) {
	var f broker.TransactionCommitted
	for range rapid.IntRange(0, 4).Draw(m.t, "actions") {
		switch rapid.IntRange(0, 4).Draw(m.t, "action") {
		case 0:
			f.Actions = append(f.Actions, m.covered())
		case 1, 2:
			f.Actions = append(f.Actions, m.settled())
		default:
			f.Actions = append(f.Actions, broker.MessageSent{Message: m.message()})
		}
	}
	m.fold(m.node(), f)
}

// tick lets time pass and folds what the leader would propose; now and then it only lets time pass.
func (m *machine) tick(*rapid.T) {
	m.now += broker.Instant(rapid.SampledFrom([]int{1, 100, 700, 2_000, 30_000}).Draw(m.t, "millis"))
	if rapid.IntRange(0, 3).Draw(m.t, "late") > 0 {
		m.fold(nil, broker.TimeAdvanced{})
	}
}

func (m *machine) policy(*rapid.T) {
	dests := slices.Concat(modelQueues, modelUsers)
	p := broker.Policy{
		Set:                  broker.PolicyField(rapid.Uint16().Draw(m.t, "set")) & (broker.PolicyMaxDepth | broker.PolicyAckTimeout | broker.PolicyMaxDeliveries | broker.PolicyMaxReturns | broker.PolicyUserWaitingMessages | broker.PolicyUserWaitingAge),
		MaxDepth:             rapid.Int64Range(0, 8).Draw(m.t, "max-depth"),
		AckTimeoutMillis:     rapid.Int64Range(0, 2_000).Draw(m.t, "ack-timeout"),
		MaxDeliveries:        rapid.Int64Range(0, 3).Draw(m.t, "max-deliveries"),
		MaxReturns:           rapid.Int64Range(0, 3).Draw(m.t, "max-returns"),
		UserWaitingMessages:  rapid.Int64Range(0, 4).Draw(m.t, "user-waiting-messages"),
		UserWaitingAgeMillis: rapid.Int64Range(0, 2_000).Draw(m.t, "user-waiting-age"),
	}
	m.fold(nil, broker.PolicyChanged{Pattern: rapid.SampledFrom(dests).Draw(m.t, "pattern"), Policy: p})
}

func (m *machine) restart(*rapid.T) {
	o := m.node()
	o.Incarnation++
	o.N = 0
	m.fold(o, broker.NodeStarted{Name: "n"})
}

func (m *machine) lost(*rapid.T) {
	o := m.node()
	m.fold(nil, broker.NodeLost{Node: o.Node, Incarnation: o.Incarnation - uint64(rapid.IntRange(0, 1).Draw(m.t, "old"))})
}

// repeat folds the last event again, or one with a gap before it.
func (m *machine) repeat(*rapid.T) {
	e := m.last
	if e.Origin.Node.IsZero() {
		return
	}
	if _, ok := e.Fact.(broker.NodeStarted); !ok && rapid.Bool().Draw(m.t, "gap") {
		e.Origin.N += 2
	}
	next, digest := m.journal.State.Next(), m.journal.State.Digest()
	m.apply(e)
	if got := m.journal.State.Digest(); got != digest || m.journal.State.Next() != next {
		m.t.Fatalf("digest after a repeated origin = %x, want %x", got, digest)
	}
}

// fold gives both the next fact of an origin, or the leader's own.
func (m *machine) fold(o *broker.Origin, f broker.Fact) {
	e := broker.Event{At: m.now, Fact: f}
	if o != nil {
		o.N++
		e.Origin = *o
	}
	m.last = e
	m.apply(e)
}

func (m *machine) apply(e broker.Event) {
	want := m.model.Apply(e)
	got := m.journal.Apply(e)
	m.events++
	if g, w := byQueue(got), byQueue(want); !maps.EqualFunc(g, w, slices.Equal) {
		m.t.Fatalf("effects of event %d, %s %+v:\n got %v\nwant %v", m.events, broker.KindName(e.Fact), e, g, w)
	}
	if got, want := m.journal.State.Next(), m.model.Next(); got != want {
		m.t.Fatalf("next place after event %d = %d, want %d", m.events, got, want)
	}
}

// byQueue writes effects in their order; what ends an event for several queues at a time only has an order within each.
func byQueue(effects []broker.Effect) map[string][]string {
	lists := make(map[string][]string)
	for _, e := range effects {
		key := ""
		switch e.Kind {
		case broker.EffectDelivered, broker.EffectExpired, broker.EffectDropped:
			key = e.Dest
		}
		e.Message, e.Stream = nil, 0
		lists[key] = append(lists[key], fmt.Sprintf("%s %+v", e.Kind, e))
	}
	return lists
}

func (m *machine) check(t *rapid.T) {
	if err := m.journal.State.Check(); err != nil {
		t.Fatalf("check after %d events: %v", m.events, err)
	}
	gotAt, gotOK := m.journal.State.NextDue()
	wantAt, wantOK := m.model.NextDue()
	if gotOK != wantOK || gotAt != wantAt {
		t.Fatalf("next due = %d %v, want %d %v", gotAt, gotOK, wantAt, wantOK)
	}
}
