package broker

import "errors"

// This file reads facts from bytes. It never panics and allocates no more than the bytes it was given justify.

// Faults of decoding.
var (
	// ErrBadFact says that bytes are not a fact, or only a part of one.
	ErrBadFact = errors.New("bytes are not a fact")
	// ErrUnknownFact says that the fact is of a kind that this program does not know: it must stop before folding it.
	ErrUnknownFact = errors.New("fact of an unknown kind")
)

const (
	// transactionActionsDecodeMax bounds the actions of an encoded transaction; one with more is no fact.
	transactionActionsDecodeMax = 1 << 16
	// internedMax bounds the strings of one of the Decoder's two generations; when it is full, the older one is forgotten.
	internedMax = 1 << 15
	// internedBytesMax bounds the strings worth keeping; a longer one is copied each time.
	internedBytesMax = 512
)

// Decoder reads facts and messages and shares strings that come again and again.
// The zero value is ready for use. It is for one goroutine at a time.
type Decoder struct {
	young, old map[string]string
}

// NewDecoder returns a Decoder.
func NewDecoder() *Decoder { return &Decoder{} }

// intern returns b as a string, the one returned before if it is remembered.
func (d *Decoder) intern(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if s, ok := d.young[string(b)]; ok {
		return s
	}
	if len(b) > internedBytesMax {
		return string(b)
	}
	s, ok := d.old[string(b)]
	if !ok {
		s = string(b)
	}
	if d.young == nil || len(d.young) >= internedMax {
		d.old, d.young = d.young, make(map[string]string)
	}
	d.young[s] = s
	return s
}

// Fact reads one fact from the start of b and returns how many bytes it took. Headers and bodies are views into b.
// A MessageSent costs one allocation, its Message, once its strings are known.
func (d *Decoder) Fact(b []byte) (Fact, int, error) {
	r := reader{b: b}
	f, err := d.fact(&r, false)
	if err != nil {
		return nil, 0, err
	}
	return f, r.off, nil
}

// fact reads one fact; an action of a transaction can only be one of two kinds.
func (d *Decoder) fact(r *reader, action bool) (Fact, error) {
	kind := r.byte()
	if action && kind != factMessageSent && kind != factDeliverySettled && kind != factUserCovered {
		return nil, ErrBadFact
	}
	var f Fact
	switch kind {
	case factMessageSent:
		m := &Message{}
		d.messageFields(r, m)
		f = MessageSent{m}
	case factNodeStarted:
		f = NodeStarted{Name: d.intern(r.bytes()), Version: uint32(r.uvarintUpTo(1<<32 - 1))}
	case factNodeLost:
		f = NodeLost{Node: readNodeID(r), Incarnation: r.uvarint()}
	case factSessionOpened:
		f = SessionOpened{Session: r.uvarint(), User: d.intern(r.bytes()), Service: r.bool(), RemoteAddr: string(r.bytes())}
	case factSessionClosed:
		f = SessionClosed{Session: r.uvarint()}
	case factSubscriptionOpened:
		f = d.subscriptionOpened(r)
	case factSubscriptionClosed:
		f = SubscriptionClosed{Sub: r.uvarint()}
	case factDeliverySettled:
		f = readDeliverySettled(r)
	case factUserCovered:
		f = UserCovered{Sub: r.uvarint(), UpTo: Seq(r.uvarint())}
	case factTransactionCommitted:
		return d.transaction(r)
	case factPolicyChanged:
		f = PolicyChanged{Pattern: string(r.bytes()), Policy: readPolicy(r)}
	case factPolicyRemoved:
		f = PolicyRemoved{Pattern: string(r.bytes())}
	case factTimeAdvanced:
		f = TimeAdvanced{}
	case factFoldVersionRaised:
		f = FoldVersionRaised{Version: uint32(r.uvarintUpTo(1<<32 - 1))}
	case factLimitsChanged:
		f = LimitsChanged{Limits: readLimits(r)}
	default:
		if r.bad {
			return nil, ErrBadFact
		}
		return nil, ErrUnknownFact
	}
	if r.bad {
		return nil, ErrBadFact
	}
	return f, nil
}

func (d *Decoder) subscriptionOpened(r *reader) SubscriptionOpened {
	f := SubscriptionOpened{Session: r.uvarint(), Sub: r.uvarint(), Kind: Kind(r.byte()), Mode: AckMode(r.byte())}
	f.Dest = d.intern(r.bytes())
	f.User = d.intern(r.bytes())
	f.Credit = uint32(r.uvarintUpTo(1<<32 - 1))
	f.CreditBytesSet = r.bool()
	f.CreditBytes = r.varint()
	f.Position = Seq(r.uvarint())
	if f.Kind < KindTopic || f.Kind > KindExclusive || f.Mode > AckClientIndividual {
		r.bad = true
	}
	return f
}

func readDeliverySettled(r *reader) DeliverySettled {
	f := DeliverySettled{Sub: r.uvarint(), From: r.uvarint(), To: r.uvarint(), Outcome: Outcome(r.byte()), Strict: r.bool()}
	if f.Outcome < Acked || f.Outcome > Taken {
		r.bad = true
	}
	return f
}

func (d *Decoder) transaction(r *reader) (Fact, error) {
	n := r.uvarintUpTo(transactionActionsDecodeMax)
	// An action takes at least three bytes, so a false count cannot make this large.
	if r.bad || n > uint64(len(r.b)-r.off)/3 {
		return nil, ErrBadFact
	}
	var actions []Fact
	if n > 0 {
		actions = make([]Fact, 0, n)
	}
	for range n {
		f, err := d.fact(r, true)
		if err != nil {
			return nil, err
		}
		actions = append(actions, f)
	}
	return TransactionCommitted{Actions: actions}, nil
}

func readNodeID(r *reader) (id NodeID) {
	copy(id[:], r.take(len(id)))
	return id
}

func readLimits(r *reader) (l Limits) {
	for _, f := range l.fields() {
		*f.value = int(r.varint())
	}
	l.CreditBytesMax = r.varint()
	return l
}
