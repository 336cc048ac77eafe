package stomp

import "slices"

// The error codes: the value of the `error-code` header of an ERROR. They are part of the contract with clients and never
// change their meaning. Codes says of each what it means and what it does to the connection.
const (
	CodeMalformedFrame       = "malformed-frame"
	CodeMalformedHeader      = "malformed-header"
	CodeInvalidEscape        = "invalid-escape"
	CodeUnknownCommand       = "unknown-command"
	CodeFrameTooLarge        = "frame-too-large"
	CodeHeaderTooLarge       = "header-too-large"
	CodeTooManyHeaders       = "too-many-headers"
	CodeBodyTooLarge         = "body-too-large"
	CodeNotConnected         = "not-connected"
	CodeAlreadyConnected     = "already-connected"
	CodeUnsupportedVersion   = "unsupported-version"
	CodeInvalidHeartBeat     = "invalid-heart-beat"
	CodeHeartBeatTimeout     = "heart-beat-timeout"
	CodeConnectTimeout       = "connect-timeout"
	CodeAuthenticationFailed = "authentication-failed"
	CodeUnknownHost          = "unknown-host"
	CodeTooManyConnections   = "too-many-connections"
	CodeSlowConsumer         = "slow-consumer"
	CodeServerDraining       = "server-draining"
	CodeResumeElsewhere      = "resume-elsewhere"
	CodeInternalError        = "internal-error"

	CodeMissingHeader         = "missing-header"
	CodeInvalidHeader         = "invalid-header"
	CodeUnsupportedHeader     = "unsupported-header"
	CodeForbiddenDestination  = "forbidden-destination"
	CodeInvalidDestination    = "invalid-destination"
	CodeNoUser                = "no-user"
	CodeDuplicateSubscription = "duplicate-subscription"
	CodeUnknownSubscription   = "unknown-subscription"
	CodeTooManySubscriptions  = "too-many-subscriptions"
	CodeUnknownAck            = "unknown-ack"
	CodeDuplicateTransaction  = "duplicate-transaction"
	CodeUnknownTransaction    = "unknown-transaction"
	CodeTooManyTransactions   = "too-many-transactions"
	CodeTransactionTooLarge   = "transaction-too-large"
	CodeQueueFull             = "queue-full"
	CodeExclusiveQueue        = "exclusive-queue"
	CodePositionAhead         = "position-ahead"

	CodeDeliveryGone   = "delivery-gone"
	CodeOutcomeUnknown = "outcome-unknown"
	CodeNoQuorum       = "no-quorum"
	CodeDiskFull       = "disk-full"
	CodeDedupFull      = "dedup-full"
)

// CodeInfo documents one error code.
type CodeInfo struct {
	Code     string
	Severity Severity // what the code does unless a fault says otherwise
	Summary  string   // one sentence for the client's developer
}

var codeTable = [...]CodeInfo{
	{CodeMalformedFrame, Fatal, "The bytes are no STOMP frame: a wrong content-length, or no NUL after the body."},
	{CodeMalformedHeader, Fatal, "A header line has no colon or no name, or there is a NUL among the headers."},
	{CodeInvalidEscape, Fatal, "A header has a backslash that does not begin an escape of the negotiated version."},
	{CodeUnknownCommand, Fatal, "The first line of the frame is no command that a client may send."},
	{CodeFrameTooLarge, Fatal, "The frame as a whole is larger than this transport takes."},
	{CodeHeaderTooLarge, Fatal, "A header line, or all of them together, are longer than the limit."},
	{CodeTooManyHeaders, Fatal, "The frame has more headers than the limit."},
	{CodeBodyTooLarge, Fatal, "The body is longer than the limit for this connection."},
	{CodeNotConnected, Fatal, "A frame came before CONNECT."},
	{CodeAlreadyConnected, Fatal, "CONNECT came twice."},
	{CodeUnsupportedVersion, Fatal, "Client and server have no protocol version in common; the version header lists the server's."},
	{CodeInvalidHeartBeat, Fatal, "The heart-beat header is not two numbers of milliseconds."},
	{CodeHeartBeatTimeout, Fatal, "Nothing came from the client for longer than the heart-beats it had agreed to."},
	{CodeConnectTimeout, Fatal, "No CONNECT came in time."},
	{CodeAuthenticationFailed, Fatal, "The credentials were refused, or are no longer valid."},
	{CodeUnknownHost, Fatal, "The host header names no namespace of this server."},
	{CodeTooManyConnections, Fatal, "The server, or the user, has as many connections as are allowed; try again later."},
	{CodeSlowConsumer, Fatal, "The client did not read for too long; connect again and resume."},
	{CodeServerDraining, Fatal, "The server is going away; connect again after retry-after milliseconds."},
	{CodeResumeElsewhere, Fatal, "The node lost its place in the cluster; connect again and resume."},
	{CodeInternalError, Fatal, "The server failed on this frame; its log says why."},
	{CodeMissingHeader, Fatal, "A header that the command needs in this version is not there or is empty."},
	{CodeInvalidHeader, Refused, "A header has a value that it cannot have."},
	{CodeUnsupportedHeader, Refused, "A header asks for something that this server does not do, and ignoring it would do harm."},
	{CodeForbiddenDestination, Refused, "The user may not send to, or subscribe to, this destination."},
	{CodeInvalidDestination, Refused, "The destination is no valid name, or not one for this command."},
	{CodeNoUser, Refused, "A user destination needs a user, and the session has none."},
	{CodeDuplicateSubscription, Fatal, "The session has a subscription with this id already."},
	{CodeUnknownSubscription, Refused, "The session has no subscription with this id."},
	{CodeTooManySubscriptions, Refused, "The session has as many subscriptions as are allowed."},
	{CodeUnknownAck, Refused, "The id names no message that was delivered to this session."},
	{CodeDuplicateTransaction, Fatal, "The session has a transaction with this id already."},
	{CodeUnknownTransaction, Fatal, "The session has no transaction with this id."},
	{CodeTooManyTransactions, Fatal, "The session has as many open transactions as are allowed."},
	{CodeTransactionTooLarge, Refused, "The transaction has more actions or bytes than are allowed; it was aborted."},
	{CodeQueueFull, Refused, "The queue holds as many messages as its policy allows; the message was not taken."},
	{CodeExclusiveQueue, Refused, "The queue belongs to another session and goes with it."},
	{CodePositionAhead, Refused, "The position asked for is ahead of what this node has."},
	{CodeDeliveryGone, Transient, "The delivery was settled or given to another subscription before; nothing was changed."},
	{CodeOutcomeUnknown, Transient, "The command may or may not have taken effect; repeat it with its dedup-id."},
	{CodeNoQuorum, Transient, "The cluster has no majority and the command did not take effect; try again later."},
	{CodeDiskFull, Transient, "The server has no room for another logged message; try again later."},
	{CodeDedupFull, Transient, "As many dedup-ids as are allowed are remembered; try again later."},
}

// Codes gives the table of error codes: those of the connection first, then those of single frames.
func Codes() []CodeInfo {
	return slices.Clone(codeTable[:])
}

// codeInfo finds a code. The zero Severity is Fatal, which is what an unknown code gets.
func codeInfo(code string) CodeInfo {
	for i := range codeTable {
		if codeTable[i].Code == code {
			return codeTable[i]
		}
	}
	return CodeInfo{Code: code}
}
