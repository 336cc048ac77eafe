package brokertest

import "stampede/broker"

// node n2 [incarnation=2] starts a node; gap makes its facts skip one.
func startNode(w *World, a args) string {
	name := a.name(0)
	if a.has("gap") {
		w.nodes[name].origin.N++
		defer func() { w.nodes[name].origin.N -= 2 }()
		return w.fold(w.nodes[name], broker.SessionClosed{Session: 1})
	}
	return w.start(name, uint64(a.number("incarnation", 1)))
}
