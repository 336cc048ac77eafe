// Package broker is the fold: the state of the broker as a pure function of the log's events.
//
// State.Apply takes one Event and gives the Effects that follow from it. There is no clock, chance, goroutine, lock or I/O in here:
// time, origin and order come inside the event, and effects are the only report. The same events give the same state and the same
// effects on every node, whether they were folded one after the other or the state was restored in between.
//
// # How to use it
//
// A State belongs to one goroutine at a time. Facts are written with AppendFact and read with a Decoder, which makes views into the bytes.
// After some events Changes tells which records changed; a store that keeps them can give all of them to Restore. Digest is equal on all
// nodes that folded the same events. Message bodies are not in the state: EffectStored says that one must be kept, and a delivery says
// where it is. A Message belongs to everybody once Apply has stamped it: nobody may change it.
//
// NextDue says when a TimeAdvanced would have something to do. The leader proposes one then; until it does, nothing that depends on time
// alone happens, but that a message past its time is dropped when its turn comes.
//
// # Rules
//
//	R1  Each event takes one place; one that carries k messages takes k, consecutive and in order; a dead letter takes one of its own,
//	    after those. What is dropped by its origin takes none; what is refused takes one.
//	R2  Of a node's incarnation the fact with N one above the last is folded; one at or below it is dropped (EffectDuplicate), one beyond
//	    refused (EffectGap), and so is all of another incarnation, of a lost one, and of an unknown node. NodeStarted with N 1 begins a
//	    higher incarnation. A fact without a node is the leader's.
//	R3  A refused fact changes the clock and its origin's count, nothing else, and EffectRefused is all that follows from it.
//	R4  Waiting messages of a queue go in the order of their places to subscriptions with credit, to each in turn, in the order of opening.
//	    A subscription has credit while it has fewer unsettled deliveries and fewer unsettled bytes than allowed, and always when it has none.
//	R5  A message whose delivery fails (NACK, ack timeout) goes back to its place, as does one whose subscription ends. Failures at
//	    max-deliveries, returns by lost sessions above max-returns, and a rejection make it a dead letter, except in a dlq. queue.
//	    An ended subscription of a living session counts for nothing.
//	R6  A dead letter is refused by no limit, and does not expire.
//	R7  A settling of what is gone is counted (EffectStaleSettle) or, if it is strict and its last delivery is gone, refused.
//	R8  A transaction is judged whole before anything is changed: by the state before it, its own messages for the same queues, and the room
//	    that its own single settlings make. Its messages are stored before its settlings are done.
//	R9  Effects come in this order: what the fact did, then for each queue that it touched, in the order of touching, what was delivered.
//	R10 max-depth counts waiting and unsettled messages. Policies hold from the next event on; a lower one takes nothing back.
//	R11 For each field of a policy the most specific pattern that sets it holds; see PolicyTable.Resolve.
//	R12 What waits for a user is what came after the last that was covered. A subscription covers what it was given, not what waited before it began;
//	    without a position it begins with what waits, unless another one of its node was opened 30 s ago or more. Over user-waiting-messages, or after user-waiting-age, the oldest
//	    is counted as covered, and reported if no subscription of the user is open.
//	R13 A destination without messages and subscriptions leaves the state. Topics and user destinations stay, since the log has their messages.
//	R14 An exclusive queue is one session's: who subscribes first; with the last subscription of a session that ends it is gone with all that is in it.
//	    What finds no subscription, or is left by one that its client ended, waits 30 s for one, 100 messages at most, and is then dropped. A queue
//	    stays what its first message or subscription made it; one of dead letters is never exclusive.
//
// # What it refuses
//
// Facts that name unknown sessions or subscriptions, names and messages beyond Limits, and one thing more than Limits allow.
// The limits are part of the state; what New and Restore are given holds only where no record or fact says otherwise.
// Bytes that are not a fact, a message or a record are an error. A fact of an unknown kind is ErrUnknownFact: the node must stop before it.
// A fault of the caller in Apply is a panic with the event's place and kind.
//
// # Invariants
//
// Check reports them by number.
//
//	I1  Sessions, subscriptions, their nodes and their destinations know each other; a lost node has no session.
//	I2  Each message of a queue is in one place: the list of new ones and the heap of returned ones, both in order, or one subscription's window.
//	I3  A subscription has no more unsettled deliveries than its credit.
//	I4  The window of a subscription is in the order of tags and of times, begins with an unsettled delivery, and each message in it knows its owner and tag.
//	I5  No message waits while a subscription has credit; the set of those with credit and the cursor agree with the subscriptions.
//	I6  Dead letters are in dlq. queues, and each has its story.
//	I7  A queue has a message or a subscription.
//	I8  What waits for a user is in order, after what is covered; nothing is ahead of the log.
//	I9  The digest kept from event to event is that of the records.
//	I10 Counts are those of the things counted.
//	I11 Nothing is known as due later than it is.
//	I12 An exclusive queue has subscriptions of one session only; without any, all that is in it waits for one, in order and within bounds, else nothing.
//
// # Goroutines
//
// None.
package broker
