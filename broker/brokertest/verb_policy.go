package brokertest

import "stampede/broker"

// policy /queue/* max-depth=2 [ack-timeout=1000] [max-deliveries=2] [max-returns=1] [user-waiting-messages=2] [user-waiting-age=1000] [max-age=1] [logged=0] sets a policy;
// with remove it takes it away.
func policy(w *World, a args) string {
	if a.has("remove") {
		return w.fold(nil, broker.PolicyRemoved{Pattern: a.name(0)})
	}
	var p broker.Policy
	fields := []struct {
		name  string
		bit   broker.PolicyField
		value *int64
	}{
		{"max-age", broker.PolicyMaxAge, &p.MaxAgeMillis},
		{"max-bytes", broker.PolicyMaxBytes, &p.MaxBytes},
		{"max-messages", broker.PolicyMaxMessages, &p.MaxMessages},
		{"max-depth", broker.PolicyMaxDepth, &p.MaxDepth},
		{"ack-timeout", broker.PolicyAckTimeout, &p.AckTimeoutMillis},
		{"max-deliveries", broker.PolicyMaxDeliveries, &p.MaxDeliveries},
		{"max-returns", broker.PolicyMaxReturns, &p.MaxReturns},
		{"user-waiting-messages", broker.PolicyUserWaitingMessages, &p.UserWaitingMessages},
		{"user-waiting-age", broker.PolicyUserWaitingAge, &p.UserWaitingAgeMillis},
	}
	for _, f := range fields {
		if a.has(f.name) {
			p.Set |= f.bit
			*f.value = a.number(f.name, 0)
		}
	}
	if a.has("logged") {
		p.Set |= broker.PolicyLogged
		p.Logged = a.number("logged", 0) != 0
	}
	return w.fold(nil, broker.PolicyChanged{Pattern: a.name(0), Policy: p})
}
