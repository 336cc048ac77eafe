package brokertest

import "stampede/broker"

// limits [due=2] [sessions=1] [subscriptions=1] [destinations=1] [messages=1] [size=10] [actions=2] [nodes=1] [policies=1] [credit-bytes=10]
// [transaction-bytes=10] replaces some limits.
func limits(w *World, a args) string {
	l := w.journal.State.Limits()
	fields := map[string]*int{
		"due": &l.DueMax, "sessions": &l.SessionsMax, "subscriptions": &l.SubscriptionsMax, "destinations": &l.DestinationsMax,
		"messages": &l.QueueMessagesMax, "size": &l.MessageBytesMax, "actions": &l.TransactionActionsMax, "nodes": &l.NodesMax, "policies": &l.PoliciesMax,
		"transaction-bytes": &l.TransactionBytesMax,
	}
	l.CreditBytesMax = a.number("credit-bytes", l.CreditBytesMax)
	for _, arg := range a.d.CmdArgs {
		if arg.Key == "credit-bytes" {
			continue
		}
		field := fields[arg.Key]
		if field == nil {
			a.fail("no limit %s", arg.Key)
		}
		*field = int(a.number(arg.Key, 0))
	}
	return w.fold(nil, broker.LimitsChanged{Limits: l})
}
