package stomp

// Command is the first line of a frame.
type Command uint8

// The commands of clients, then those of servers.
const (
	CommandNone Command = iota
	CommandConnect
	CommandStomp
	CommandSend
	CommandSubscribe
	CommandUnsubscribe
	CommandAck
	CommandNack
	CommandBegin
	CommandCommit
	CommandAbort
	CommandDisconnect
	CommandConnected
	CommandMessage
	CommandReceipt
	CommandError

	commandCount // the number of values above, not a command
)

// commandLineBytesMax is the longest command, UNSUBSCRIBE, with a CR. A first line that is longer is refused before its end
// is seen, so that what speaks another protocol is told so at once.
const commandLineBytesMax = len("UNSUBSCRIBE\r")

var commandNames = [commandCount]string{
	CommandConnect:     "CONNECT",
	CommandStomp:       "STOMP",
	CommandSend:        "SEND",
	CommandSubscribe:   "SUBSCRIBE",
	CommandUnsubscribe: "UNSUBSCRIBE",
	CommandAck:         "ACK",
	CommandNack:        "NACK",
	CommandBegin:       "BEGIN",
	CommandCommit:      "COMMIT",
	CommandAbort:       "ABORT",
	CommandDisconnect:  "DISCONNECT",
	CommandConnected:   "CONNECTED",
	CommandMessage:     "MESSAGE",
	CommandReceipt:     "RECEIPT",
	CommandError:       "ERROR",
}

// String gives the command as it is on the wire, "" for CommandNone.
func (c Command) String() string {
	if c >= commandCount {
		return ""
	}
	return commandNames[c]
}

// parseCommand reads a first line without its end. The case counts. Hot: a switch over constants does not allocate.
func parseCommand(line []byte) Command {
	switch string(line) {
	case "SEND":
		return CommandSend
	case "ACK":
		return CommandAck
	case "MESSAGE":
		return CommandMessage
	case "RECEIPT":
		return CommandReceipt
	case "SUBSCRIBE":
		return CommandSubscribe
	case "UNSUBSCRIBE":
		return CommandUnsubscribe
	case "NACK":
		return CommandNack
	case "BEGIN":
		return CommandBegin
	case "COMMIT":
		return CommandCommit
	case "ABORT":
		return CommandAbort
	case "CONNECT":
		return CommandConnect
	case "STOMP":
		return CommandStomp
	case "DISCONNECT":
		return CommandDisconnect
	case "CONNECTED":
		return CommandConnected
	case "ERROR":
		return CommandError
	default:
		return CommandNone
	}
}

// mayHaveBody says whether a body on such a frame has a meaning. [STOMP12 §Body]
func (c Command) mayHaveBody() bool {
	return c == CommandSend || c == CommandMessage || c == CommandError
}

// escapes says whether the headers of such a frame are escaped in v. The frames that open a connection never are, to stay
// readable by 1.0, which has no escapes. [STOMP12 §Value Encoding]
func (c Command) escapes(v Version) bool {
	return v >= V11 && c != CommandConnect && c != CommandStomp && c != CommandConnected
}
