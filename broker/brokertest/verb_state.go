package brokertest

import (
	"fmt"
	"strings"

	"stampede/broker"
)

// state shows destinations with what is in queues, sessions and subscriptions.
func state(w *World, _ args) string {
	var b strings.Builder
	s := w.State()
	fmt.Fprintf(&b, "next #%d clock %d\n", s.Next(), s.Clock())
	s.Destinations(func(d broker.DestinationInfo) bool {
		fmt.Fprintf(&b, "%s %s messages=%d", d.Kind, d.Name, d.Messages)
		if d.Kind != broker.KindTopic {
			fmt.Fprintf(&b, " waiting=%d subscriptions=%d", d.Waiting, d.Subscriptions)
		}
		if d.Kind == broker.KindUser {
			fmt.Fprintf(&b, " covered=#%d", d.Covered)
		}
		b.WriteByte('\n')
		s.QueueMessages(d.Name, 0, func(m broker.QueueMessageInfo) bool {
			fmt.Fprintf(&b, "  #%d deliveries=%d failures=%d returns=%d", m.Seq, m.Deliveries, m.Failures, m.Returns)
			if m.Unsettled {
				b.WriteString(" unsettled")
			}
			if m.Reason != "" {
				fmt.Fprintf(&b, " reason=%s from=%s", m.Reason, m.From)
			}
			b.WriteByte('\n')
			return true
		})
		return true
	})
	s.Sessions(func(c broker.SessionInfo) bool {
		fmt.Fprintf(&b, "session %s user=%s subscriptions=%d\n", w.sessionName(c.Node, c.Session), c.User, c.Subscriptions)
		return true
	})
	s.Subscriptions(func(v broker.SubscriptionInfo) bool {
		fmt.Fprintf(&b, "subscription %s %s unsettled=%d\n", w.subName(v.Node, v.Sub), v.Dest, v.Unsettled)
		return true
	})
	return b.String()
}
