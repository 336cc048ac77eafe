package broker

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// This file holds user destinations: what no session of the user has taken yet waits, within the bounds of the policy.

// userJoinMillis is how long after the first subscription the others still begin with what waits, not with what comes next:
// a user's sessions come back together.
const userJoinMillis = 30_000

type userDest struct {
	stream   uint32 // its number, never used again
	dest     string
	user     string
	messages uint64
	lastSeq  Seq
	covered  Seq // everything up to it was taken, or gave way
	waiting  []waitingMessage
	gone     int             // how many at the front of waiting do not wait any more
	recorded Seq             // waiting messages up to it have a record
	subs     []*subscription // in the order of opening
	policy   resolved
	due      dueSlot
	rec      recordMeta
}

type waitingMessage struct {
	seq Seq
	at  Instant
}

// userNamed returns the user destination of that name, a new one if there is none.
func (s *State) userNamed(dest, user string) *userDest {
	if u := s.users[dest]; u != nil {
		return u
	}
	u := &userDest{stream: s.takeStream(), dest: dest, user: user}
	s.users[dest] = u
	s.touch(u)
	return u
}

// wait adds a message to what waits, and lets the oldest give way when there are too many.
// While the user is there nothing is lost by that, since his sessions read on from where they are: it is not reported then.
func (s *State) wait(u *userDest, seq Seq, fx *Effects) {
	u.messages++
	u.lastSeq = seq
	u.waiting = append(u.waiting, waitingMessage{seq, s.clock})
	s.userWaiting++
	s.touch(u)
	most := min(u.policy.of(s, u.dest).UserWaitingMessages, int64(s.limits.UserWaitingMax))
	if over := len(u.list()) - int(most); over > 0 {
		s.giveWay(u, over, fx)
	}
	if u.due.pos == 0 {
		if at, ok := u.dueAt(s); ok {
			s.userDue.note(u, at)
		}
	}
}

// list returns what waits.
func (u *userDest) list() []waitingMessage { return u.waiting[u.gone:] }

// giveWay drops the oldest n of what waits.
func (s *State) giveWay(u *userDest, n int, fx *Effects) {
	last := u.list()[n-1].seq
	s.cover(u, last)
	if len(u.subs) == 0 {
		x := fx.add(EffectDropped)
		x.Dest, x.User, x.Seq, x.Count = u.dest, u.user, last, uint32(n)
	}
}

// cover ends the waiting of everything up to a place.
func (s *State) cover(u *userDest, upTo Seq) {
	if upTo <= u.covered {
		return
	}
	u.covered = upTo
	s.touch(u)
	for u.gone < len(u.waiting) && u.waiting[u.gone].seq <= upTo {
		if w := u.waiting[u.gone]; w.seq <= u.recorded {
			s.forgetWaiting(u, w)
		}
		u.gone++
		s.userWaiting--
	}
	if left := len(u.waiting) - u.gone; left == 0 {
		u.waiting, u.gone = u.waiting[:0], 0
	} else if u.gone > left+windowSlack {
		n := copy(u.waiting, u.waiting[u.gone:])
		u.waiting, u.gone = u.waiting[:n], 0
	}
}

// openUser attaches a subscription to its user destination and says where it starts to read.
func (s *State) openUser(sub *subscription, f SubscriptionOpened, fx *Effects) {
	u := s.userNamed(f.Dest, f.User)
	start := f.Position
	if start == 0 {
		start = s.next
		if waiting := u.list(); len(waiting) > 0 && !u.isServedOn(sub.session.node, s.clock) {
			start = waiting[0].seq
		}
	}
	if waiting := u.list(); start > s.next || len(waiting) > 0 && waiting[0].seq < start {
		sub.from = start
	}
	sub.user = u
	u.subs = append(u.subs, sub)
	x := fx.add(EffectUserPosition)
	c := sub.session
	x.Node, x.Incarnation, x.Session, x.Sub = c.node.id, c.node.incarnation, c.number, sub.number
	x.Seq, x.Dest, x.User = start, u.dest, u.user
}

// isServedOn reports whether a subscription of the node has been open for long: what those of other nodes were given may never have left them.
func (u *userDest) isServedOn(n *node, now Instant) bool {
	for _, sub := range u.subs {
		if sub.session.node == n {
			return now-sub.openedAt >= userJoinMillis // in the order of opening: the others of the node are younger
		}
	}
	return false
}

// leave takes a subscription out.
func (u *userDest) leave(sub *subscription) {
	at := slices.Index(u.subs, sub)
	u.subs = slices.Delete(u.subs, at, at+1)
}

func (s *State) userCovered(f UserCovered, n *node, fx *Effects) Refusal {
	sub := n.subs[f.Sub]
	if sub == nil || sub.user == nil {
		e := fx.add(EffectStaleSettle)
		e.Node, e.Incarnation, e.Sub, e.Count = n.id, n.incarnation, f.Sub, 1
		return RefusedNone
	}
	s.coverGiven(sub, min(f.UpTo, s.next-1))
	return RefusedNone
}

// coverGiven ends the waiting of everything up to a place that the subscription was given. What waited before it began goes on waiting: nobody may have
// taken that, such as a session that is gone without anybody knowing yet.
func (s *State) coverGiven(sub *subscription, upTo Seq) {
	u := sub.user
	list := u.list()
	if sub.from == 0 || len(list) == 0 || list[0].seq >= sub.from {
		s.cover(u, upTo)
		return
	}
	first, last := waitingFrom(list, sub.from), waitingFrom(list, upTo+1)
	if first >= last {
		return
	}
	for _, w := range list[first:last] {
		if w.seq <= u.recorded {
			s.forgetWaiting(u, w)
		}
	}
	u.waiting = slices.Delete(u.waiting, u.gone+first, u.gone+last)
	s.userWaiting -= last - first
}

// waitingFrom returns the index of the first message at or after a place.
func waitingFrom(list []waitingMessage, place Seq) int {
	i, _ := slices.BinarySearchFunc(list, place, func(w waitingMessage, place Seq) int { return cmp.Compare(w.seq, place) })
	return i
}

// dueAt returns when the oldest waiting message has waited long enough.
func (u *userDest) dueAt(s *State) (Instant, bool) {
	age := u.policy.of(s, u.dest).UserWaitingAgeMillis
	if waiting := u.list(); len(waiting) > 0 && age > 0 {
		return waiting[0].at.after(age), true
	}
	return 0, false
}

func (u *userDest) dueSlot() *dueSlot { return &u.due }

func (u *userDest) dueOrder() uint64 { return uint64(u.stream) }

func (u *userDest) record() *recordMeta { return &u.rec }

func (u *userDest) appendKey(dst []byte) []byte {
	return binary.BigEndian.AppendUint32(append(dst, recordUser), u.stream)
}

func (u *userDest) appendValue(dst []byte) []byte {
	dst = appendString(dst, u.dest)
	dst = appendString(dst, u.user)
	dst = appendUvarint(dst, u.messages)
	dst = appendUvarint(dst, uint64(u.lastSeq))
	return appendUvarint(dst, uint64(u.covered))
}
