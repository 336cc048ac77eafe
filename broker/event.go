package broker

// This file names what an event is: a fact with its place, its time and its origin.

// Seq is a place in the log. Each event takes one, each message has one of its own.
type Seq uint64

// Instant is a time in milliseconds since the epoch, by the clock of the leader that admitted the event.
type Instant int64

// Origin says which node proposed a fact and as its how manieth.
// N counts from 1 within an incarnation. A zero Node means that the leader itself made the fact: nothing is checked.
type Origin struct {
	Node        NodeID
	Incarnation uint64
	N           uint64
}

// Event is one fact as the log holds it.
type Event struct {
	Seq    Seq     // 0: the next one; any other value must equal State.Next
	At     Instant // stamped by the leader; an earlier time than the one before counts as that one
	Origin Origin
	Fact   Fact
}

// instantMax bounds the times that the fold reckons with, so that a sum of two never overflows.
const instantMax = Instant(1) << 56

// after returns t plus millis, at most instantMax.
func (t Instant) after(millis int64) Instant {
	if millis >= int64(instantMax-t) {
		return instantMax
	}
	return t + Instant(millis)
}
