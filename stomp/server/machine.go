package server

import (
	"stampede/stomp"
)

// This file is the protocol without I/O: what a frame means in the state that the session is in.

// step is what the session has to do about a frame.
type step uint8

const (
	stepConnect step = iota
	stepSend
	stepSubscribe
	stepUnsubscribe
	stepAck
	stepCommit     // actions are in machine.actions
	stepReceipt    // nothing but the receipt, if one was asked for
	stepDisconnect // the last frame
)

// endedMax bounds the remembered ids of ended subscriptions: an UNSUBSCRIBE of one of them is a mistake without harm.
const endedMax = 64

// openTransactionsFactor bounds what all open transactions of a session hold together: so many times the largest one.
const openTransactionsFactor = 4

// machine holds the protocol's state of one session. It is used by the reading goroutine only.
type machine struct {
	config        *Config
	version       stomp.Version
	connected     bool
	subscriptions map[string]struct{}
	ended         []string // the last ended subscriptions
	transactions  map[string]*transaction
	held          int            // bytes of all open transactions together
	overhead      int            // and what they cost in memory beside them
	actions       []*stomp.Frame // of the transaction that stepCommit commits
}

type transaction struct {
	actions  []*stomp.Frame
	bytes    int
	overhead int  // in memory, beside them
	tooLarge bool // it was aborted; what was sent behind the frame that was too much is answered likewise
}

// headerBytes and frameBytes are about what a kept frame costs in memory beside its bytes.
const (
	headerBytes = 48
	frameBytes  = 96
)

// take decides what a frame means. An error is to be answered with ERROR.
func (m *machine) take(f *stomp.Frame) (step, *stomp.ProtocolError) {
	connecting := f.Command == stomp.CommandConnect || f.Command == stomp.CommandStomp
	switch {
	case connecting && m.connected:
		return 0, fault(stomp.CodeAlreadyConnected, "already connected", "A session is connected once; open another connection for another session.")
	case !connecting && !m.connected:
		return 0, fault(stomp.CodeNotConnected, "not connected", "The first frame has to be CONNECT or STOMP.")
	}
	if err := stomp.Validate(f, m.version); err != nil {
		return 0, err
	}
	switch f.Command {
	case stomp.CommandConnect, stomp.CommandStomp:
		return stepConnect, nil
	case stomp.CommandSend, stomp.CommandAck, stomp.CommandNack:
		return m.act(f)
	case stomp.CommandSubscribe:
		return stepSubscribe, m.subscribe(f)
	case stomp.CommandUnsubscribe:
		return m.unsubscribe(f)
	case stomp.CommandBegin:
		return stepReceipt, m.begin(f.Value("transaction"))
	case stomp.CommandCommit:
		return stepCommit, m.commit(f.Value("transaction"))
	case stomp.CommandAbort:
		return stepReceipt, m.abort(f.Value("transaction"))
	case stomp.CommandDisconnect:
		m.transactions, m.held, m.overhead = nil, 0, 0 // [STOMP12 §BEGIN] open transactions are aborted
		return stepDisconnect, nil
	}
	return 0, fault(stomp.CodeUnknownCommand, "unexpected command "+f.Command.String(), "Only a server sends this frame.")
}

// act is SEND, ACK or NACK: done at once, or kept until its transaction is committed.
func (m *machine) act(f *stomp.Frame) (step, *stomp.ProtocolError) {
	id, ok := f.Get("transaction")
	if !ok {
		if f.Command == stomp.CommandSend {
			return stepSend, nil
		}
		return stepAck, nil
	}
	t := m.transactions[string(id)]
	if t == nil {
		return 0, unknownTransaction(string(id))
	}
	if t.tooLarge {
		return 0, transactionTooLarge()
	}
	bytes, overhead := f.Size(), len(f.Headers)*headerBytes+frameBytes
	c := m.config
	most := openTransactionsFactor * c.TransactionBytesMax
	if len(t.actions) >= c.TransactionActionsMax || t.bytes+bytes > c.TransactionBytesMax || m.held+bytes > most || m.overhead+overhead > most {
		m.letGo(t)
		*t = transaction{tooLarge: true}
		return 0, transactionTooLarge()
	}
	t.bytes += bytes
	t.overhead += overhead
	m.held += bytes
	m.overhead += overhead
	t.actions = append(t.actions, f.Clone())
	return stepReceipt, nil // says only that it is in the transaction
}

func (m *machine) subscribe(f *stomp.Frame) *stomp.ProtocolError {
	id := string(stomp.SubscriptionID(f, m.version))
	if _, taken := m.subscriptions[id]; taken {
		return fault(stomp.CodeDuplicateSubscription, "duplicate subscription id", "The session has a subscription '"+id+"' already; ids are unique in a connection.")
	}
	if len(m.subscriptions) >= m.config.SubscriptionsMax {
		return fault(stomp.CodeTooManySubscriptions, "too many subscriptions", "The session has as many subscriptions as the broker allows.")
	}
	if m.subscriptions == nil {
		m.subscriptions = map[string]struct{}{}
	}
	m.subscriptions[id] = struct{}{}
	return nil
}

// holds tells whether a subscription is open, as far as the client's frames say.
func (m *machine) holds(id string) bool {
	_, open := m.subscriptions[id]
	return open
}

// forget takes back a subscription that the backend refused.
func (m *machine) forget(id string) { delete(m.subscriptions, id) }

func (m *machine) unsubscribe(f *stomp.Frame) (step, *stomp.ProtocolError) {
	id := string(stomp.SubscriptionID(f, m.version))
	if _, open := m.subscriptions[id]; open {
		delete(m.subscriptions, id)
		if len(m.ended) == endedMax {
			m.ended = append(m.ended[:0], m.ended[1:]...)
		}
		m.ended = append(m.ended, id)
		return stepUnsubscribe, nil
	}
	for _, e := range m.ended {
		if e == id {
			return stepReceipt, nil
		}
	}
	return 0, fault(stomp.CodeUnknownSubscription, "unknown subscription", "The session has no subscription '"+id+"'.")
}

func (m *machine) begin(id string) *stomp.ProtocolError {
	t := m.transactions[id]
	if t != nil && !t.tooLarge {
		return fault(stomp.CodeDuplicateTransaction, "duplicate transaction", "The transaction '"+id+"' was begun already.")
	}
	if t == nil && len(m.transactions) >= m.config.TransactionsMax {
		return fault(stomp.CodeTooManyTransactions, "too many transactions", "The session has as many open transactions as the broker allows.")
	}
	if m.transactions == nil {
		m.transactions = map[string]*transaction{}
	}
	m.transactions[id] = &transaction{}
	return nil
}

func (m *machine) commit(id string) *stomp.ProtocolError {
	t := m.transactions[id]
	if t == nil {
		return unknownTransaction(id)
	}
	m.end(id)
	if t.tooLarge {
		return transactionTooLarge()
	}
	m.actions = t.actions
	return nil
}

func (m *machine) abort(id string) *stomp.ProtocolError {
	if m.transactions[id] == nil {
		return unknownTransaction(id)
	}
	m.end(id)
	return nil
}

// end forgets an open transaction.
func (m *machine) end(id string) {
	m.letGo(m.transactions[id])
	delete(m.transactions, id)
}

func (m *machine) letGo(t *transaction) {
	m.held -= t.bytes
	m.overhead -= t.overhead
}

func transactionTooLarge() *stomp.ProtocolError {
	return fault(stomp.CodeTransactionTooLarge, "transaction too large", "A transaction, and all that are open together, hold a bounded number of frames and bytes; it was aborted. Commit earlier.")
}

func unknownTransaction(id string) *stomp.ProtocolError {
	return fault(stomp.CodeUnknownTransaction, "unknown transaction", "The session has no open transaction '"+id+"'.")
}

// fault is a refusal, as severe as the table of codes says.
func fault(code, message, detail string) *stomp.ProtocolError {
	return stomp.NewProtocolError(code, message, detail)
}
