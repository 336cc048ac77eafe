package brokertest

import (
	"strings"

	"stampede/broker"
)

// subscribe s1/a queue=/queue/a|exclusive=/queue/a [mode=auto|client|client-individual] [credit=10] [bytes=0], or
// subscribe s1/u dest=/user/ann/queue/a user=ann [position=4].
func subscribe(w *World, a args) string {
	name := a.name(0)
	owner, _, _ := strings.Cut(name, "/")
	s := w.sessions[owner]
	if s == nil {
		a.fail("no session %s", owner)
	}
	sub := w.subs[name]
	if sub == nil || sub.session != s {
		sub = &subscription{session: s, number: w.takeNumber()}
		w.subs[name] = sub
	}
	modes := map[string]broker.AckMode{"auto": broker.AckAuto, "client": broker.AckClient, "client-individual": broker.AckClientIndividual}
	f := broker.SubscriptionOpened{
		Session: s.number, Sub: sub.number, Kind: broker.KindQueue, Dest: a.text("queue", ""), Mode: modes[a.text("mode", "auto")],
		Credit: uint32(a.number("credit", 10)), CreditBytes: a.number("bytes", 0), CreditBytesSet: a.has("bytes"), Position: broker.Seq(a.number("position", 0)),
	}
	if a.has("exclusive") {
		f.Kind, f.Dest = broker.KindExclusive, a.text("exclusive", "")
	}
	if a.has("dest") {
		f.Kind, f.Dest, f.User = broker.KindUser, a.text("dest", ""), a.text("user", "")
	}
	return w.fold(s.node, f)
}
