package storage

// state.db: its buckets and its transactions. Only the flusher writes, one transaction at a time.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

const (
	stateName   = "state.db"
	stateFormat = 1

	bucketMeta     = "meta"
	bucketRecords  = "records"
	bucketSegments = "segments"
	bucketBlocks   = "blocks"
	keyFormat      = "format"
	keyPosition    = "position"

	// stateLockTimeout is how long open waits for another process to let go of state.db; then it is an error.
	stateLockTimeout = time.Second
	// stateMapBytes is mapped from the start, so that growing the file up to it never waits for readers. It costs address space only.
	stateMapBytes = 1 << 30
	// blocksFill packs pages of blocks, whose keys only ever grow.
	blocksFill = 0.95
)

// openState opens state.db.
func openState(path string) (db *bbolt.DB, err error) {
	err = guarded(func() error {
		db, err = bbolt.Open(path, fileMode, &bbolt.Options{
			Timeout:         stateLockTimeout,
			FreelistType:    bbolt.FreelistMapType,
			NoFreelistSync:  false, // opening a large file would have to read all of it
			NoStatistics:    true,
			InitialMmapSize: stateMapBytes,
		})
		return err
	})
	return db, err
}

// guarded reads state.db for the first time. bbolt panics at some kinds of damage: those become errors here, where somebody can be told.
func guarded(read func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrCorrupt, p)
		}
	}()
	return read()
}

func (s *Store) stateBytes() int64 {
	stat, err := os.Stat(filepath.Join(s.dir, stateName))
	if err != nil {
		return 0 // a figure is not worth an error
	}
	return stat.Size()
}

// blocksOf returns the blocks of an unsealed segment, nil when it is sealed.
func blocksOf(tx *bbolt.Tx, first uint64) *bbolt.Bucket {
	var key [8]byte
	binary.BigEndian.PutUint64(key[:], first)
	return tx.Bucket([]byte(bucketBlocks)).Bucket(key[:])
}

// update runs one transaction of state.db, under the watchdog: a disk that hangs here while the log's does not would keep a leader from proposing
// anything for ever, with heartbeats that say it is well.
func (s *Store) update(fill func(tx *bbolt.Tx) error) error {
	return s.dog.watch("write state.db", func() error { return s.transact(fill) })
}

func (s *Store) transact(fill func(tx *bbolt.Tx) error) error {
	if err := s.faults.at(OpBegin, ""); err != nil {
		return err
	}
	tx, err := s.db.Begin(true)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := fill(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := s.faults.at(OpCommit, ""); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return s.faults.at(OpCommitted, "")
}

// write fills the transaction of a flush.
func (f *flusher) write(tx *bbolt.Tx, b *batch) error {
	for i := range f.parts {
		if err := f.writePart(tx, &f.parts[i]); err != nil {
			return err
		}
	}
	records := tx.Bucket([]byte(bucketRecords))
	for _, c := range f.changes {
		if err := f.s.faults.at(OpPutRecord, ""); err != nil {
			return err
		}
		if err := putChange(records, c); err != nil {
			return fmt.Errorf("put record %x: %w", c.key, err)
		}
	}
	if err := f.s.faults.at(OpPutPosition, ""); err != nil {
		return err
	}
	return tx.Bucket([]byte(bucketMeta)).Put([]byte(keyPosition), appendPosition(nil, b.pos))
}

func putChange(records *bbolt.Bucket, c change) error {
	if c.deleted {
		return records.Delete(c.key)
	}
	return records.Put(c.key, c.value)
}

func (f *flusher) writePart(tx *bbolt.Tx, p *part) error {
	key := segmentKey(p.info.first)
	blocks, err := tx.Bucket([]byte(bucketBlocks)).CreateBucketIfNotExists(key)
	if err != nil {
		return fmt.Errorf("begin segment %d: %w", p.info.first, err)
	}
	blocks.FillPercent = blocksFill
	for _, sp := range f.builder.spans[p.spansFrom:p.spansUntil] {
		if err := f.s.faults.at(OpPutBlock, ""); err != nil {
			return err
		}
		if err := blocks.Put(binary.BigEndian.AppendUint64(nil, sp.first), sp.bytes); err != nil {
			return fmt.Errorf("put block %d: %w", sp.first, err)
		}
	}
	return tx.Bucket([]byte(bucketSegments)).Put(key, appendSegmentInfo(nil, &p.info))
}
