package broker

// This file folds transactions: everything is looked at before anything is changed.

// transactionCommitted takes all actions or none. Whether a queue is full and a delivery is gone is judged by the state before the transaction,
// beside its own messages and the room that its own single settlings make.
func (s *State) transactionCommitted(e Event, f TransactionCommitted, n *node, fx *Effects) Refusal {
	messages, refusal := s.refuseTransaction(e, f, n)
	clear(s.txDepth)
	if refusal != RefusedNone {
		return refusal
	}
	s.sentFirst = s.next
	s.next += Seq(max(messages, 1))
	// Messages before settlings: dead letters of these have higher places, also where both go to the same queue.
	for _, action := range f.Actions {
		if sent, ok := action.(MessageSent); ok {
			s.store(sent.Message, s.sentFirst+Seq(len(s.sent)), e.Origin, fx)
			s.sent = append(s.sent, sent.Message)
		}
	}
	for _, action := range f.Actions {
		switch a := action.(type) {
		case DeliverySettled:
			s.settle(n.subs[a.Sub], a, n, fx)
		case UserCovered:
			s.userCovered(a, n, fx)
		}
	}
	return RefusedNone
}

// refuseTransaction counts the messages and says why the whole cannot be taken.
func (s *State) refuseTransaction(e Event, f TransactionCommitted, n *node) (messages int, refusal Refusal) {
	if len(f.Actions) > s.limits.TransactionActionsMax {
		return 0, RefusedTooLarge
	}
	bytes, added := 0, 0
	for _, action := range f.Actions {
		switch a := action.(type) {
		case MessageSent:
			if a.Message == nil {
				s.fault(e, "no message")
			}
			messages++
			if bytes += a.Message.Size(); bytes > s.limits.TransactionBytesMax {
				return 0, RefusedTooLarge
			}
			if refusal := s.refuseWithin(a.Message, messages, added); refusal != RefusedNone {
				return 0, refusal
			}
			if a.Message.Kind.IsQueue() {
				s.txDepth[a.Message.Dest]++
				added++
			}
		case DeliverySettled:
			if n == nil {
				return 0, RefusedUnknownNode
			}
			sub := n.subs[a.Sub]
			if refusal := refuseSettle(sub, a); refusal != RefusedNone {
				return 0, refusal
			}
			if a.From == a.To && a.Outcome != Requeued && sub != nil && sub.queue != nil {
				if _, live := sub.window.find(a.To); live {
					s.txDepth[sub.queue.name]--
				}
			}
		case UserCovered: // one that comes too late is counted, as outside of transactions
			if n == nil {
				return 0, RefusedUnknownNode
			}
		default:
			s.fault(e, "a transaction holds "+KindName(action))
		}
	}
	return messages, RefusedNone
}

// refuseWithin says why a message cannot be taken beside the others of its transaction. Near the limit of destinations
// each message counts as one for a new destination.
func (s *State) refuseWithin(m *Message, messages, added int) Refusal {
	if refusal := s.refuseMessage(m); refusal != RefusedNone && (refusal != RefusedQueueFull || !m.Kind.IsQueue()) {
		return refusal
	}
	if m.Kind.IsQueue() {
		if refusal := s.refuseDepth(m.Dest, s.txDepth[m.Dest], added); refusal != RefusedNone {
			return refusal
		}
	}
	if !s.known(m) && !s.roomForDestinations(messages) {
		return RefusedLimit
	}
	return RefusedNone
}

// known reports whether the message's destination is in the state.
func (s *State) known(m *Message) bool {
	switch m.Kind {
	case KindTopic:
		return s.topics[m.Dest] != nil
	case KindQueue, KindExclusive:
		return s.queues[m.Dest] != nil
	case KindUser:
		return s.users[m.Dest] != nil
	}
	return false
}
