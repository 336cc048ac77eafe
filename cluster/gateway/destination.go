package gateway

import (
	"strings"
	"unicode/utf8"

	"stampede/broker"
	"stampede/stomp"
)

// This file turns the destinations that clients write into addresses of the broker.

// nameBytesMax is the longest destination name in bytes; a longer one is refused (contract: 1 to 255 bytes).
const nameBytesMax = 255

// address is what a destination header means.
type address struct {
	kind     broker.Kind
	dest     string // canonical
	as       string // as written, when that differs from dest
	user     string // KindUser: whose; "" on SUBSCRIBE: the session's own
	pattern  bool   // holds wildcards: SUBSCRIBE to topics only
	server   bool   // a broker's own topic: no SEND
	logged   bool   // false: messages skip the log by policy
	policies uint64 // how many changes of policies logged knows of
}

// RabbitMQ's words for destinations, kept so that clients of it work unchanged.
const (
	prefixTopic       = "/topic/"
	prefixQueue       = "/queue/"
	prefixUser        = "/user/"
	prefixAmqTopic    = "/exchange/amq.topic/"
	prefixAmqDirect   = "/exchange/amq.direct/"
	amqFanout         = "/exchange/amq.fanout"
	prefixAmqQueue    = "/amq/queue/"
	prefixServerTopic = "/topic/server."
	prefixDeadLetters = "dlq."
)

// parseSend reads the destination of a SEND.
func parseSend(written string) (address, *stomp.ProtocolError) {
	a, err := parse(written)
	if err != nil {
		return a, err
	}
	switch {
	case a.pattern:
		return a, invalidDestination(written, "a SEND names one destination: wildcards are for SUBSCRIBE to topics")
	case a.server:
		return a, &stomp.ProtocolError{
			Code: stomp.CodeForbiddenDestination, Severity: stomp.Refused, Message: "destination belongs to the broker",
			Detail: "The /topic/server. topics carry the broker's own notices; clients cannot SEND to them.",
		}
	case a.kind == broker.KindUser && a.user == "":
		return a, invalidDestination(written, "a SEND to a user names the user: /user/<user>/queue/<name>")
	}
	return a, nil
}

// parseSubscribe reads the destination of a SUBSCRIBE by the given user ("" when the session has none).
func parseSubscribe(written, user string) (address, *stomp.ProtocolError) {
	a, err := parse(written)
	if err != nil {
		return a, err
	}
	switch {
	case a.pattern && (a.kind != broker.KindTopic || strings.HasPrefix(a.dest, prefixAmqDirect)):
		return a, invalidDestination(written, "wildcards work on topics only")
	case a.kind != broker.KindUser:
		return a, nil
	case a.user != "":
		return a, &stomp.ProtocolError{
			Code: stomp.CodeForbiddenDestination, Severity: stomp.Refused, Message: "user destinations can only be one's own to read",
			Detail: "SUBSCRIBE to /user/queue/<name> or /user/topic/<name>; the broker adds the authenticated user.",
		}
	case user == "":
		return a, &stomp.ProtocolError{
			Code: stomp.CodeNoUser, Severity: stomp.Refused, Message: "the session has no user",
			Detail: "User destinations need a user: CONNECT with a login.",
		}
	}
	a.user = user
	a.dest = prefixUser + escapeUser(user) + a.dest
	a.as = written
	return a, nil
}

func parse(written string) (address, *stomp.ProtocolError) {
	if strings.Contains(written, ",/") {
		return address{}, &stomp.ProtocolError{
			Code: stomp.CodeUnsupportedHeader, Severity: stomp.Refused, Message: "lists of destinations are not supported",
			Detail: "The destination holds a comma list; send to each destination on its own.",
		}
	}
	a := address{logged: true}
	var name string
	switch {
	case strings.HasPrefix(written, prefixTopic):
		a.kind, a.dest, name = broker.KindTopic, written, written[len(prefixTopic):]
	case strings.HasPrefix(written, prefixQueue):
		a.kind, a.dest, name = broker.KindQueue, written, written[len(prefixQueue):]
	case strings.HasPrefix(written, prefixUser):
		return parseUser(written)
	case strings.HasPrefix(written, prefixAmqTopic):
		name = written[len(prefixAmqTopic):]
		a.kind, a.dest = broker.KindTopic, prefixTopic+name
	case strings.HasPrefix(written, prefixAmqDirect):
		a.kind, a.dest, name = broker.KindTopic, written, written[len(prefixAmqDirect):]
	case written == amqFanout || strings.HasPrefix(written, amqFanout+"/"):
		a.kind, a.dest, name = broker.KindTopic, amqFanout, "fanout"
	case strings.HasPrefix(written, prefixAmqQueue):
		name = written[len(prefixAmqQueue):]
		a.kind, a.dest = broker.KindQueue, prefixQueue+name
	case written != "" && written[0] != '/':
		a.kind, a.dest, name = broker.KindQueue, prefixQueue+written, written
	default:
		return a, invalidDestination(written, "a destination begins with /topic/, /queue/ or /user/")
	}
	if a.dest != written {
		a.as = written
	}
	a.pattern = hasWildcard(name)
	a.server = strings.HasPrefix(a.dest, prefixServerTopic)
	return a, checkName(written, name)
}

// parseUser reads /user/queue/<name>, /user/topic/<name> (user "", dest the rest) and /user/<user>/queue/<name>.
func parseUser(written string) (address, *stomp.ProtocolError) {
	rest := written[len(prefixUser)-1:] // "/queue/x" or "/bob/queue/x"
	a := address{kind: broker.KindUser, logged: true}
	if name, ok := userName(rest); ok {
		a.dest = rest
		a.pattern = hasWildcard(name)
		return a, checkName(written, name)
	}
	user, tail, found := strings.Cut(rest[1:], "/")
	name, ok := userName("/" + tail)
	if !found || !ok || user == "" {
		return a, invalidDestination(written, "a user destination is /user/queue/<name>, /user/topic/<name> or, for SEND, /user/<user>/queue/<name>")
	}
	a.user = unescapeUser(user)
	a.dest = prefixUser + escapeUser(a.user) + "/" + tail
	if a.dest != written {
		a.as = written
	}
	a.pattern = hasWildcard(name)
	if err := checkName(written, a.user); err != nil {
		return a, err
	}
	return a, checkName(written, name)
}

func userName(s string) (string, bool) {
	if name, ok := strings.CutPrefix(s, prefixQueue); ok {
		return name, true
	}
	return strings.CutPrefix(s, prefixTopic)
}

// escapeUser and unescapeUser: %2F stands for the slash in a user's name, %25 for the percent sign.
func escapeUser(user string) string {
	if !strings.ContainsAny(user, "/%") {
		return user
	}
	return strings.NewReplacer("%", "%25", "/", "%2F").Replace(user)
}

func unescapeUser(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	return strings.NewReplacer("%2F", "/", "%2f", "/", "%25", "%").Replace(s)
}

func checkName(written, name string) *stomp.ProtocolError {
	switch {
	case name == "":
		return invalidDestination(written, "the name is empty")
	case len(strings.TrimPrefix(name, prefixDeadLetters)) > nameBytesMax:
		return invalidDestination(written[:40]+"...", "a name has at most 255 bytes")
	case !utf8.ValidString(name):
		return invalidDestination("", "a name is UTF-8")
	}
	for _, r := range name {
		if r < 0x20 || (r >= 0x7f && r < 0xa0) {
			return invalidDestination("", "a name has no control characters")
		}
	}
	return nil
}

// hasWildcard tells whether a segment of the name (between dots and slashes) is a wildcard.
func hasWildcard(name string) bool {
	for len(name) > 0 {
		i := strings.IndexAny(name, "./")
		segment := name
		if i >= 0 {
			segment, name = name[:i], name[i+1:]
		} else {
			name = ""
		}
		switch segment {
		case "*", "**", "#", ">":
			return true
		}
	}
	return false
}

func invalidDestination(written, why string) *stomp.ProtocolError {
	detail := "Invalid destination: " + why + "."
	if written != "" {
		detail = "Invalid destination '" + written + "': " + why + "."
	}
	return &stomp.ProtocolError{
		Code: stomp.CodeInvalidDestination, Severity: stomp.Refused, Message: "invalid destination", Detail: detail,
	}
}
