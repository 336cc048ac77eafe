package brokertest

import "stampede/broker"

// open s1 [user=ann] [node=n1] [service] opens a session.
func open(w *World, a args) string {
	n := w.nodes[a.text("node", "n1")]
	if n == nil {
		a.fail("no node %s", a.text("node", "n1"))
	}
	s := w.sessions[a.name(0)]
	if s == nil {
		s = &session{node: n, number: w.takeNumber()}
		w.sessions[a.name(0)] = s
	}
	return w.fold(n, broker.SessionOpened{Session: s.number, User: a.text("user", ""), Service: a.has("service"), RemoteAddr: "10.0.0.1:1"})
}
