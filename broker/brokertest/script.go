package brokertest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"stampede/broker"
)

// World is what a script acts on: a journal, and names for what has numbers in the fold.
// A session is named s1, its subscription to a thing s1/thing. A node n1 is there from the start.
type World struct {
	tb       testing.TB
	journal  *Journal
	now      broker.Instant
	nodes    map[string]*node
	sessions map[string]*session
	subs     map[string]*subscription
	bodies   map[broker.Seq]string
	last     broker.Event // for the verb again
	number   uint64       // the last one given to a session or subscription
}

type node struct {
	name   string
	origin broker.Origin
}

type session struct {
	node   *node
	number uint64
}

type subscription struct {
	session *session
	number  uint64
}

// verb acts and returns what the script is to show.
type verb func(w *World, args args) string

func verbs() map[string]verb {
	return map[string]verb{
		"ack": ack, "again": again, "check": check, "close": closeVerb, "commit": commit, "cover": cover, "limits": limits, "nack": nack, "node": startNode,
		"open": open, "policy": policy, "send": send, "state": state, "subscribe": subscribe, "take": take, "tick": tick,
	}
}

// RunScript runs a script file; -rewrite writes what came out into it.
func RunScript(t *testing.T, path string) {
	t.Helper()
	w := NewWorld(t)
	all := verbs()
	datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
		act, ok := all[d.Cmd]
		if !ok {
			t.Fatalf("%s: no verb %q", d.Pos, d.Cmd)
		}
		return act(w, args{w, d})
	})
}

// NewWorld returns a world with the node n1. When the test ends, the laws are checked over all that was folded.
func NewWorld(tb testing.TB) *World {
	w := &World{
		tb: tb, journal: NewJournal(broker.DefaultLimits(), 3), now: 1_000,
		nodes: make(map[string]*node), sessions: make(map[string]*session), subs: make(map[string]*subscription),
		bodies: make(map[broker.Seq]string),
	}
	w.start("n1", 1)
	tb.Cleanup(func() {
		if err := w.journal.Verify(1_000); err != nil {
			tb.Errorf("laws: %v", err)
		}
	})
	return w
}

// State returns the state of the world.
func (w *World) State() *broker.State { return w.journal.State }

// start begins an incarnation of a node.
func (w *World) start(name string, incarnation uint64) string {
	n := w.nodes[name]
	if n == nil {
		n = &node{name: name}
		n.origin.Node[15] = byte(len(w.nodes) + 1)
		w.nodes[name] = n
	}
	n.origin.Incarnation, n.origin.N = incarnation, 0
	return w.fold(n, broker.NodeStarted{Name: name, Version: broker.FoldVersion})
}

// fold folds a node's next fact, or the leader's own if n is nil, checks the state and returns the effects as text.
func (w *World) fold(n *node, f broker.Fact) string {
	e := broker.Event{At: w.now, Fact: f}
	if n != nil {
		n.origin.N++
		e.Origin = n.origin
	}
	w.last = e
	return w.apply(e)
}

func (w *World) apply(e broker.Event) string {
	effects := w.journal.Apply(e)
	if err := w.journal.State.Check(); err != nil {
		w.tb.Fatalf("after %s: %v", broker.KindName(e.Fact), err)
	}
	var b strings.Builder
	for i := range effects {
		b.WriteString(w.describe(&effects[i]))
		b.WriteByte('\n')
	}
	if b.Len() == 0 {
		return "ok\n"
	}
	return b.String()
}

// describe writes an effect as scripts show it.
func (w *World) describe(e *broker.Effect) string {
	switch e.Kind {
	case broker.EffectStored:
		w.bodies[e.Seq] = strings.TrimRight(string(e.Message.Body), ".")
		return fmt.Sprintf("stored #%d %s body=%s", e.Seq, e.Dest, w.bodies[e.Seq])
	case broker.EffectDelivered:
		text := fmt.Sprintf("deliver %s tag=%d #%d attempt=%d body=%s", w.subName(e.Node, e.Sub), e.Tag, e.Seq, e.Attempt, w.bodies[e.Body])
		if e.Redelivered {
			text += " redelivered"
		}
		if e.Reason != "" {
			text += fmt.Sprintf(" reason=%s from=%s count=%d", e.Reason, e.From, e.Count)
		}
		return text
	case broker.EffectRefused:
		return "refused " + e.Refusal.String()
	case broker.EffectUserPosition:
		return fmt.Sprintf("position %s #%d", w.subName(e.Node, e.Sub), e.Seq)
	case broker.EffectSessionOpened, broker.EffectSessionClosed:
		return fmt.Sprintf("%s %s user=%s", e.Kind, w.sessionName(e.Node, e.Session), e.User)
	case broker.EffectNodeStarted, broker.EffectNodeLost:
		return fmt.Sprintf("%s %s/%d", e.Kind, w.nodeName(e.Node), e.Incarnation)
	case broker.EffectDeadLettered:
		return fmt.Sprintf("dead-lettered #%d %s body=%s reason=%s from=%s count=%d", e.Seq, e.Dest, w.bodies[e.Body], e.Reason, e.From, e.Count)
	case broker.EffectExpired:
		return fmt.Sprintf("expired #%d %s body=%s", e.Seq, e.Dest, w.bodies[e.Body])
	case broker.EffectDropped:
		if e.Reason != "" {
			return fmt.Sprintf("dropped %d up to #%d %s reason=%s", e.Count, e.Seq, e.Dest, e.Reason)
		}
		return fmt.Sprintf("dropped %d up to #%d %s user=%s", e.Count, e.Seq, e.Dest, e.User)
	case broker.EffectStaleSettle:
		return fmt.Sprintf("stale-settle %d", e.Count)
	case broker.EffectDuplicate, broker.EffectGap:
		return fmt.Sprintf("%s n=%d wanted=%d", e.Kind, e.Tag, e.Seq)
	case broker.EffectPolicyChanged:
		return fmt.Sprintf("%s %s", e.Kind, e.Dest)
	}
	return e.Kind.String()
}

func (w *World) nodeName(id broker.NodeID) string { return "n" + strconv.Itoa(int(id[15])) }

func (w *World) sessionName(id broker.NodeID, number uint64) string {
	for name, s := range w.sessions {
		if s.node.origin.Node == id && s.number == number {
			return name
		}
	}
	return "?"
}

func (w *World) subName(id broker.NodeID, number uint64) string {
	for name, s := range w.subs {
		if s.session.node.origin.Node == id && s.number == number {
			return name
		}
	}
	return "?"
}

// take gives out a number.
func (w *World) takeNumber() uint64 {
	w.number++
	return w.number
}

// args reads the arguments of a line of a script.
type args struct {
	w *World
	d *datadriven.TestData
}

// name returns the i-th argument, which has no value.
func (a args) name(i int) string {
	if i >= len(a.d.CmdArgs) || len(a.d.CmdArgs[i].Vals) > 0 {
		a.fail("argument %d is missing", i+1)
	}
	return a.d.CmdArgs[i].Key
}

// text returns the value of an argument, or what stands for it.
func (a args) text(key, missing string) string {
	for _, arg := range a.d.CmdArgs {
		if arg.Key == key && len(arg.Vals) == 1 {
			return arg.Vals[0]
		}
	}
	return missing
}

// number returns the value of an argument, or what stands for it.
func (a args) number(key string, missing int64) int64 {
	text := a.text(key, "")
	if text == "" {
		return missing
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		a.fail("%s=%s is no number", key, text)
	}
	return v
}

// has reports whether an argument is there.
func (a args) has(key string) bool {
	for _, arg := range a.d.CmdArgs {
		if arg.Key == key {
			return true
		}
	}
	return false
}

func (a args) session() *session {
	s := a.w.sessions[a.name(0)]
	if s == nil {
		a.fail("no session %s", a.name(0))
	}
	return s
}

func (a args) sub() *subscription {
	s := a.w.subs[a.name(0)]
	if s == nil {
		a.fail("no subscription %s", a.name(0))
	}
	return s
}

func (a args) fail(format string, values ...any) {
	a.w.tb.Fatalf("%s: %s", a.d.Pos, fmt.Sprintf(format, values...))
}
