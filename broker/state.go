package broker

import (
	"fmt"
	"strconv"
)

// This file holds the state and the door that every event comes in by.

// FoldVersion is the highest version of the fold that this program knows.
const FoldVersion = 1

// State is the state of the broker: a fold of the facts. It belongs to one goroutine at a time.
type State struct {
	limits      Limits
	version     uint32
	next        Seq
	clock       Instant
	lastStream  uint32 // the highest number given to a topic or user destination
	lastOrdinal uint64 // the highest number given to a queue or subscription

	nodes    map[NodeID]*node
	lastNode *node // the node of the last origin: events come in runs
	topics   map[string]*topic
	queues   map[string]*queue
	users    map[string]*userDest
	subs     []*subscription // by slot; nil where free
	freeSubs []uint32        // the free slots

	policies    PolicyTable
	policyEpoch uint32 // counts the changes of policies: what was resolved under an older one is resolved anew

	entries   slab
	ackDue    dueHeap[*subscription]
	expiryDue dueHeap[*queue]
	userDue   dueHeap[*userDest]

	unclaimedDue dueHeap[*exclusive]

	sessions    int // in all nodes
	subscribed  int // subscriptions
	userWaiting int // messages that wait for users

	keeper recordKeeper
	meta   metaRecord

	// Scratch of one event.
	pumping   []*queue       // queues whose messages or credit changed, in the order in which they did
	sent      []*Message     // the messages that the event carries, at consecutive places from sentFirst on
	sentFirst Seq            //
	txDepth   map[string]int // what a transaction would add to queues
}

// New returns the state before the first event.
func New(limits Limits) *State {
	s := &State{
		limits:  limits,
		version: 1,
		next:    1,
		nodes:   make(map[NodeID]*node),
		topics:  make(map[string]*topic),
		queues:  make(map[string]*queue),
		users:   make(map[string]*userDest),
		txDepth: make(map[string]int),

		policyEpoch: 1,
	}
	s.meta.state = s
	s.touch(&s.meta)
	return s
}

// Apply folds one event and appends what follows from it to fx. Whatever the fact says, Apply takes it or refuses it;
// it panics, with the place and kind, where the caller broke a rule: a Seq that is not the next one, a nil message,
// a version of the fold that this program does not know.
func (s *State) Apply(e Event, fx *Effects) {
	if e.Seq != 0 && e.Seq != s.next {
		s.fault(e, "the next place is "+strconv.FormatUint(uint64(s.next), 10))
	}
	n, ok := s.admit(e, fx)
	if !ok {
		return
	}
	s.clock = max(s.clock, min(e.At, instantMax))
	s.touch(&s.meta)
	first, effects := s.next, len(fx.List)
	if refusal := s.fold(e, n, fx); refusal != RefusedNone {
		fx.List = fx.List[:effects]
		s.next = first + 1
		fx.add(EffectRefused).Refusal = refusal
	}
	s.pumpMarked(fx)
}

// fold applies an admitted fact. When it refuses it has changed nothing.
func (s *State) fold(e Event, n *node, fx *Effects) Refusal {
	switch f := e.Fact.(type) {
	case MessageSent:
		if f.Message == nil {
			s.fault(e, "no message")
		}
		return s.messageSent(f.Message, e.Origin, fx)
	case TransactionCommitted:
		return s.transactionCommitted(e, f, n, fx)
	}
	s.takeSeq()
	switch f := e.Fact.(type) {
	case NodeStarted:
		return s.nodeStarted(f, e.Origin, n, fx)
	case NodeLost:
		return s.nodeLost(f, fx)
	case PolicyChanged:
		return s.policyChanged(f, fx)
	case PolicyRemoved:
		return s.policyRemoved(f, fx)
	case TimeAdvanced:
		return s.timeAdvanced(fx)
	case LimitsChanged:
		return s.limitsChanged(f, fx)
	case FoldVersionRaised:
		if f.Version > FoldVersion {
			s.fault(e, "version "+strconv.FormatUint(uint64(f.Version), 10)+" of the fold is not known")
		}
		return s.foldVersionRaised(f, fx)
	}
	if n == nil {
		if KindName(e.Fact) == "unknown" {
			s.fault(e, "not a fact")
		}
		return RefusedUnknownNode
	}
	return s.foldOfSession(e, n, fx)
}

// foldOfSession applies the facts that name a session or subscription of the origin's node.
func (s *State) foldOfSession(e Event, n *node, fx *Effects) Refusal {
	switch f := e.Fact.(type) {
	case SessionOpened:
		return s.sessionOpened(f, n, fx)
	case SessionClosed:
		return s.sessionClosed(f, n, fx)
	case SubscriptionOpened:
		return s.subscriptionOpened(f, n, fx)
	case SubscriptionClosed:
		return s.subscriptionClosed(f, n, fx)
	case DeliverySettled:
		return s.deliverySettled(f, n, fx)
	case UserCovered:
		return s.userCovered(f, n, fx)
	}
	s.fault(e, "not a fact")
	return RefusedInvalid
}

// fault ends the program: a fold that went wrong must not go on.
func (s *State) fault(e Event, what string) {
	panic(fmt.Sprintf("broker: event %d (%s): %s", s.next, KindName(e.Fact), what))
}

// takeSeq gives out the next place.
func (s *State) takeSeq() Seq {
	seq := s.next
	s.next++
	return seq
}

// takeOrdinal gives out a number for a queue or subscription.
func (s *State) takeOrdinal() uint64 {
	s.lastOrdinal++
	return s.lastOrdinal
}

func (s *State) limitsChanged(f LimitsChanged, fx *Effects) Refusal {
	if f.Limits.Validate() != nil {
		return RefusedInvalid
	}
	s.limits = f.Limits
	fx.add(EffectLimitsChanged)
	return RefusedNone
}

func (s *State) foldVersionRaised(f FoldVersionRaised, fx *Effects) Refusal {
	if f.Version > s.version {
		s.version = f.Version
		fx.add(EffectFoldVersionRaised).Count = f.Version
	}
	return RefusedNone
}

// Next returns the place of the next event.
func (s *State) Next() Seq { return s.next }

// Clock returns the time of the last event.
func (s *State) Clock() Instant { return s.clock }

// Version returns the version of the fold whose rules hold.
func (s *State) Version() uint32 { return s.version }

// Limits returns the limits that hold.
func (s *State) Limits() Limits { return s.limits }

// Policies returns the table of policies, which does not change any more.
func (s *State) Policies() PolicyTable { return s.policies }

// PolicyFor returns what holds for a destination, with every field set.
func (s *State) PolicyFor(dest string) Policy { return s.policies.Resolve(dest) }

// Logged reports whether messages of a topic go through the log unless their sender says otherwise.
func (s *State) Logged(dest string) bool { return s.policies.Resolve(dest).Logged }

// validName reports whether a name that becomes part of the state is within the limits.
func (s *State) validName(name string) bool { return len(name) <= s.limits.DestinationBytesMax }

// validDest reports whether a text can be a destination of the state.
func (s *State) validDest(dest string) bool { return dest != "" && s.validName(dest) }
