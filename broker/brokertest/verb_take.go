package brokertest

import "stampede/broker"

// take s1/a from=1 tag=3 says that the socket took the deliveries from the one to the other.
func take(w *World, a args) string { return w.settle(a, broker.Taken) }
