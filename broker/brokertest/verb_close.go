package brokertest

import "stampede/broker"

// close s1 closes a session, close s1/a ends a subscription, close n1 gives a node up.
func closeVerb(w *World, a args) string {
	name := a.name(0)
	if n := w.nodes[name]; n != nil {
		return w.fold(nil, broker.NodeLost{Node: n.origin.Node, Incarnation: n.origin.Incarnation})
	}
	if sub := w.subs[name]; sub != nil {
		return w.fold(sub.session.node, broker.SubscriptionClosed{Sub: sub.number})
	}
	s := a.session()
	return w.fold(s.node, broker.SessionClosed{Session: s.number})
}
