package server

import "stampede/stomp"

// This file says what the server needs of a broker.

// Backend opens links for sessions.
type Backend interface {
	// Open is called on the session's reading goroutine once CONNECT is authenticated and negotiated, before CONNECTED is
	// written. It must not block. id becomes the `session` header.
	Open(s *Session) (id string, link Link, err *stomp.ProtocolError)
}

// Link is one session's way into the broker. All calls but Refill and Written come from the session's reading goroutine,
// one at a time; frames are views that are valid during the call. A returned error is answered with ERROR, with the
// frame's receipt-id; it closes the session or not by its severity and the session's policy. On nil the Link owes the
// receipt that the frame asked for.
type Link interface {
	Send(f *stomp.Frame) *stomp.ProtocolError
	Subscribe(f *stomp.Frame) *stomp.ProtocolError   // the id (stomp.SubscriptionID) is free in this session
	Unsubscribe(f *stomp.Frame) *stomp.ProtocolError // of a subscription that is open
	// Refused tells of a subscription that Subscribe took whether the Link has ended it since, with an ERROR; it forgets it then, and
	// the id is free.
	Refused(id string) bool
	Ack(f *stomp.Frame) *stomp.ProtocolError // ACK and NACK outside transactions
	// Commit takes the SEND, ACK and NACK frames of one transaction, which are the Link's to keep, and the receipt of the COMMIT or "".
	Commit(actions []*stomp.Frame, receipt string) *stomp.ProtocolError
	// Disconnect ends the session in order: once everything earlier was answered the Link calls Session.Receipt(receipt), if
	// there is one, and Session.Finish. It may block.
	Disconnect(receipt string)
	Flush() // all that the socket had was handled; called before each read that may block
	Heard() // bytes have arrived
	Close() // the session has ended, whatever the cause; the last call

	Refill(spaceBytes int) // writing goroutine: after RequestRefill, when at least half of the outbox is free
	Written(end uint64)    // writing goroutine: the socket took all up to this position of the outbox; only with TrackWrites
}
