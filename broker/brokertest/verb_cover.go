package brokertest

import "stampede/broker"

// cover s1/u upto=4 says that a session of the user took everything up to there.
func cover(w *World, a args) string {
	sub := a.sub()
	return w.fold(sub.session.node, broker.UserCovered{Sub: sub.number, UpTo: broker.Seq(a.number("upto", 0))})
}
