package brokertest

import "stampede/broker"

// nack s1/a tag=1 [cumulative] [strict] [reject] gives a delivery back, or to the dead letters.
func nack(w *World, a args) string { return w.settle(a, nackOutcome(a)) }

func nackOutcome(a args) broker.Outcome {
	if a.has("reject") {
		return broker.Rejected
	}
	return broker.Requeued
}
