package broker

// This file declares what follows from a fact: the effects, which each node performs for its own sessions.

// EffectKind says what an effect is.
type EffectKind uint8

// The kinds of effects, with the fields of Effect that each fills in.
const (
	// EffectStored: Message is in the log; publish it if it is for a topic or a user, keep its bytes in any case.
	// Seq, Dest, Stream.
	EffectStored EffectKind = iota + 1
	// EffectDelivered: a queue's message was assigned to a subscription.
	// Node, Incarnation, Session, Sub, Tag, Seq, Body, Dest, Attempt, Redelivered; Message if it was sent in this event; Reason, From and Count of a dead letter.
	EffectDelivered
	// EffectRefused: the fact changed nothing but the clock and its origin's count. It is the only effect of its event. Refusal.
	EffectRefused
	// EffectUserPosition: where a subscription to a user destination starts to read. Node, Incarnation, Session, Sub, Seq, Dest, User.
	EffectUserPosition
	// EffectSessionOpened and EffectSessionClosed: Node, Incarnation, Session, User.
	EffectSessionOpened
	EffectSessionClosed
	// EffectNodeStarted and EffectNodeLost: Node, Incarnation.
	EffectNodeStarted
	EffectNodeLost
	// EffectDeadLettered: a message left the queue From for the queue Dest. Seq (its new place), Body, Dest, From, Reason, Count (its deliveries so far).
	EffectDeadLettered
	// EffectExpired: a waiting message of a queue outlived its time and was dropped. Seq, Body, Dest.
	EffectExpired
	// EffectDropped: the oldest of what waited, up to Seq, is gone. Dest, Seq, Count. Of a user it gave way to the policy while nobody of the user was
	// there: User. In an exclusive queue it found no subscription, or its owner is gone: Reason (unclaimed, owner-gone).
	EffectDropped
	// EffectPolicyChanged: the policy of the pattern Dest was set or removed.
	EffectPolicyChanged
	// EffectStaleSettle: deliveries were settled that are gone, Count of them. Node, Incarnation, Sub, Tag.
	EffectStaleSettle
	// EffectFoldVersionRaised: Count is the version.
	EffectFoldVersionRaised
	// EffectDuplicate: the origin's N (Tag) was folded before; nothing changed. Node, Incarnation, Tag.
	EffectDuplicate
	// EffectGap: the origin's N (Tag) does not follow the one before, or its incarnation is not the node's present one; nothing changed.
	// Node, Incarnation, Tag; Seq is the N that would have been taken, 0 if none would.
	EffectGap
	// EffectLimitsChanged: the limits were replaced.
	EffectLimitsChanged
)

// String returns the name of the kind in small letters, for logs and scripts.
func (k EffectKind) String() string {
	if int(k) < len(effectNames) && k > 0 {
		return effectNames[k]
	}
	return "invalid"
}

var effectNames = [...]string{
	EffectStored: "stored", EffectDelivered: "delivered", EffectRefused: "refused", EffectUserPosition: "user-position",
	EffectSessionOpened: "session-opened", EffectSessionClosed: "session-closed", EffectNodeStarted: "node-started", EffectNodeLost: "node-lost",
	EffectDeadLettered: "dead-lettered", EffectExpired: "expired", EffectDropped: "dropped", EffectPolicyChanged: "policy-changed",
	EffectStaleSettle: "stale-settle", EffectFoldVersionRaised: "fold-version-raised", EffectDuplicate: "duplicate", EffectGap: "gap",
	EffectLimitsChanged: "limits-changed",
}

// Effect is one consequence of an event. Which fields are filled in is said at each kind.
type Effect struct {
	Kind        EffectKind
	Refusal     Refusal
	Redelivered bool
	Stream      uint32 // Stored: the number of the topic or user destination, never used for another; 0 for queues
	Attempt     uint32 // Delivered: 1 at the first
	Count       uint32
	Message     *Message
	Node        NodeID
	Incarnation uint64
	Session     uint64
	Sub         uint64
	Tag         uint64 // Delivered: counts up by one within a subscription, from 1
	Seq         Seq    // Delivered: the message's place, which is its message-id
	Body        Seq    // Delivered: where the stored message is; differs from Seq for dead letters
	Dest        string
	Reason      string // why a dead letter is one, or why a message was dropped
	From        string // the queue that a dead letter comes from
	User        string
}

// Effects collects what follows from an event. The zero value is ready for use.
type Effects struct{ List []Effect }

// Reset empties the list and keeps its memory.
func (fx *Effects) Reset() {
	clear(fx.List) // lets go of messages
	fx.List = fx.List[:0]
}

// Refused returns the refusal of the event, RefusedNone if it took effect.
func (fx *Effects) Refused() Refusal {
	if len(fx.List) == 1 && fx.List[0].Kind == EffectRefused {
		return fx.List[0].Refusal
	}
	return RefusedNone
}

// add appends an empty effect of that kind and returns it, valid until the next add.
func (fx *Effects) add(kind EffectKind) *Effect {
	fx.List = append(fx.List, Effect{Kind: kind})
	return &fx.List[len(fx.List)-1]
}

// Refusal says why a fact did not take effect.
type Refusal uint8

// The refusals.
const (
	RefusedNone                  Refusal = iota
	RefusedQueueFull                     // the queue is at its max-depth, or all queues together at Limits.QueueMessagesMax
	RefusedDeliveryGone                  // a strict settling of a delivery that is settled already, or went to somebody else
	RefusedUnknownSubscription           // no such subscription on the origin's node
	RefusedUnknownSession                // no such session on the origin's node
	RefusedTooLarge                      // a message or transaction above its limit
	RefusedUnknownNode                   // the fact needs the origin of a node and has none
	RefusedDuplicateSession              // the number is in use
	RefusedDuplicateSubscription         // the number is in use
	RefusedInvalid                       // a destination, pattern, limit or kind that cannot be
	RefusedLimit                         // one more of these than the limits allow
	RefusedExclusive                     // the queue is another session's
)

// String returns the refusal in kebab-case.
func (r Refusal) String() string {
	if int(r) < len(refusalNames) {
		return refusalNames[r]
	}
	return "invalid-refusal"
}

var refusalNames = [...]string{
	RefusedNone: "none", RefusedQueueFull: "queue-full", RefusedDeliveryGone: "delivery-gone", RefusedUnknownSubscription: "unknown-subscription",
	RefusedUnknownSession: "unknown-session", RefusedTooLarge: "too-large", RefusedUnknownNode: "unknown-node", RefusedDuplicateSession: "duplicate-session",
	RefusedDuplicateSubscription: "duplicate-subscription", RefusedInvalid: "invalid", RefusedLimit: "limit-reached",
	RefusedExclusive: "exclusive-queue",
}
