package gateway

import (
	"strings"

	"stampede/broker"
	"stampede/stomp"
)

// This file recognises the queues that Spring's broker relay makes for one session of a user.

// springOrigDestination is the header that Spring puts on SUBSCRIBE and SEND with the user destination that it translated:
// /user/queue/news becomes /queue/news-user<session>.
const springOrigDestination = "simpOrigDestination"

// springKind gives the kind of an address, which of such a queue is an exclusive one: Spring never deletes it, and would leave one behind for
// each session.
func springKind(a *address, f *stomp.Frame) broker.Kind {
	if a.kind != broker.KindQueue {
		return a.kind
	}
	name := a.dest[len(prefixQueue):]
	at := strings.LastIndex(name, "-user")
	if at < 1 || at+len("-user") == len(name) {
		return a.kind
	}
	if _, ok := f.Get(springOrigDestination); ok {
		return broker.KindExclusive
	}
	return a.kind
}
