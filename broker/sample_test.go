package broker_test

import "stampede/broker"

// sampleNode is the node of samples.
var sampleNode = broker.NodeID{1, 0x8f, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

type sampleFact struct {
	name string
	fact broker.Fact
}

// sampleFacts has every kind of fact at least once. Golden files hold their bytes: never change one, add new ones at the end.
func sampleFacts() []sampleFact {
	message := &broker.Message{
		Kind: broker.KindUser, Dest: "/user/ann/queue/a", As: "/user/ann/queue/A", User: "ann", Session: 300, ExpiresAt: 1_700_000_000_123,
		Headers: []byte("content-type:text/plain\nx:y\n"), Body: []byte("h\xc3\xa9llo"), Text: true,
	}
	small := &broker.Message{Kind: broker.KindTopic, Dest: "/topic/a", Body: []byte{0, 0xff}}
	limits := broker.DefaultLimits()
	limits.DueMax = 7
	all := broker.Policy{
		Set: 1<<10 - 1, Logged: true, MaxAgeMillis: 1, MaxBytes: 2, MaxMessages: 3, MaxDepth: 4, AckTimeoutMillis: 5,
		MaxDeliveries: 6, MaxReturns: 7, UserWaitingMessages: 8, UserWaitingAgeMillis: 1 << 40,
	}
	settled := broker.DeliverySettled{Sub: 9, From: 0, To: 1 << 40, Outcome: broker.Rejected, Strict: true}
	return []sampleFact{
		{"MessageSent/small", broker.MessageSent{Message: small}},
		{"MessageSent/full", broker.MessageSent{Message: message}},
		{"NodeStarted", broker.NodeStarted{Name: "node-a", Version: 1}},
		{"NodeLost", broker.NodeLost{Node: sampleNode, Incarnation: 5}},
		{"SessionOpened", broker.SessionOpened{Session: 7, User: "ann", Service: true, RemoteAddr: "10.0.0.1:61613"}},
		{"SessionClosed", broker.SessionClosed{Session: 7}},
		{"SubscriptionOpened/queue", broker.SubscriptionOpened{Session: 7, Sub: 8, Kind: broker.KindQueue, Dest: "/queue/a", Mode: broker.AckClientIndividual, Credit: 100, CreditBytes: -1, CreditBytesSet: true}},
		{"SubscriptionOpened/user", broker.SubscriptionOpened{Session: 7, Sub: 9, Kind: broker.KindUser, Dest: "/user/ann/queue/a", User: "ann", Position: 77}},
		{"SubscriptionClosed", broker.SubscriptionClosed{Sub: 8}},
		{"DeliverySettled", settled},
		{"UserCovered", broker.UserCovered{Sub: 9, UpTo: 1_000}},
		{"TransactionCommitted", broker.TransactionCommitted{Actions: []broker.Fact{broker.MessageSent{Message: small}, settled}}},
		{"TransactionCommitted/empty", broker.TransactionCommitted{}},
		{"PolicyChanged", broker.PolicyChanged{Pattern: "/queue/**", Policy: all}},
		{"PolicyChanged/some", broker.PolicyChanged{Pattern: "/topic/*", Policy: broker.Policy{Set: broker.PolicyLogged | broker.PolicyMaxDepth, MaxDepth: 10}}},
		{"PolicyRemoved", broker.PolicyRemoved{Pattern: "/queue/**"}},
		{"TimeAdvanced", broker.TimeAdvanced{}},
		{"FoldVersionRaised", broker.FoldVersionRaised{Version: 1}},
		{"LimitsChanged", broker.LimitsChanged{Limits: limits}},
		{"MessageSent/exclusive", broker.MessageSent{Message: &broker.Message{Kind: broker.KindExclusive, Dest: "/queue/a-user1", Session: 7}}},
		{"SubscriptionOpened/exclusive", broker.SubscriptionOpened{Session: 7, Sub: 10, Kind: broker.KindExclusive, Dest: "/queue/a-user1", Credit: 1_000}},
		{"TransactionCommitted/covered", broker.TransactionCommitted{Actions: []broker.Fact{broker.UserCovered{Sub: 9, UpTo: 1_000}}}},
	}
}

// sampleMessages has stored messages.
func sampleMessages() map[string]*broker.Message {
	return map[string]*broker.Message{
		"small": {Seq: 1, At: 2, Kind: broker.KindTopic, Dest: "/topic/a"},
		"full": {
			Seq: 1 << 40, At: 1_700_000_000_000, Kind: broker.KindUser, Dest: "/user/ann/queue/a", As: "/user/ann/queue/A", User: "ann", Node: sampleNode,
			Session: 300, ExpiresAt: 1_700_000_000_123, Headers: []byte("x:y\n"), Body: []byte("h\xc3\xa9llo"), Text: true,
		},
	}
}

// sampleState returns a state that has every kind of record in every form, but those that sampleExclusive has.
func sampleState() *broker.State {
	s := broker.New(broker.DefaultLimits())
	var fx broker.Effects
	at := broker.Instant(1_000)
	o := broker.Origin{Node: sampleNode, Incarnation: 3}
	fold := func(f broker.Fact) {
		o.N++
		at++
		s.Apply(broker.Event{At: at, Origin: o, Fact: f}, &fx)
	}
	send := func(kind broker.Kind, dest, user string, expires broker.Instant) {
		fold(broker.MessageSent{Message: &broker.Message{Kind: kind, Dest: dest, User: user, ExpiresAt: expires, Body: []byte("body")}})
	}
	fold(broker.NodeStarted{Name: "node-a", Version: 1})
	s.Apply(broker.Event{At: at, Origin: broker.Origin{Node: broker.NodeID{2}, Incarnation: 1, N: 1}, Fact: broker.NodeStarted{Name: "node-b", Version: 1}}, &fx)
	s.Apply(broker.Event{At: at, Fact: broker.NodeLost{Node: broker.NodeID{2}, Incarnation: 1}}, &fx)
	fold(broker.PolicyChanged{Pattern: "/queue/*", Policy: broker.Policy{Set: broker.PolicyMaxDepth | broker.PolicyLogged, MaxDepth: 50}})
	fold(broker.SessionOpened{Session: 1, User: "ann", Service: true, RemoteAddr: "10.0.0.1:1"})
	send(broker.KindTopic, "/topic/a", "", 0)
	send(broker.KindUser, "/user/ann/queue/a", "ann", 0)
	send(broker.KindUser, "/user/ann/queue/a", "ann", 0)
	fold(broker.SubscriptionOpened{Session: 1, Sub: 1, Kind: broker.KindUser, Dest: "/user/ann/queue/a", User: "ann"})
	fold(broker.SubscriptionOpened{Session: 1, Sub: 2, Kind: broker.KindQueue, Dest: "/queue/a", Mode: broker.AckClient, Credit: 2, CreditBytes: 1 << 20, CreditBytesSet: true})
	for i := range 4 {
		send(broker.KindQueue, "/queue/a", "", broker.Instant(i)*100_000)
	}
	fold(broker.DeliverySettled{Sub: 2, From: 1, To: 1, Outcome: broker.Rejected})
	fold(broker.DeliverySettled{Sub: 2, From: 2, To: 2, Outcome: broker.Requeued})
	return s
}

// sampleExclusive returns a state with two exclusive queues: one waits for a subscription, the other has one.
func sampleExclusive() *broker.State {
	s := broker.New(broker.DefaultLimits())
	var fx broker.Effects
	n := uint64(0)
	fold := func(f broker.Fact) {
		n++
		s.Apply(broker.Event{At: broker.Instant(1_000 + n), Origin: broker.Origin{Node: sampleNode, Incarnation: 1, N: n}, Fact: f}, &fx)
	}
	send := func(dest string, expires broker.Instant) {
		fold(broker.MessageSent{Message: &broker.Message{Kind: broker.KindExclusive, Dest: dest, ExpiresAt: expires, Body: []byte("body")}})
	}
	fold(broker.NodeStarted{Name: "node-a", Version: 1})
	fold(broker.SessionOpened{Session: 1, User: "ann"})
	send("/queue/a-user1", 0)
	send("/queue/a-user1", 100_000)
	fold(broker.SubscriptionOpened{Session: 1, Sub: 1, Kind: broker.KindExclusive, Dest: "/queue/a-user2", Credit: 1})
	send("/queue/a-user2", 0)
	send("/queue/a-user2", 0)
	return s
}
