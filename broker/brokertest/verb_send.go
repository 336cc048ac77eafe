package brokertest

import (
	"strings"

	"stampede/broker"
)

// send s1 queue=/queue/a|exclusive=/queue/a|topic=/topic/a|dest=/user/ann/queue/a body=one [expires=2000] [size=100] sends; size pads the body with dots.
func send(w *World, a args) string {
	s := a.session()
	return w.fold(s.node, broker.MessageSent{Message: message(s, a)})
}

func message(s *session, a args) *broker.Message {
	m := &broker.Message{Session: s.number, Body: []byte(a.text("body", "")), ExpiresAt: broker.Instant(a.number("expires", 0)), Text: true}
	switch {
	case a.has("queue"):
		m.Kind, m.Dest = broker.KindQueue, a.text("queue", "")
	case a.has("exclusive"):
		m.Kind, m.Dest = broker.KindExclusive, a.text("exclusive", "")
	case a.has("topic"):
		m.Kind, m.Dest = broker.KindTopic, a.text("topic", "")
	default:
		m.Kind, m.Dest = broker.KindUser, a.text("dest", "")
		m.User, _, _ = strings.Cut(strings.TrimPrefix(m.Dest, "/user/"), "/")
	}
	for int64(m.Size()) < a.number("size", 0) {
		m.Body = append(m.Body, '.')
	}
	return m
}
