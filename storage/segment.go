package storage

// Segments: runs of messages between two places of the log. The last one is open, the ones before are sealed in files of their own.

import (
	"encoding/binary"
	"fmt"
	"math"
)

const (
	segmentVersion     = 1
	segmentRecordBytes = 80
	// messageWeight is what a message weighs in its segment beside its bytes, whatever its encoding takes.
	messageWeight = 32
)

type segmentState uint8

const (
	segmentOpen   segmentState = iota + 1 // takes messages; blocks in state.db
	segmentClosed                         // takes no more; blocks in state.db until its file is there
	segmentSealed                         // in its own file
)

// segmentInfo is a segment's record in state.db.
type segmentInfo struct {
	state           segmentState
	sum             uint32 // of a sealed segment: checksum over its blocks' checksums
	first, last     uint64
	firstAt, lastAt int64
	count           uint64
	weight          uint64 // bytes of data and messageWeight a message: what the rule of the roll counts
	fileBytes       int64  // of a sealed segment: sizes of its two files
	indexBytes      int64
}

// takes says whether a message goes into this segment or begins the next one. It is the rule of the roll: it looks at
// the messages alone, so that all nodes roll at the same place.
func (s *segmentInfo) takes(m *message, o *Options) bool {
	return s.weight+uint64(len(m.data))+messageWeight <= uint64(o.SegmentBytes) &&
		m.at-s.firstAt < o.SegmentMillis &&
		m.seq-s.first <= math.MaxUint32
}

func (s *segmentInfo) add(m *message) {
	if s.count == 0 {
		s.first, s.firstAt = m.seq, m.at
	}
	s.last, s.lastAt = m.seq, m.at
	s.count++
	s.weight += uint64(len(m.data)) + messageWeight
}

func (s *segmentInfo) place(seq uint64) uint32 { return uint32(seq - s.first) }

// dataBytes are the bytes of the messages alone.
func (s *segmentInfo) dataBytes() uint64 { return s.weight - s.count*messageWeight }

func segmentKey(first uint64) []byte { return binary.BigEndian.AppendUint64(nil, first) }

func appendSegmentInfo(dst []byte, s *segmentInfo) []byte {
	start := len(dst)
	dst = append(dst, segmentVersion, byte(s.state), 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, s.sum)
	for _, v := range [...]uint64{s.first, s.last, uint64(s.firstAt), uint64(s.lastAt), s.count, s.weight, uint64(s.fileBytes), uint64(s.indexBytes)} {
		dst = binary.BigEndian.AppendUint64(dst, v)
	}
	dst = append(dst, 0, 0, 0, 0)
	return binary.BigEndian.AppendUint32(dst, checksum(dst[start:]))
}

func decodeSegmentInfo(b []byte) (segmentInfo, error) {
	if len(b) != segmentRecordBytes || b[0] != segmentVersion {
		return segmentInfo{}, fmt.Errorf("%w: segment record of %d bytes", ErrCorrupt, len(b))
	}
	end := len(b) - crcBytes
	if got, want := checksum(b[:end]), binary.BigEndian.Uint32(b[end:]); got != want {
		return segmentInfo{}, fmt.Errorf("%w: segment record has checksum %08x, want %08x", ErrCorrupt, got, want)
	}
	number := func(i int) uint64 { return binary.BigEndian.Uint64(b[8+8*i:]) }
	s := segmentInfo{
		state: segmentState(b[1]), sum: binary.BigEndian.Uint32(b[4:]),
		first: number(0), last: number(1), firstAt: int64(number(2)), lastAt: int64(number(3)),
		count: number(4), weight: number(5), fileBytes: int64(number(6)), indexBytes: int64(number(7)),
	}
	if s.state < segmentOpen || s.state > segmentSealed || s.count == 0 || s.last < s.first || s.last-s.first > math.MaxUint32 ||
		s.count-1 > s.last-s.first || s.weight/messageWeight < s.count {
		return segmentInfo{}, fmt.Errorf("%w: segment record at %d contradicts itself", ErrCorrupt, s.first)
	}
	return s, nil
}

// unsealed is a segment whose blocks are in state.db. A value is immutable: each flush makes a new one.
type unsealed struct {
	segmentInfo
	blocks []uint64   // first seq of each block
	runs   [][]uint64 // see runs.go
}

// view is what readers see: immutable, replaced as a whole by the flusher.
type view struct {
	sealed   []segmentInfo // ascending
	unsealed []*unsealed   // ascending, after the sealed ones; the last one is open if any is
	pending  cursor        // first message that is not durable
	last     uint64        // last message that is durable
}
