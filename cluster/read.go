package cluster

// This file holds the reading side: messages by place and by destination, from memory and from disk.

import (
	"errors"
	"fmt"

	"stampede/broker"
)

// ErrNoMessage says that there is no message at that Seq: it is another event's, ahead of the log, or gone from retention.
var ErrNoMessage = errors.New("no message at that seq")

const (
	// scanSeenMax bounds what one Scan looks at, matching or not, so that it returns soon; next says where to go on.
	scanSeenMax = 1 << 16
	// scanReadMax bounds what one Scan reads from disk of destinations that do not match.
	scanReadMax = 1 << 13
)

// Applied returns the Seq up to which all is folded and can be read.
func (n *Node) Applied() broker.Seq { return broker.Seq(n.fold.applied.Load()) }

// Recent returns the message of seq if memory has it, else nil. It never waits.
func (n *Node) Recent(seq broker.Seq) *broker.Message { return n.ring.get(seq) }

// Message returns the message of seq from memory or disk; ErrNoMessage when there is none.
func (n *Node) Message(seq broker.Seq) (*broker.Message, error) {
	if m := n.ring.get(seq); m != nil {
		return m, nil
	}
	data, ok, err := n.states.now().Get(uint64(seq))
	if err != nil {
		return nil, fmt.Errorf("read message %d: %w", seq, err)
	}
	if !ok {
		return nil, fmt.Errorf("%w: %d", ErrNoMessage, seq)
	}
	m, err := broker.DecodeMessage(data)
	if err != nil {
		return nil, fmt.Errorf("read message %d: %w", seq, err)
	}
	return m, nil
}

// Bounds returns the first and the last Seq of a topic's or user destination's messages, zero when it has none.
func (n *Node) Bounds(dest string) (first, last broker.Seq) {
	st := n.fold.streams.find(dest)
	if st == nil {
		return 0, 0
	}
	last = broker.Seq(st.last.Load())
	if first = broker.Seq(st.first.Load()); first == 0 {
		err := n.states.now().ScanStream(st.id, 0, func(seq uint64, _ []byte) bool {
			first = broker.Seq(seq)
			return false
		})
		if err != nil || first == 0 {
			return last, last // unreadable, or gone: what is known is the last
		}
		st.first.Store(uint64(first))
	}
	return first, last
}

// SeqAt returns the Seq of the first message at or after t, the one after Applied when there is none.
func (n *Node) SeqAt(t broker.Instant) (broker.Seq, error) {
	next := n.Applied() + 1
	seq, ok, err := n.states.now().SeqAt(int64(t))
	if err != nil {
		return 0, fmt.Errorf("find seq at %d: %w", t, err)
	}
	if !ok {
		return next, nil
	}
	return broker.Seq(seq), nil
}

// Scan appends to dst messages from `from` on, inclusive, in order: of exactly dest, a topic or user destination, or where dest is "" of all for which match
// is true. It returns at most max of them and, after the first, at most maxBytes of headers and bodies. next is where to go on; it may stop
// early with nothing found. next above Applied means that it has caught up with what was applied at the call.
func (n *Node) Scan(dest string, match func(dest string) bool, from broker.Seq, max, maxBytes int, dst []*broker.Message) (msgs []*broker.Message, next broker.Seq, err error) {
	s := scan{
		node: n, dest: dest, match: match, msgs: dst, next: from, applied: n.Applied(),
		left: max, bytesLeft: maxBytes, seenLeft: scanSeenMax,
	}
	if s.next == 0 {
		s.next = 1
	}
	for s.next <= s.applied && !s.full {
		if s.next >= n.ring.low() {
			s.memory()
			continue
		}
		if err := s.disk(); err != nil {
			return s.msgs, s.next, fmt.Errorf("scan from %d: %w", s.next, err)
		}
	}
	return s.msgs, s.next, nil
}

// scan is one Scan under way.
type scan struct {
	node      *Node
	dest      string
	match     func(string) bool
	msgs      []*broker.Message
	next      broker.Seq // all before it was seen
	applied   broker.Seq // at the call
	left      int        // messages
	bytesLeft int
	seenLeft  int
	found     bool
	full      bool
}

func (s *scan) wants(dest string) bool {
	if s.dest != "" {
		return dest == s.dest
	}
	return s.match(dest)
}

// take appends m if it still fits; otherwise the scan is full and goes on at m another time.
func (s *scan) take(m *broker.Message) bool {
	if s.left < 1 || (s.found && m.Size() > s.bytesLeft) {
		s.full = true
		return false
	}
	s.msgs = append(s.msgs, m)
	s.found = true
	s.left--
	s.bytesLeft -= m.Size()
	return true
}

// see counts one Seq looked at; false ends the scan for now.
func (s *scan) see() bool {
	s.seenLeft--
	s.full = s.full || s.seenLeft <= 0
	return !s.full
}

// memory scans the ring up to applied, or to where the ring has lost what was to come next.
func (s *scan) memory() {
	ring := s.node.ring
	for s.next <= s.applied && !s.full {
		m := ring.get(s.next)
		if m == nil && s.next < ring.low() {
			return // evicted meanwhile: the disk has it
		}
		if m != nil && s.wants(m.Dest) && !s.take(m) {
			return
		}
		s.next++
		s.see()
	}
}

// disk scans the store up to applied, or to where the ring begins.
func (s *scan) disk() error {
	end := min(s.applied+1, s.node.ring.low())
	s.seenLeft = min(s.seenLeft, scanReadMax)
	var err error
	if s.dest != "" {
		err = s.diskStream(end)
	} else {
		err = s.diskAll(end)
	}
	if err == nil && !s.full {
		s.next = max(s.next, end)
	}
	return err
}

func (s *scan) diskStream(end broker.Seq) error {
	st := s.node.fold.streams.find(s.dest)
	if st == nil {
		return nil
	}
	var bad error
	err := s.node.states.now().ScanStream(st.id, uint64(s.next), func(seq uint64, data []byte) bool {
		return s.diskMessage(broker.Seq(seq), end, st.dest, data, &bad)
	})
	return errors.Join(err, bad)
}

func (s *scan) diskAll(end broker.Seq) error {
	var bad error
	err := s.node.states.now().Scan(uint64(s.next), func(id uint32, seq uint64, data []byte) bool {
		dest := s.node.fold.streams.dest(id)
		if broker.Seq(seq) >= end {
			return false
		}
		if dest != "" && !s.match(dest) {
			s.next = broker.Seq(seq) + 1
			return s.see()
		}
		return s.diskMessage(broker.Seq(seq), end, dest, data, &bad)
	})
	return errors.Join(err, bad)
}

// diskMessage takes one stored message; dest is its destination if that is known without decoding.
func (s *scan) diskMessage(seq, end broker.Seq, dest string, data []byte, bad *error) bool {
	if seq >= end {
		return false
	}
	m, err := broker.DecodeMessage(data)
	if err != nil {
		*bad = fmt.Errorf("message %d: %w", seq, err)
		return false
	}
	if dest != "" {
		m.Dest = dest
	}
	if (dest != "" || s.wants(m.Dest)) && !s.take(m) {
		return false
	}
	s.next = seq + 1
	return s.see()
}
