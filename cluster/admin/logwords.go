package admin

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"stampede/broker"
	"stampede/cluster"
)

// This file is the words for the facts of the log.

// LogKinds are the kinds of events as the log's readers name them.
func LogKinds() []string {
	return []string{
		"message-sent", "node-started", "node-lost", "session-opened", "session-closed", "subscription-opened",
		"subscription-closed", "delivery-settled", "user-covered", "transaction-committed", "policy-changed",
		"policy-removed", "time-advanced", "fold-version-raised", "limits-changed", kindMembers,
	}
}

// kindMembers is the kind of an entry that is no event of the broker: Raft's change of members.
const kindMembers = "members-changed"

// kindOf turns a fact's name into its word: MessageSent is message-sent.
func kindOf(f broker.Fact) string {
	var b strings.Builder
	for i, r := range broker.KindName(f) {
		if r >= 'A' && r <= 'Z' {
			if i > 0 {
				b.WriteByte('-')
			}
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

func (l *LogEvent) members(all []cluster.Member) {
	l.Kind = kindMembers
	words := make([]string, 0, len(all))
	for _, m := range all {
		role := "non-voter"
		if m.Voter {
			role = "voter"
		}
		words = append(words, fmt.Sprintf("%s at %s (%s)", m.ID, m.Addr, role))
	}
	l.Detail = strings.Join(words, ", ")
}

func (l *LogEvent) fact(f broker.Fact) {
	l.Kind = kindOf(f)
	switch f := f.(type) {
	case broker.MessageSent:
		l.message(f.Message)
	case broker.NodeStarted:
		l.Detail = fmt.Sprintf("%s, fold version %d", f.Name, f.Version)
	case broker.NodeLost:
		l.Detail = fmt.Sprintf("%s/%d", f.Node, f.Incarnation)
	case broker.SessionOpened:
		l.Session, l.User, l.Detail = f.Session, f.User, "from "+f.RemoteAddr
		if f.Service {
			l.Detail += ", service"
		}
	case broker.SessionClosed:
		l.Session = f.Session
	case broker.SubscriptionOpened:
		l.subscription(f)
	case broker.SubscriptionClosed:
		l.Subscription = f.Sub
	case broker.DeliverySettled:
		l.Subscription, l.Detail = f.Sub, settlementWords(f)
	case broker.UserCovered:
		l.Subscription, l.Detail = f.Sub, fmt.Sprintf("up to %d", f.UpTo)
	case broker.TransactionCommitted:
		l.transaction(f)
	case broker.PolicyChanged:
		l.Destinations, l.Detail = []string{f.Pattern}, inJSON(bodyOf(f.Policy))
	case broker.PolicyRemoved:
		l.Destinations = []string{f.Pattern}
	case broker.FoldVersionRaised:
		l.Detail = fmt.Sprintf("to %d", f.Version)
	case broker.LimitsChanged:
		l.Detail = inJSON(f.Limits)
	case broker.TimeAdvanced:
	}
}

func (l *LogEvent) message(m *broker.Message) {
	if !slices.Contains(l.Destinations, m.Dest) {
		l.Destinations = append(l.Destinations, m.Dest)
	}
	l.Session, l.User = m.Session, m.User
	l.Messages++
	l.BodyBytes += len(m.Body)
	if m.ExpiresAt != 0 {
		l.Detail = fmt.Sprintf("expires at %d", m.ExpiresAt)
	}
}

func (l *LogEvent) subscription(f broker.SubscriptionOpened) {
	l.Session, l.Subscription, l.User, l.Destinations = f.Session, f.Sub, f.User, []string{f.Dest}
	mode := [...]string{broker.AckAuto: "auto", broker.AckClient: "client", broker.AckClientIndividual: "client-individual"}
	l.Detail = fmt.Sprintf("credit %d", f.Credit)
	if int(f.Mode) < len(mode) {
		l.Detail = mode[f.Mode] + ", " + l.Detail
	}
	if f.CreditBytesSet {
		l.Detail += fmt.Sprintf(" and %d bytes", f.CreditBytes)
	}
	if f.Position != 0 {
		l.Detail += fmt.Sprintf(", from %d", f.Position)
	}
}

func (l *LogEvent) transaction(f broker.TransactionCommitted) {
	var settled []string
	for _, action := range f.Actions {
		switch action := action.(type) {
		case broker.MessageSent:
			l.message(action.Message)
		case broker.DeliverySettled:
			settled = append(settled, fmt.Sprintf("subscription %d %s", action.Sub, settlementWords(action)))
		case broker.UserCovered:
			settled = append(settled, fmt.Sprintf("subscription %d covered up to %d", action.Sub, action.UpTo))
		}
	}
	l.Detail = fmt.Sprintf("%d actions", len(f.Actions))
	if len(settled) > 0 {
		l.Detail += ": " + strings.Join(settled, "; ")
	}
}

func settlementWords(f broker.DeliverySettled) string {
	words := [...]string{broker.Acked: "acked", broker.Requeued: "requeued", broker.Rejected: "rejected", broker.Taken: "taken"}
	word := "settled"
	if f.Outcome > 0 && int(f.Outcome) < len(words) {
		word = words[f.Outcome]
	}
	switch f.From {
	case f.To:
		return fmt.Sprintf("%s %d", word, f.To)
	case 0:
		return fmt.Sprintf("%s up to %d", word, f.To)
	}
	return fmt.Sprintf("%s %d to %d", word, f.From, f.To)
}

func inJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
