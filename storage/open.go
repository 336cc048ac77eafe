package storage

// Opening: state.db, what it says of segments, and the repair of what a crash left half done.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// ErrFormat says that the data was written by a later version than this one.
var ErrFormat = errors.New("unknown format")

// Open opens the store in dir, which is created when it is missing, and repairs what a crash left half done.
// It starts nothing: Run does.
func Open(dir string, o Options) (s *Store, err error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	o = o.withDefaults()
	s = &Store{
		options: o, dir: dir, segments: filepath.Join(dir, segmentsDir), logger: o.Logger, faults: o.Fault, now: wallClock,
		handover: handover{wake: make(chan struct{}, 1)},
		stopped:  make(chan struct{}), dead: make(chan struct{}),
	}
	s.dog = newWatchdog(o.StallTimeout, func(err error) { _ = s.fail(err) })
	s.scratches.New = func() any { return new(scratch) }
	s.files = newFileCache(s.segments)
	if err := settle(dir, s.faults); err != nil {
		return nil, fmt.Errorf("settle snapshot beside %s: %w", dir, err)
	}
	if err := os.MkdirAll(s.segments, dirMode); err != nil {
		return nil, fmt.Errorf("create store: %w", err)
	}
	if s.origin, err = readOrigin(dir); err != nil {
		return nil, fmt.Errorf("open store in %s: %w", dir, err)
	}
	if s.db, err = openState(filepath.Join(dir, stateName)); err != nil {
		return nil, fmt.Errorf("open %s: %w", filepath.Join(dir, stateName), err)
	}
	if err := guarded(s.load); err != nil {
		return nil, errors.Join(fmt.Errorf("open store in %s: %w", dir, err), s.db.Close())
	}
	return s, nil
}

// load reads what state.db says and makes the first view of it.
func (s *Store) load() error {
	if err := s.prepare(); err != nil {
		return err
	}
	infos, err := s.loadState()
	if err != nil {
		return err
	}
	v := &view{pending: cursor{}}
	for _, info := range infos {
		if info.state == segmentSealed {
			v.sealed = append(v.sealed, info)
		}
		v.last = info.last
	}
	if err := s.repair(infos); err != nil {
		return err
	}
	for _, info := range infos[len(v.sealed):] {
		u, err := s.loadUnsealed(info)
		if err != nil {
			return fmt.Errorf("segment %d: %w", info.first, err)
		}
		v.unsealed = append(v.unsealed, u)
	}
	s.appender = newAppender(v.last)
	v.pending = cursor{c: s.appender.tail}
	s.view.Store(v)
	return nil
}

// prepare makes a new state.db complete, and makes the names of its files durable.
func (s *Store) prepare() error {
	err := s.db.Update(func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucketIfNotExists([]byte(bucketMeta))
		if err != nil {
			return err
		}
		for _, name := range []string{bucketRecords, bucketSegments, bucketBlocks} {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		switch format := meta.Get([]byte(keyFormat)); {
		case format == nil:
			return meta.Put([]byte(keyFormat), binary.BigEndian.AppendUint32(nil, stateFormat))
		case len(format) != 4 || binary.BigEndian.Uint32(format) != stateFormat:
			return fmt.Errorf("%w of %s: % x, this version knows %d", ErrFormat, stateName, format, stateFormat)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return errors.Join(syncDir(s.dir, s.faults), syncDir(filepath.Dir(s.dir), s.faults))
}

// loadState reads the position and the records of segments, which must follow each other: sealed, closed, open.
func (s *Store) loadState() (infos []segmentInfo, err error) {
	s.position.Store(&Position{})
	err = s.db.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket([]byte(bucketMeta)).Get([]byte(keyPosition)); b != nil {
			pos, err := decodePosition(b)
			if err != nil {
				return err
			}
			s.position.Store(&pos)
		}
		return tx.Bucket([]byte(bucketSegments)).ForEach(func(key, value []byte) error {
			info, err := decodeSegmentInfo(value)
			if err != nil {
				return err
			}
			if n := len(infos); n > 0 && (infos[n-1].last >= info.first || infos[n-1].state < info.state || infos[n-1].state == segmentOpen) {
				return fmt.Errorf("%w: segment %d does not follow segment %d", ErrCorrupt, info.first, infos[n-1].first)
			}
			if len(key) != 8 || binary.BigEndian.Uint64(key) != info.first {
				return fmt.Errorf("%w: record of segment %d has key % x", ErrCorrupt, info.first, key)
			}
			infos = append(infos, info)
			return nil
		})
	})
	return infos, err
}

// loadUnsealed reads the blocks of a segment in state.db and builds its index.
func (s *Store) loadUnsealed(info segmentInfo) (*unsealed, error) {
	u := &unsealed{segmentInfo: info}
	keys := make([]uint64, 0, info.count)
	seen := segmentInfo{state: info.state}
	err := s.db.View(func(tx *bbolt.Tx) error {
		bucket := blocksOf(tx, info.first)
		if bucket == nil {
			return fmt.Errorf("%w: it has no blocks", ErrCorrupt)
		}
		return bucket.ForEach(func(key, block []byte) error {
			r, err := openBlock(block)
			if err != nil {
				return err
			}
			if len(key) != 8 || binary.BigEndian.Uint64(key) != r.m.seq || (seen.count > 0 && r.m.seq <= seen.last) {
				return fmt.Errorf("%w: block at %d has key % x", ErrCorrupt, r.m.seq, key)
			}
			u.blocks = append(u.blocks, r.m.seq)
			for r.next() {
				seen.add(&r.m)
				keys = append(keys, placeKey(r.m.stream, seen.place(r.m.seq)))
			}
			return r.err
		})
	})
	if err != nil {
		return nil, err
	}
	if seen != info {
		return nil, fmt.Errorf("%w: its blocks make %+v, its record says %+v", ErrCorrupt, seen, info)
	}
	u.runs = addRun(nil, keys)
	return u, nil
}
