package storage

// The sealer: gives a closed segment its own file. It reads state.db and writes files; state.db learns of it from the flusher.

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"
)

// copyBlocks is how many blocks one read transaction takes out of state.db, so that none is held for long.
const copyBlocks = 64

// sealResult is what the sealer hands back.
type sealResult struct {
	info segmentInfo
	err  error
}

// runSealer seals one segment after the other until jobs is closed or ctx ends.
func (s *Store) runSealer(ctx context.Context, jobs <-chan *unsealed, results chan<- sealResult) {
	defer close(results)
	for job := range jobs {
		start := s.now()
		info, err := s.seal(ctx, job)
		if err == nil {
			s.figures.seal.observe(s.now().Sub(start))
		}
		results <- sealResult{info: info, err: err}
		if err != nil {
			return
		}
	}
}

// seal writes both files of a closed segment. Files of an earlier try are replaced.
func (s *Store) seal(ctx context.Context, u *unsealed) (segmentInfo, error) {
	info := u.segmentInfo
	info.state = segmentSealed
	places, err := s.writeMessages(ctx, u, &info)
	if err != nil {
		return info, fmt.Errorf("seal segment %d: %w", info.first, err)
	}
	if err := s.writeIndex(&info, oneRun(u.runs), places); err != nil {
		return info, fmt.Errorf("index segment %d: %w", info.first, err)
	}
	if err := syncDir(s.segments, s.faults); err != nil {
		return info, fmt.Errorf("seal segment %d: %w", info.first, err)
	}
	return info, nil
}

// writeMessages lays the messages out anew, so that the bytes do not depend on when they were flushed, and returns
// the keys of the block table: place<<32 | offset.
func (s *Store) writeMessages(ctx context.Context, u *unsealed, info *segmentInfo) ([]uint64, error) {
	w, err := createFile(s.segments, segmentName(info.first, messageSuffix), s.faults)
	if err != nil {
		return nil, err
	}
	defer w.abandon()
	info.sum = 0
	l := layout{out: w, info: info}
	if err := w.write(appendFileHeader(nil, messageMagic, info.first)); err != nil {
		return nil, err
	}
	for from := 0; from < len(u.blocks); from += copyBlocks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		copied, err := s.copyBlocks(u, from, min(from+copyBlocks, len(u.blocks)))
		if err != nil {
			return nil, err
		}
		for _, b := range copied {
			if err := l.take(b); err != nil {
				return nil, err
			}
		}
	}
	l.builder.finish()
	if err := l.flush(); err != nil {
		return nil, err
	}
	if l.count != info.count {
		return nil, fmt.Errorf("%w: %d messages in the blocks, %d in the record", ErrCorrupt, l.count, info.count)
	}
	if err := w.write(appendMessageFooter(nil, info, uint32(len(l.places)))); err != nil {
		return nil, err
	}
	info.fileBytes = w.size
	return l.places, w.publish()
}

// copyBlocks takes blocks out of state.db.
func (s *Store) copyBlocks(u *unsealed, from, to int) (blocks [][]byte, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		bucket := blocksOf(tx, u.first)
		if bucket == nil {
			return fmt.Errorf("%w: no blocks of segment %d", ErrCorrupt, u.first)
		}
		for _, first := range u.blocks[from:to] {
			b := bucket.Get(binary.BigEndian.AppendUint64(nil, first))
			if b == nil {
				return fmt.Errorf("%w: no block at %d", ErrCorrupt, first)
			}
			blocks = append(blocks, bytes.Clone(b))
		}
		return nil
	})
	return blocks, err
}

func (s *Store) writeIndex(info *segmentInfo, streams, places []uint64) error {
	w, err := createFile(s.segments, segmentName(info.first, indexSuffix), s.faults)
	if err != nil {
		return err
	}
	defer w.abandon()
	b := appendIndex(nil, info, streams, places)
	info.indexBytes = int64(len(b))
	for len(b) > 0 {
		n := min(len(b), writeBytes)
		if err := w.write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return w.publish()
}

// layout writes blocks to a file as they fill.
type layout struct {
	out     *fileWriter
	info    *segmentInfo
	builder blockBuilder
	places  []uint64
	count   uint64
}

func (l *layout) take(block []byte) error {
	r, err := openBlock(block)
	if err != nil {
		return err
	}
	for r.next() {
		l.builder.add(&r.m)
		l.count++
	}
	if r.err != nil {
		return r.err
	}
	return l.flush()
}

// flush writes the blocks that are finished and keeps the one that is not.
func (l *layout) flush() error {
	for _, sp := range l.builder.spans {
		l.places = append(l.places, placeKey(l.info.place(sp.first), uint32(l.out.size)))
		l.info.sum = foldSum(l.info.sum, sp.bytes)
		if err := l.out.write(sp.bytes); err != nil {
			return err
		}
	}
	l.builder.recycle()
	return nil
}
