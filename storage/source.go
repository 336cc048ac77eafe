package storage

// Sources: one way to read a segment, whether its blocks are in state.db or in a file of its own.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"
)

// errMoved says that a segment's blocks left state.db while it was read: it is sealed now, and the newest view has it.
var errMoved = errors.New("segment has moved")

// source reads one segment. An at is where a block is: opaque, and ascending with the blocks.
type source interface {
	info() *segmentInfo
	// nth returns where block n is; the segment has blocks of them.
	blockCount() int
	nth(n int, sc *scratch) (at uint64, err error)
	// find returns where the last block is that begins at or before place.
	find(place uint32, sc *scratch) (at uint64, err error)
	// nextOf returns the first place of stream at or after from.
	nextOf(stream, from uint32, sc *scratch) (place uint32, ok bool, err error)
	// load copies the block at at into sc.block; next is the at of the one after it, ok is false when at is past the last.
	load(at uint64, sc *scratch) (next uint64, ok bool, err error)
	done()
}

// scratch is what a reader needs for itself while it reads.
type scratch struct {
	page  page
	block []byte
}

// fit makes room for a block of n bytes.
func (sc *scratch) fit(n int) []byte {
	sc.block = slices.Grow(sc.block[:0], n)[:n]
	return sc.block
}

// stateSource reads a segment out of state.db.
type stateSource struct {
	*unsealed
	db *bbolt.DB
}

func (s stateSource) info() *segmentInfo { return &s.segmentInfo }
func (s stateSource) done()              {}
func (s stateSource) blockCount() int    { return len(s.blocks) }

func (s stateSource) nth(n int, _ *scratch) (uint64, error) { return uint64(n), nil }

func (s stateSource) find(place uint32, _ *scratch) (uint64, error) {
	i, found := slices.BinarySearch(s.blocks, s.first+uint64(place))
	if !found {
		i--
	}
	return uint64(i), nil
}

func (s stateSource) nextOf(stream, from uint32, _ *scratch) (uint32, bool, error) {
	place, ok := nextPlace(s.runs, stream, from)
	return place, ok, nil
}

func (s stateSource) load(at uint64, sc *scratch) (next uint64, ok bool, err error) {
	if at >= uint64(len(s.blocks)) {
		return at, false, nil
	}
	tx, err := s.db.Begin(false)
	if err != nil {
		return 0, false, fmt.Errorf("read state.db: %w", err)
	}
	defer func() {
		if p := recover(); p != nil { // as guarded has it
			err = fmt.Errorf("%w: %v", ErrCorrupt, p)
		}
		_ = tx.Rollback() // of a read transaction: it cannot fail but for being closed already
	}()
	bucket := blocksOf(tx, s.first)
	if bucket == nil {
		return 0, false, errMoved
	}
	var key [8]byte
	binary.BigEndian.PutUint64(key[:], s.blocks[at])
	b := bucket.Get(key[:])
	if b == nil {
		return 0, false, fmt.Errorf("%w: no block at %d", ErrCorrupt, s.blocks[at])
	}
	copy(sc.fit(len(b)), b)
	return at + 1, true, nil
}

// fileSource reads a sealed segment.
type fileSource struct {
	*segmentFile
	cache *fileCache
}

func (s fileSource) info() *segmentInfo { return &s.segmentInfo }
func (s fileSource) done()              { s.cache.release(s.segmentFile) }
func (s fileSource) blockCount() int    { return int(s.blocks.keys) }

func (s fileSource) nth(n int, sc *scratch) (uint64, error) {
	key, err := s.blocks.at(n, &sc.page)
	return uint64(uint32(key)), err
}

func (s fileSource) find(place uint32, sc *scratch) (uint64, error) {
	key, ok, err := s.blocks.floor(placeKey(place, ^uint32(0)), &sc.page)
	if err == nil && !ok {
		err = fmt.Errorf("%w: no block at place %d of segment %d", ErrCorrupt, place, s.first)
	}
	return uint64(uint32(key)), err
}

func (s fileSource) nextOf(stream, from uint32, sc *scratch) (uint32, bool, error) {
	key, ok, err := s.streams.lower(placeKey(stream, from), &sc.page)
	if err != nil || !ok || uint32(key>>32) != stream {
		return 0, false, err
	}
	return uint32(key), true, nil
}

// load reads a whole block with one read when it has the usual size.
func (s fileSource) load(at uint64, sc *scratch) (uint64, bool, error) {
	end := s.fileBytes - fileFooterBytes
	left := end - int64(at)
	if left <= 0 {
		return at, false, nil
	}
	b := sc.fit(int(min(left, blockBytesMax)))
	if err := readFull(s.messages, b, int64(at)); err != nil {
		return 0, false, err
	}
	h, err := parseBlockHeader(b)
	if err != nil {
		return 0, false, fmt.Errorf("segment %d at %d: %w", s.first, at, err)
	}
	size := blockHeaderBytes + h.payload
	if int64(size) > left {
		return 0, false, fmt.Errorf("%w: block of segment %d at %d claims %d of %d bytes", ErrCorrupt, s.first, at, size, left)
	}
	if size > len(b) {
		if err := readFull(s.messages, sc.fit(size), int64(at)); err != nil {
			return 0, false, err
		}
	}
	sc.block = sc.block[:size]
	return at + uint64(size), true, nil
}
