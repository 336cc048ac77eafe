package brokertest

import "stampede/broker"

// ack s1/a tag=1 [cumulative] [strict] settles a delivery, or all up to it.
func ack(w *World, a args) string { return w.settle(a, broker.Acked) }

func (w *World) settle(a args, outcome broker.Outcome) string {
	return w.fold(a.sub().session.node, settled(a, outcome))
}

func settled(a args, outcome broker.Outcome) broker.DeliverySettled {
	f := broker.DeliverySettled{Sub: a.sub().number, To: uint64(a.number("tag", 0)), Outcome: outcome, Strict: a.has("strict")}
	f.From = uint64(a.number("from", int64(f.To)))
	if a.has("cumulative") {
		f.From = 0
	}
	return f
}
