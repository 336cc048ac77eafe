package stomp

// Severity says what an ERROR does to its connection.
type Severity uint8

// The severities.
const (
	Fatal     Severity = iota // a protocol fault or an end of the session: always closes
	Refused                   // one frame was refused: closes under the strict policy, stays open under the lenient one
	Transient                 // a matter of circumstances, worth another try: never closes
)

// String gives the severity in one word.
func (s Severity) String() string {
	switch s {
	case Fatal:
		return "fatal"
	case Refused:
		return "refused"
	case Transient:
		return "transient"
	default:
		return "unknown"
	}
}

// ProtocolError is one fault of a peer, or one refusal, in the words of the ERROR frame that answers it.
type ProtocolError struct {
	Code     string   // one of Codes
	Message  string   // short, for the `message` header
	Detail   string   // what to do about it, for the body
	Severity Severity // what it does to the connection
	Headers  []string // further header names and values in turn, e.g. version or retry-after
}

// NewProtocolError makes a fault with the severity that the table of codes gives it. A code that is not in the table is fatal.
func NewProtocolError(code, message, detail string) *ProtocolError {
	return &ProtocolError{Code: code, Message: message, Detail: detail, Severity: codeInfo(code).Severity}
}

// Error gives code and message. It holds no header value and no body.
func (e *ProtocolError) Error() string {
	return "stomp: " + e.Code + ": " + e.Message
}

// ErrorFrame makes the ERROR that answers a frame with that fault. receiptID is the value of the frame's `receipt` header,
// "" for none. [STOMP12 §ERROR]
func ErrorFrame(e *ProtocolError, receiptID string) *Frame {
	f := NewFrame(CommandError, HeaderMessage, e.Message, HeaderErrorCode, e.Code)
	if receiptID != "" {
		f.Add(HeaderReceiptID, receiptID)
	}
	f.Add(HeaderContentType, "text/plain")
	for i := 0; i+1 < len(e.Headers); i += 2 {
		f.Add(e.Headers[i], e.Headers[i+1])
	}
	f.Body = []byte(e.Detail)
	if e.Detail == "" {
		f.Body = []byte(codeInfo(e.Code).Summary)
	}
	return f
}
