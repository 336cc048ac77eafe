package broker

// This file writes facts as bytes. FORMAT.md has the tables; decode.go reads them.

// AppendFact appends the encoded fact: its kind byte, then its fields.
func AppendFact(dst []byte, f Fact) []byte {
	switch f := f.(type) {
	case MessageSent:
		return appendMessageFields(append(dst, factMessageSent), f.Message)
	case NodeStarted:
		dst = appendString(append(dst, factNodeStarted), f.Name)
		return appendUvarint(dst, uint64(f.Version))
	case NodeLost:
		dst = append(append(dst, factNodeLost), f.Node[:]...)
		return appendUvarint(dst, f.Incarnation)
	case SessionOpened:
		return appendSessionOpened(dst, f)
	case SessionClosed:
		return appendUvarint(append(dst, factSessionClosed), f.Session)
	case SubscriptionOpened:
		return appendSubscriptionOpened(dst, f)
	case SubscriptionClosed:
		return appendUvarint(append(dst, factSubscriptionClosed), f.Sub)
	case DeliverySettled:
		return appendDeliverySettled(dst, f)
	case UserCovered:
		dst = appendUvarint(append(dst, factUserCovered), f.Sub)
		return appendUvarint(dst, uint64(f.UpTo))
	case TransactionCommitted:
		return appendTransactionCommitted(dst, f)
	case PolicyChanged:
		dst = appendString(append(dst, factPolicyChanged), f.Pattern)
		return appendPolicy(dst, f.Policy)
	case PolicyRemoved:
		return appendString(append(dst, factPolicyRemoved), f.Pattern)
	case TimeAdvanced:
		return append(dst, factTimeAdvanced)
	case FoldVersionRaised:
		return appendUvarint(append(dst, factFoldVersionRaised), uint64(f.Version))
	case LimitsChanged:
		return appendLimits(append(dst, factLimitsChanged), f.Limits)
	}
	panic("broker: encode a fact of kind " + KindName(f))
}

func appendSessionOpened(dst []byte, f SessionOpened) []byte {
	dst = appendUvarint(append(dst, factSessionOpened), f.Session)
	dst = appendString(dst, f.User)
	dst = appendBool(dst, f.Service)
	return appendString(dst, f.RemoteAddr)
}

func appendSubscriptionOpened(dst []byte, f SubscriptionOpened) []byte {
	dst = appendUvarint(append(dst, factSubscriptionOpened), f.Session)
	dst = appendUvarint(dst, f.Sub)
	dst = append(dst, byte(f.Kind), byte(f.Mode))
	dst = appendString(dst, f.Dest)
	dst = appendString(dst, f.User)
	dst = appendUvarint(dst, uint64(f.Credit))
	dst = appendBool(dst, f.CreditBytesSet)
	dst = appendVarint(dst, f.CreditBytes)
	return appendUvarint(dst, uint64(f.Position))
}

func appendDeliverySettled(dst []byte, f DeliverySettled) []byte {
	dst = appendUvarint(append(dst, factDeliverySettled), f.Sub)
	dst = appendUvarint(dst, f.From)
	dst = appendUvarint(dst, f.To)
	return appendBool(append(dst, byte(f.Outcome)), f.Strict)
}

func appendTransactionCommitted(dst []byte, f TransactionCommitted) []byte {
	dst = appendUvarint(append(dst, factTransactionCommitted), uint64(len(f.Actions)))
	for _, action := range f.Actions {
		dst = AppendFact(dst, action)
	}
	return dst
}

func appendLimits(dst []byte, l Limits) []byte {
	for _, f := range l.fields() {
		dst = appendVarint(dst, int64(*f.value))
	}
	return appendVarint(dst, l.CreditBytesMax)
}
