package storage

// Verify: reads everything that is durable and checks every checksum and every index.

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Verify reads all durable messages and checks blocks, footers, counts and indexes. It may run beside everything else.
// progress, unless nil, is told how many of how many bytes are done. The error is the first fault: ErrCorrupt, or a failed read.
func (s *Store) Verify(ctx context.Context, progress func(done, total uint64)) error {
	v := s.view.Load()
	var done, total uint64
	for _, info := range v.sealed {
		total += uint64(info.fileBytes)
	}
	for _, u := range v.unsealed {
		total += u.dataBytes()
	}
	step := func(bytes int) error {
		done = min(done+uint64(bytes), total)
		if progress != nil {
			progress(done, total)
		}
		return ctx.Err()
	}
	for _, info := range v.sealed {
		if err := s.verifySealed(info, step); err != nil {
			return fmt.Errorf("verify segment %d: %w", info.first, err)
		}
	}
	for _, u := range v.unsealed {
		if err := s.verifyUnsealed(u, step); err != nil {
			return fmt.Errorf("verify segment %d: %w", u.first, err)
		}
	}
	if progress != nil {
		progress(total, total)
	}
	return nil
}

func (s *Store) verifySealed(info segmentInfo, step func(bytes int) error) error {
	streams, places, err := s.readSegment(info, step)
	if err != nil {
		return err
	}
	f, err := s.files.acquire(info)
	if err != nil {
		return err
	}
	defer s.files.release(f)
	if err := f.streams.equals(streams); err != nil {
		return fmt.Errorf("index of streams: %w", err)
	}
	if err := f.blocks.equals(places); err != nil {
		return fmt.Errorf("index of blocks: %w", err)
	}
	return nil
}

// verifyUnsealed checks a segment in state.db, or its file when it is sealed meanwhile.
func (s *Store) verifyUnsealed(u *unsealed, step func(bytes int) error) error {
	w := segmentWalk{source: stateSource{u, s.db}, seen: segmentInfo{state: u.state}}
	err := w.walk(0, step)
	if errors.Is(err, errMoved) {
		v := s.view.Load()
		i := slices.IndexFunc(v.sealed, func(info segmentInfo) bool { return info.first == u.first })
		if i < 0 {
			return fmt.Errorf("%w: its blocks are gone", ErrCorrupt)
		}
		return s.verifySealed(v.sealed[i], step)
	}
	if err != nil {
		return err
	}
	slices.Sort(w.streams)
	if w.seen != u.segmentInfo || !slices.Equal(w.streams, oneRun(u.runs)) {
		return fmt.Errorf("%w: its blocks make %+v, its record says %+v", ErrCorrupt, w.seen, u.segmentInfo)
	}
	return nil
}

// equals reads a whole table and compares it.
func (t *table) equals(keys []uint64) error {
	if uint64(len(keys)) != t.keys {
		return fmt.Errorf("%w: %d keys, want %d", ErrCorrupt, t.keys, len(keys))
	}
	var p page
	for i, want := range keys {
		if i%pageKeys == 0 {
			if err := t.read(i/pageKeys, &p); err != nil {
				return err
			}
		}
		if got := p.key(i % pageKeys); got != want {
			return fmt.Errorf("%w: key %d is %x, want %x", ErrCorrupt, i, got, want)
		}
	}
	return nil
}
