package stomp

import (
	"fmt"
	"slices"
	"strings"
)

// A versionSet is a bit for each Version.
type versionSet uint8

const (
	in10   versionSet = 1 << V10
	in11   versionSet = 1 << V11
	in12   versionSet = 1 << V12
	from11            = in11 | in12
	inAll             = in10 | in11 | in12
)

// A headerRule is one duty of a client's frame. Exactly one of the three kinds holds:
// the command does not exist in these versions (absent), a header must be there (required), or if there has one of some values.
type headerRule struct {
	versions versionSet
	absent   bool
	required string
	instead  string // does as well as required
	header   string
	values   []string // of header
	severity Severity
}

// ackValues are the modes of a subscription. 1.0 knows two of them, its clients use three.
var ackValues = []string{"auto", "client", "client-individual"}

// clientRules is what each command of a client needs, by version. A header that is there and empty counts as missing.
// Commands of servers have no row and are refused.
var clientRules = [commandCount][]headerRule{
	CommandSend: {
		{versions: inAll, required: HeaderDestination, severity: Refused}, // [STOMP12 §SEND]
	},
	CommandSubscribe: {
		{versions: inAll, required: HeaderDestination}, // [STOMP12 §SUBSCRIBE]
		{versions: from11, required: HeaderID},         // [STOMP12 §SUBSCRIBE id Header]
		{versions: inAll, header: HeaderAck, values: ackValues, severity: Refused},
	},
	CommandUnsubscribe: {
		{versions: in10, required: HeaderID, instead: HeaderDestination},
		{versions: from11, required: HeaderID}, // [STOMP12 §UNSUBSCRIBE]
	},
	CommandAck: {
		{versions: in10 | in11, required: HeaderMessageID},
		{versions: in11, required: HeaderSubscription},
		{versions: in12, required: HeaderID}, // [STOMP12 §ACK]
	},
	CommandNack: {
		{versions: in10, absent: true, severity: Refused},
		{versions: in11, required: HeaderMessageID},
		{versions: in11, required: HeaderSubscription},
		{versions: in12, required: HeaderID}, // [STOMP12 §NACK]
	},
	CommandBegin:  {{versions: inAll, required: HeaderTransaction}}, // [STOMP12 §BEGIN]
	CommandCommit: {{versions: inAll, required: HeaderTransaction}}, // [STOMP12 §COMMIT]
	CommandAbort:  {{versions: inAll, required: HeaderTransaction}}, // [STOMP12 §ABORT]
}

// Validate checks a client's frame: that its command is one of a client and exists in v, and that it has the headers which v
// asks for, with values that they may have. VersionNone is a connection that has no version yet: only CONNECT and STOMP may
// come. CONNECT itself has no duties, because clients in use leave out `host` and `accept-version`. It does not allocate for
// a frame without fault.
func Validate(f *Frame, v Version) *ProtocolError {
	switch f.Command {
	case CommandConnect, CommandStomp: // [STOMP12 §CONNECT or STOMP Frame]
		return nil
	case CommandSend, CommandSubscribe, CommandUnsubscribe, CommandAck, CommandNack,
		CommandBegin, CommandCommit, CommandAbort, CommandDisconnect:
	default:
		return NewProtocolError(CodeUnknownCommand, "not a client's command",
			fmt.Sprintf("%q is not a command that a client sends.", f.Command))
	}
	if v == VersionNone {
		return NewProtocolError(CodeNotConnected, "not connected",
			fmt.Sprintf("%v came before CONNECT. The first frame must be CONNECT or STOMP.", f.Command))
	}
	rules := clientRules[f.Command]
	for i := range rules {
		if rules[i].versions&(1<<v) == 0 {
			continue
		}
		if e := rules[i].check(f, v); e != nil {
			return e
		}
	}
	return nil
}

func (r *headerRule) check(f *Frame, v Version) *ProtocolError {
	switch {
	case r.absent:
		return r.fault(CodeUnknownCommand, "unknown command", fmt.Sprintf("STOMP %v has no %v.", v, f.Command))
	case r.required != "":
		if has(f, r.required) || r.instead != "" && has(f, r.instead) {
			return nil
		}
		name := r.required
		if r.instead != "" {
			name += " or " + r.instead
		}
		return r.fault(CodeMissingHeader, "missing header "+name,
			fmt.Sprintf("%v must have the header %s in STOMP %v, and it may not be empty.", f.Command, name, v))
	default:
		value, ok := f.Get(r.header)
		if !ok || slices.Contains(r.values, string(value)) {
			return nil
		}
		return r.fault(CodeInvalidHeader, "invalid header "+r.header,
			fmt.Sprintf("%s of %v is one of %s.", r.header, f.Command, strings.Join(r.values, ", ")))
	}
}

func (r *headerRule) fault(code, message, detail string) *ProtocolError {
	e := NewProtocolError(code, message, detail)
	e.Severity = r.severity
	return e
}

// has says whether the first header of that name is there and not empty.
func has(f *Frame, name string) bool {
	value, _ := f.Get(name)
	return len(value) > 0
}
