package broker

import (
	"errors"
	"fmt"
)

// This file holds the caps of the fold. They are part of the state: a cap that differed between nodes would be a divergence.

// Limits bounds everything that grows in the state.
type Limits struct {
	DestinationBytesMax   int   // a longer destination, user, node name or address is refused: invalid
	MessageBytesMax       int   // headers and body; a larger message is refused: too-large
	DestinationsMax       int   // topics, queues and user destinations; a new one beyond is refused: limit-reached
	QueueMessagesMax      int   // messages in all queues; a SEND beyond is refused: queue-full
	NodesMax              int   // nodes ever seen; beyond, the one lost for longest is forgotten, and if none is lost a new one is refused
	SessionsMax           int   // a session beyond is refused: limit-reached
	SubscriptionsMax      int   // a subscription beyond is refused: limit-reached
	CreditMax             int   // a higher credit counts as this one
	CreditBytesMax        int64 // a higher credit in bytes counts as this one
	TransactionActionsMax int   // a longer transaction is refused: too-large
	TransactionBytesMax   int   // headers and bodies of a transaction; a larger one is refused: too-large
	PoliciesMax           int   // a policy beyond is refused: limit-reached
	UserWaitingMax        int   // a higher user-waiting-messages counts as this one
	DueMax                int   // what one TimeAdvanced handles; the rest stays due, so that another one follows
}

// DefaultLimits returns the limits of a new cluster.
func DefaultLimits() Limits {
	return Limits{
		DestinationBytesMax:   1024,
		MessageBytesMax:       17 << 20, // 16 MiB of body for service accounts, and headers
		DestinationsMax:       10_000_000,
		QueueMessagesMax:      100_000_000,
		NodesMax:              10_000,
		SessionsMax:           5_000_000,
		SubscriptionsMax:      10_000_000,
		CreditMax:             10_000,
		CreditBytesMax:        8 << 20,
		TransactionActionsMax: 1_000,
		TransactionBytesMax:   17 << 20,
		PoliciesMax:           10_000,
		UserWaitingMax:        100_000,
		DueMax:                10_000,
	}
}

// limitMax is above every sensible limit and small enough that sums of limits cannot overflow.
const limitMax = 1 << 40

// Validate reports all faults at once.
func (l Limits) Validate() error {
	var faults []error
	for _, f := range l.fields() {
		if *f.value < 1 || *f.value > f.most {
			faults = append(faults, fmt.Errorf("limit %s is %d, not within 1..%d", f.name, *f.value, f.most))
		}
	}
	if l.CreditBytesMax < 1 || l.CreditBytesMax > limitMax {
		faults = append(faults, fmt.Errorf("limit CreditBytesMax is %d, not within 1..%d", l.CreditBytesMax, int64(limitMax)))
	}
	return errors.Join(faults...)
}

type limitField struct {
	name  string
	value *int
	most  int
}

// fields lists the whole numbers of l in the order of their encoding, which is frozen: new ones go to the end.
func (l *Limits) fields() [13]limitField {
	return [13]limitField{
		{"DestinationBytesMax", &l.DestinationBytesMax, 1 << 16},
		{"MessageBytesMax", &l.MessageBytesMax, 1 << 30}, // a queue keeps sizes in 32 bits
		{"DestinationsMax", &l.DestinationsMax, 1<<32 - 2},
		{"QueueMessagesMax", &l.QueueMessagesMax, 1 << 31},
		{"NodesMax", &l.NodesMax, limitMax},
		{"SessionsMax", &l.SessionsMax, limitMax},
		{"SubscriptionsMax", &l.SubscriptionsMax, 1 << 31},
		{"CreditMax", &l.CreditMax, 1 << 20},
		{"TransactionActionsMax", &l.TransactionActionsMax, transactionActionsDecodeMax},
		{"TransactionBytesMax", &l.TransactionBytesMax, 1 << 30},
		{"PoliciesMax", &l.PoliciesMax, limitMax},
		{"UserWaitingMax", &l.UserWaitingMax, 1 << 24},
		{"DueMax", &l.DueMax, 1 << 24},
	}
}
