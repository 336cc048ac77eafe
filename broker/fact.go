package broker

// This file declares the facts: the closed set of what can have happened. A fact is in the past tense
// and frozen once released; a new meaning is a new fact with a new kind byte.

// Fact is one of the types of this file.
//
//sumtype:decl
type Fact interface{ fact() }

// MessageSent says that a client published a message. Apply stamps Seq, At and Node on it; from then on it must not change.
type MessageSent struct{ Message *Message }

// NodeStarted begins an incarnation of the origin's node, as the first fact of it (N is 1):
// what the earlier incarnations had open is closed.
type NodeStarted struct {
	Name    string
	Version uint32 // the highest version of the fold that the node's program knows
}

// NodeLost says that an incarnation of a node is given up: its sessions are closed and nothing it proposes is taken any more.
type NodeLost struct {
	Node        NodeID
	Incarnation uint64
}

// SessionOpened says that a client is connected. Session is a number that the node chose, unique within its incarnation.
type SessionOpened struct {
	Session    uint64
	User       string
	Service    bool
	RemoteAddr string
}

// SessionClosed says that a session has ended, whatever the cause. Its subscriptions end with it.
type SessionClosed struct{ Session uint64 }

// AckMode says when a delivery of a subscription is settled.
type AckMode uint8

// The three modes of SUBSCRIBE's ack header.
const (
	AckAuto             AckMode = iota // by the socket that took it
	AckClient                          // by an ACK of it or of a later one
	AckClientIndividual                // by an ACK of it
)

// SubscriptionOpened says that a session subscribed to a queue, of all or its own, or a user destination.
// Sub is a number that the node chose, unique within its incarnation.
type SubscriptionOpened struct {
	Session uint64
	Sub     uint64
	Kind    Kind   // KindQueue, KindExclusive or KindUser
	Dest    string // canonical, as in Message.Dest
	User    string // KindUser: whose destination it is
	Mode    AckMode
	Credit  uint32 // unsettled deliveries at a time; brought to 1..Limits.CreditMax
	// CreditBytes bounds the bytes of unsettled deliveries when CreditBytesSet: a subscription is given messages while it has fewer.
	// 0 means one message at a time, a negative value the most, which is also what holds when it is not set.
	CreditBytes    int64
	CreditBytesSet bool
	Position       Seq // user destinations: the first Seq to read; 0 leaves it to the fold
}

// SubscriptionClosed says that a subscription was ended by its client. What it had not settled goes back and counts for nothing.
type SubscriptionClosed struct{ Sub uint64 }

// Outcome says how a delivery ended.
type Outcome uint8

// The outcomes of a delivery.
const (
	Acked    Outcome = iota + 1 // the client has it
	Requeued                    // NACK: goes back, and counts towards max-deliveries
	Rejected                    // NACK with requeue:false: goes to the dead letters
	Taken                       // auto: the socket took it
)

// DeliverySettled ends the deliveries From to To, inclusive, of a subscription; From 0 ends all up to To.
// Strict means that the frame asked for a receipt: if delivery To is gone, the whole fact is refused with RefusedDeliveryGone,
// where otherwise it would be counted.
type DeliverySettled struct {
	Sub      uint64
	From, To uint64
	Outcome  Outcome
	Strict   bool
}

// UserCovered says that some session of the user has taken everything of the subscription's user destination up to UpTo.
type UserCovered struct {
	Sub  uint64
	UpTo Seq
}

// TransactionCommitted holds MessageSent, DeliverySettled and UserCovered facts that take effect together or not at all.
type TransactionCommitted struct{ Actions []Fact }

// PolicyChanged sets the policy of a pattern, replacing what was set for it.
type PolicyChanged struct {
	Pattern string
	Policy  Policy
}

// PolicyRemoved takes the policy of a pattern away.
type PolicyRemoved struct{ Pattern string }

// TimeAdvanced says that time has passed; it is proposed only when something is due.
type TimeAdvanced struct{}

// FoldVersionRaised says that every member knows this version of the fold and that its rules hold from here on.
type FoldVersionRaised struct{ Version uint32 }

// LimitsChanged replaces the limits. They are state, so that all nodes refuse the same.
type LimitsChanged struct{ Limits Limits }

func (MessageSent) fact()          {}
func (NodeStarted) fact()          {}
func (NodeLost) fact()             {}
func (SessionOpened) fact()        {}
func (SessionClosed) fact()        {}
func (SubscriptionOpened) fact()   {}
func (SubscriptionClosed) fact()   {}
func (DeliverySettled) fact()      {}
func (UserCovered) fact()          {}
func (TransactionCommitted) fact() {}
func (PolicyChanged) fact()        {}
func (PolicyRemoved) fact()        {}
func (TimeAdvanced) fact()         {}
func (FoldVersionRaised) fact()    {}
func (LimitsChanged) fact()        {}

// The first byte of an encoded fact. Numbers are never used again.
const (
	factMessageSent          = 1
	factNodeStarted          = 2
	factNodeLost             = 3
	factSessionOpened        = 4
	factSessionClosed        = 5
	factSubscriptionOpened   = 6
	factSubscriptionClosed   = 7
	factDeliverySettled      = 8
	factUserCovered          = 9
	factTransactionCommitted = 10
	factPolicyChanged        = 11
	factPolicyRemoved        = 12
	factTimeAdvanced         = 13
	factFoldVersionRaised    = 14
	factLimitsChanged        = 15
)

// KindName returns the name of a fact's kind, for logs and for the message of a panic.
func KindName(f Fact) string {
	switch f.(type) {
	case MessageSent:
		return "MessageSent"
	case NodeStarted:
		return "NodeStarted"
	case NodeLost:
		return "NodeLost"
	case SessionOpened:
		return "SessionOpened"
	case SessionClosed:
		return "SessionClosed"
	case SubscriptionOpened:
		return "SubscriptionOpened"
	case SubscriptionClosed:
		return "SubscriptionClosed"
	case DeliverySettled:
		return "DeliverySettled"
	case UserCovered:
		return "UserCovered"
	case TransactionCommitted:
		return "TransactionCommitted"
	case PolicyChanged:
		return "PolicyChanged"
	case PolicyRemoved:
		return "PolicyRemoved"
	case TimeAdvanced:
		return "TimeAdvanced"
	case FoldVersionRaised:
		return "FoldVersionRaised"
	case LimitsChanged:
		return "LimitsChanged"
	}
	return "unknown"
}
