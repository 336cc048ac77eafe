package broker_test

import (
	"runtime"
	"strings"
	"testing"

	"stampede/broker"
)

func TestApply(t *testing.T) {
	t.Run("panics with place and kind for faults of the caller", func(t *testing.T) {
		tests := []struct {
			name  string
			event broker.Event
			want  string
		}{
			{"a place that is not the next", broker.Event{Seq: 9, Fact: broker.TimeAdvanced{}}, "event 1 (TimeAdvanced): the next place is 1"},
			{"no message", broker.Event{Fact: broker.MessageSent{}}, "event 1 (MessageSent): no message"},
			{"no message in a transaction", broker.Event{Fact: broker.TransactionCommitted{Actions: []broker.Fact{broker.MessageSent{}}}}, "(TransactionCommitted): no message"},
			{"a strange action", broker.Event{Fact: broker.TransactionCommitted{Actions: []broker.Fact{broker.TimeAdvanced{}}}}, "a transaction holds TimeAdvanced"},
			{"no fact", broker.Event{}, "(unknown): not a fact"},
			{"a version of the fold that is not known", broker.Event{Fact: broker.FoldVersionRaised{Version: broker.FoldVersion + 1}}, "(FoldVersionRaised): version 2"},
		}
		for _, test := range tests {
			func() {
				defer func() {
					if got, _ := recover().(string); !strings.Contains(got, test.want) {
						t.Errorf("%s: panic %q, want %q in it", test.name, got, test.want)
					}
				}()
				var fx broker.Effects
				broker.New(broker.DefaultLimits()).Apply(test.event, &fx)
			}()
		}
	})
	t.Run("stamps messages with place, time and node", func(t *testing.T) {
		var fx broker.Effects
		s, o := newNode(t, &fx)
		m := &broker.Message{Kind: broker.KindTopic, Dest: "/topic/a", Session: 4}
		apply(s, &o, broker.MessageSent{Message: m}, &fx)
		if m.Seq != 2 || m.At != 1_000 || m.Node != o.Node || m.Session != 4 {
			t.Errorf("message = %+v, want place 2, time 1000, node %v", m, o.Node)
		}
		if got := fx.List[0]; got.Kind != broker.EffectStored || got.Message != m || got.Seq != 2 || got.Stream != 1 || got.Dest != "/topic/a" {
			t.Errorf("effect = %+v, want stored with the message", got)
		}
	})
	t.Run("gives a delivery its message when the event carries it", func(t *testing.T) {
		var fx broker.Effects
		s, o := newNode(t, &fx)
		apply(s, &o, broker.SessionOpened{Session: 1}, &fx)
		apply(s, &o, broker.SubscriptionOpened{Session: 1, Sub: 1, Kind: broker.KindQueue, Dest: "/queue/a", Credit: 2, Mode: broker.AckClient}, &fx)
		first := &broker.Message{Kind: broker.KindQueue, Dest: "/queue/a"}
		second := &broker.Message{Kind: broker.KindQueue, Dest: "/queue/a"}
		apply(s, &o, broker.TransactionCommitted{Actions: []broker.Fact{broker.MessageSent{Message: first}, broker.MessageSent{Message: second}}}, &fx)
		for i, m := range []*broker.Message{first, second} {
			if got := fx.List[2+i]; got.Kind != broker.EffectDelivered || got.Message != m || got.Seq != m.Seq {
				t.Errorf("effect %d = %+v, want delivery of %d with its message", 2+i, got, m.Seq)
			}
		}
		apply(s, &o, broker.DeliverySettled{Sub: 1, From: 1, To: 1, Outcome: broker.Requeued}, &fx)
		if got := fx.List[0]; got.Kind != broker.EffectDelivered || got.Message != nil || got.Seq != first.Seq || got.Attempt != 2 {
			t.Errorf("effect = %+v, want second delivery of %d without message", got, first.Seq)
		}
	})
	t.Run("keeps time from going backwards", func(t *testing.T) {
		var fx broker.Effects
		s := broker.New(broker.DefaultLimits())
		for _, step := range []struct{ at, want broker.Instant }{{50, 50}, {40, 50}, {-7, 50}, {60, 60}} {
			s.Apply(broker.Event{At: step.at, Fact: broker.TimeAdvanced{}}, &fx)
			if got := s.Clock(); got != step.want {
				t.Errorf("clock after an event at %d = %d, want %d", step.at, got, step.want)
			}
		}
	})
	t.Run("appends to the effects that are there", func(t *testing.T) {
		var fx broker.Effects
		s := broker.New(broker.DefaultLimits())
		s.Apply(broker.Event{Fact: broker.SessionClosed{}}, &fx)
		if got := fx.Refused(); got != broker.RefusedUnknownNode {
			t.Errorf("refusal = %v, want %v", got, broker.RefusedUnknownNode)
		}
		s.Apply(broker.Event{Fact: broker.LimitsChanged{Limits: broker.DefaultLimits()}}, &fx)
		if got := len(fx.List); got != 2 {
			t.Errorf("effects = %d, want 2", got)
		}
		fx.Reset()
		if got := fx.Refused(); len(fx.List) != 0 || got != broker.RefusedNone {
			t.Errorf("refusal after reset = %v, want none", got)
		}
	})
	t.Run("folds a message of a topic without allocating", func(t *testing.T) {
		var fx broker.Effects
		s, o := newNode(t, &fx)
		m := &broker.Message{Kind: broker.KindTopic, Dest: "/topic/a"}
		apply(s, &o, broker.MessageSent{Message: m}, &fx)
		if got := testing.AllocsPerRun(1_000, func() { apply(s, &o, broker.MessageSent{Message: m}, &fx) }); got != 0 {
			t.Errorf("allocations = %v, want 0", got)
		}
	})
	t.Run("knows the version of the fold", func(t *testing.T) {
		var fx broker.Effects
		s := broker.New(broker.DefaultLimits())
		s.Apply(broker.Event{Fact: broker.FoldVersionRaised{Version: 1}}, &fx)
		if got := s.Version(); got != 1 || len(fx.List) != 0 {
			t.Errorf("version = %d with %d effects, want 1 with none", got, len(fx.List))
		}
	})
}

func TestDecoder(t *testing.T) {
	t.Run("shares strings and allocates one message", func(t *testing.T) {
		d := broker.NewDecoder()
		encoded := broker.AppendFact(nil, broker.MessageSent{Message: &broker.Message{Kind: broker.KindUser, Dest: "/user/ann/queue/a", User: "ann", Body: []byte("body")}})
		got := testing.AllocsPerRun(1_000, func() {
			if _, _, err := d.Fact(encoded); err != nil {
				t.Fatal(err)
			}
		})
		if got != 1 {
			t.Errorf("allocations = %v, want 1", got)
		}
	})
	t.Run("tells an unknown kind from bad bytes", func(t *testing.T) {
		d := broker.NewDecoder()
		for data, want := range map[string]error{
			"": broker.ErrBadFact, "\x00": broker.ErrUnknownFact, "\xff": broker.ErrUnknownFact, "\x05": broker.ErrBadFact,
			"\x0a\x01\x0d":                         broker.ErrBadFact, // an action that cannot be one
			"\x0a\xff\xff\x03":                     broker.ErrBadFact, // more actions than bytes
			"\x05\x80\x00":                         broker.ErrBadFact, // a number longer than it need be
			"\x01\x00\x01\x00\xff\xff\xff\xff\x0f": broker.ErrBadFact, // a length beyond the bytes
		} {
			if _, _, err := d.Fact([]byte(data)); err != want {
				t.Errorf("decode %x = %v, want %v", data, err, want)
			}
		}
	})
}

// TestDecoderMemory reads transactions that say they have many actions: memory must follow the bytes, not the number.
func TestDecoderMemory(t *testing.T) {
	encoded := []byte("\x0a\xff\xff\x03")
	d := broker.NewDecoder()
	const times = 100
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range times {
		if _, _, err := d.Fact(encoded); err == nil {
			t.Fatal("four bytes were taken for a transaction")
		}
	}
	runtime.ReadMemStats(&after)
	if got := (after.TotalAlloc - before.TotalAlloc) / times; got > 1_000 {
		t.Errorf("bytes allocated for four bytes = %d, want next to none", got)
	}
}

func TestNodeID(t *testing.T) {
	tests := map[string]broker.NodeID{
		"00000000000000000000000000": {},
		"7ZZZZZZZZZZZZZZZZZZZZZZZZZ": {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255},
		"01ARZ3NDEKTSV4RRFFQ69G5FAV": {0x01, 0x56, 0x3e, 0x3a, 0xb5, 0xd3, 0xd6, 0x76, 0x4c, 0x61, 0xef, 0xb9, 0x93, 0x02, 0xbd, 0x5b},
	}
	for text, id := range tests {
		if got := id.String(); got != text {
			t.Errorf("String() = %s, want %s", got, text)
		}
		for _, form := range []string{text, strings.ToLower(text)} {
			if got, err := broker.ParseNodeID(form); err != nil || got != id {
				t.Errorf("ParseNodeID(%s) = %v, %v, want %v", form, got, err, id)
			}
		}
	}
	for _, bad := range []string{"", "0", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "01ARZ3NDEKTSV4RRFFQ69G5FAU", "01ARZ3NDEKTSV4RRFFQ69G5FA\xff"} {
		if _, err := broker.ParseNodeID(bad); err != broker.ErrBadNodeID {
			t.Errorf("ParseNodeID(%q) = %v, want %v", bad, err, broker.ErrBadNodeID)
		}
	}
	if got := (broker.NodeID{1}).Compare(broker.NodeID{0, 2}); got != 1 {
		t.Errorf("Compare = %d, want 1", got)
	}
}

func TestPolicyTable(t *testing.T) {
	var fx broker.Effects
	s := broker.New(broker.DefaultLimits())
	set := func(pattern string, p broker.Policy) {
		s.Apply(broker.Event{Fact: broker.PolicyChanged{Pattern: pattern, Policy: p}}, &fx)
	}
	depth := func(n int64) broker.Policy { return broker.Policy{Set: broker.PolicyMaxDepth, MaxDepth: n} }
	before := s.Policies()
	set("/queue/**", broker.Policy{Set: broker.PolicyMaxDepth | broker.PolicyMaxReturns, MaxDepth: 1, MaxReturns: 9})
	set("/queue/*", depth(2))
	set("/queue/a", depth(3))
	set("/queue/a.*", depth(4))
	set("/topic/**", broker.Policy{Set: broker.PolicyLogged})
	for dest, want := range map[string]int64{"/queue/a": 3, "/queue/b": 2, "/queue/a.b": 4, "/queue/c.d": 1, "/topic/a": 1_000_000} {
		if got := s.PolicyFor(dest).MaxDepth; got != want {
			t.Errorf("max-depth of %s = %d, want %d", dest, got, want)
		}
	}
	if got := s.PolicyFor("/queue/a").MaxReturns; got != 9 {
		t.Errorf("max-returns of /queue/a = %d, want 9 of the wider pattern", got)
	}
	if s.Logged("/topic/a") || !s.Logged("/queue/a") || before.Resolve("/topic/simp-user-registry").Logged || !before.Resolve("/topic/a").Logged {
		t.Error("logged is not what the policies say, or a table changed")
	}
	s.Apply(broker.Event{Fact: broker.PolicyRemoved{Pattern: "/queue/a"}}, &fx)
	if got := s.PolicyFor("/queue/a").MaxDepth; got != 2 {
		t.Errorf("max-depth of /queue/a after removal = %d, want 2", got)
	}
	var patterns []string
	s.Policies().All(func(pattern string, _ broker.Policy) bool {
		patterns = append(patterns, pattern)
		return true
	})
	if got, want := strings.Join(patterns, " "), "/queue/* /queue/** /queue/a.* /topic/**"; got != want {
		t.Errorf("patterns = %s, want %s", got, want)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

func TestLimits(t *testing.T) {
	if err := broker.DefaultLimits().Validate(); err != nil {
		t.Errorf("default limits: %v", err)
	}
	err := broker.Limits{}.Validate()
	if err == nil || strings.Count(err.Error(), "limit ") != 14 {
		t.Errorf("faults of no limits = %v, want all 14", err)
	}
}
