package gateway

import (
	"strconv"
	"strings"
	"time"

	"stampede/broker"
	"stampede/stomp"
)

// This file is where a subscription begins to read.

// lastMax bounds last:N; more is refused.
const lastMax = 10_000

// position is where a subscription asked to begin.
type position struct {
	given bool
	from  broker.Seq     // first offset wanted, when byTime and last are false
	last  uint32         // the last so many messages, then what comes
	at    broker.Instant // byTime: the first message stamped at or after it
	time  bool
}

// readPosition reads resume-after, last and x-stream-offset, the first that is there.
func readPosition(f *stomp.Frame) (position, *stomp.ProtocolError) {
	if v, ok := f.Get("resume-after"); ok {
		seq, _, ok := parseMessageID(string(v))
		if !ok {
			return position{}, invalidHeader("resume-after", "it is the message-id of a message of this broker")
		}
		return position{given: true, from: seq + 1}, nil
	}
	if v, ok := f.Get("last"); ok {
		n, err := strconv.ParseUint(string(v), 10, 32)
		if err != nil || n > lastMax {
			return position{}, invalidHeader("last", "it is a number of messages, at most 10000")
		}
		return position{given: n > 0, last: uint32(n)}, nil
	}
	v, ok := f.Get("x-stream-offset")
	if !ok || string(v) == "next" {
		return position{}, nil
	}
	switch s := string(v); {
	case s == "first":
		return position{given: true, from: 1}, nil
	case s == "last":
		return position{given: true, last: 1}, nil
	case strings.HasPrefix(s, "offset="):
		if n, err := strconv.ParseUint(s[len("offset="):], 10, 63); err == nil {
			return position{given: true, from: broker.Seq(max(n, 1))}, nil
		}
	case strings.HasPrefix(s, "timestamp="):
		if n, err := strconv.ParseInt(s[len("timestamp="):], 10, 64); err == nil && n >= 0 {
			return position{given: true, time: true, at: broker.Instant(n)}, nil
		}
	}
	return position{}, invalidHeader("x-stream-offset", "it is first, last, next, offset=N or timestamp=T")
}

// positionAheadWait is how long a position ahead of the node's log waits for the log to come (contract: headers).
const positionAheadWait = 5 * time.Second

// seqOf turns an asked position into the first offset to read; 0 when none was asked for.
func (g *Gateway) seqOf(p position, dest string) (broker.Seq, *stomp.ProtocolError) {
	var seq broker.Seq
	var err error
	switch {
	case !p.given:
		return 0, nil
	case p.time:
		seq, err = g.node.SeqAt(p.at)
	case p.last > 0 && dest == "":
		return 0, invalidHeader("last", "the last messages are those of one destination, not of a pattern")
	case p.last > 0:
		seq, err = g.lastOf(dest, int(p.last))
	default:
		return p.from, nil
	}
	if err != nil {
		return 0, internalError(err)
	}
	return seq, nil
}

// lastOf finds the first of the last n messages of a destination: it looks at a stretch of the log before the last one,
// and at a longer one while that holds too few.
func (g *Gateway) lastOf(dest string, n int) (broker.Seq, error) {
	first, last := g.node.Bounds(dest)
	if last == 0 {
		return g.node.Applied() + 1, nil
	}
	for stretch := broker.Seq(n); ; stretch *= 4 {
		from := first
		if last-first > stretch {
			from = last - stretch
		}
		seqs, err := g.seqsOf(dest, from, last)
		if err != nil {
			return 0, err
		}
		if len(seqs) >= n {
			return seqs[len(seqs)-n], nil
		}
		if from == first {
			return first, nil
		}
	}
}

// seqsOf gives the offsets of a destination's messages in a stretch of the log.
func (g *Gateway) seqsOf(dest string, from, last broker.Seq) (seqs []broker.Seq, err error) {
	var msgs []*broker.Message
	for from <= last {
		if msgs, from, err = g.node.Scan(dest, nil, from, refillMessages, refillBytes, msgs[:0]); err != nil {
			return nil, err
		}
		for _, m := range msgs {
			seqs = append(seqs, m.Seq)
		}
	}
	return seqs, nil
}
