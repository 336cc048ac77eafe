// Package gateway is the one door where STOMP words become broker words and back.
//
// On the way in, a session's frames become facts: SEND a MessageSent, SUBSCRIBE on a queue a SubscriptionOpened, ACK a
// DeliverySettled, COMMIT one TransactionCommitted. They are collected while the socket has more and submitted to the
// node together. On the way out, the effects of the fold become frames: the gateway performs those of its own node's
// sessions, on the fold's goroutine, and never blocks there.
//
// Topic subscriptions are no state of the broker: the gateway matches them itself (router.go). A subscription whose
// session cannot take more stops being pushed to and reads the log from its cursor, on the session's writing goroutine,
// until it has caught up (topic.go): bounded memory, nothing lost.
//
// A message with `persistent:false` never enters the log: the publisher's reading goroutine routes it (send.go).
//
// What it refuses: destinations and headers whose meaning it would have to pretend (headers.go has the table); it
// answers them with ERROR `unsupported-header` or `invalid-destination`.
//
// Goroutines: ReadPolicies once after each change of a policy and each end of an incarnation, and a timer for each position ahead of the log. Link methods run on the session's reading goroutine, Refill and Written on its writing
// goroutine, Outcome, Perform and Flush on the fold's goroutine.
//
// Invariants:
//
//	G1: the receipt of a SUBSCRIBE is in the outbox before the first MESSAGE of that subscription.
//	G2: a subscription that is not lagging has been given every logged message after its start, in order.
//	G3: a receipt of a logged command is written only from Outcome: its event is durable and applied.
//	G4: a session has at most sessionCommandsMax commands, and the one behind which its socket is not read, or sessionBytesMax bytes waiting for the log, and at most
//	    unreadBytesMax of receipts beyond a full outbox.
//	G5: a command is counted as answered once its event is performed: what waits for that comes behind it everywhere.
//	G6: the message-id of an unlogged message names an offset up to which every subscriber was given everything.
//	G7: a delivery that is settled by the socket is marked under the lock that Written takes, before the socket can have it.
package gateway
