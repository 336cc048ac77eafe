package storage

// Store: what the fold writes to and readers read from.

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
)

// What a Store answers when it does not serve any more.
var (
	ErrClosed  = errors.New("store is closed")
	ErrStopped = errors.New("store has stopped flushing")
	ErrFailed  = errors.New("store has failed")
)

// recordChunkBytes is how much Records copies in one allocation.
const recordChunkBytes = 64 << 10

// Store keeps state records and messages: state.db and the files of sealed segments.
//
// Append, Commit and Full belong to one goroutine, the fold's. Everything else may be called by any.
//
// Goroutines: Run is the flusher, the only writer of state.db; runSealer, which Run starts and waits for, writes the
// files of closed segments.
type Store struct {
	options  Options
	dir      string
	segments string
	logger   *slog.Logger
	faults   faults
	now      func() time.Time

	db        *bbolt.DB
	dog       *watchdog
	files     *fileCache
	scratches sync.Pool // of *scratch
	view      atomic.Pointer[view]
	position  atomic.Pointer[Position]
	origin    Position

	appender      appender // of the fold's goroutine
	uncommitted   int64    // of the fold's goroutine: bytes appended since the last Commit
	pendingBytes  atomic.Int64
	handover      handover
	started       atomic.Bool
	stopped, dead chan struct{}
	failOnce      sync.Once
	closeOnce     sync.Once
	figures       figures
}

// figures are the live form of StoreStats.
type figures struct {
	flush, seal                    durations
	messages, messageBytes         counter
	records, recordsGiven, flushes counter
}

// Position returns how far state.db has come, durably.
func (s *Store) Position() Position { return *s.position.Load() }

// Append takes a message of a stream. seq must be above all before; at is kept for SeqAt and for the rule of the roll.
// data is kept as it is until it is durable: nobody may change it. Readers see the message at once; it becomes durable
// with the next Commit. A wrong seq and a message above 256 MiB are programmer's faults and panic.
func (s *Store) Append(stream uint32, seq uint64, at int64, data []byte) {
	if seq <= s.appender.last || seq == math.MaxUint64 || len(data) > messageBytesMax {
		panic(fmt.Sprintf("storage: append of seq %d with %d bytes after seq %d", seq, len(data), s.appender.last))
	}
	s.appender.append(stream, seq, at, data)
	weight := int64(len(data)) + pendingOverhead
	s.uncommitted += weight
	s.pendingBytes.Add(weight)
}

// Commit hands over all messages appended until now and the changes of state records that belong to the same place of
// the log: repeated [uvarint len(key)][key][uvarint len(value)+1, 0 = removed][value], the last change of a key wins.
// They become durable together, in one transaction, with pos. Neither changes nor pos.Config may be changed afterwards.
func (s *Store) Commit(pos Position, changes []byte) {
	bytes := s.uncommitted + int64(len(changes))
	s.uncommitted = 0
	s.pendingBytes.Add(int64(len(changes)))
	s.handover.put(pos, changes, s.appender.last, bytes)
}

// PendingBytes returns what was appended and committed and is not yet durable, with some overhead a message.
func (s *Store) PendingBytes() int64 { return s.pendingBytes.Load() }

// Full says that pending bytes have reached their bound. Nothing is refused: who feeds the store must slow down, or
// Commit and Sync before it goes on.
func (s *Store) Full() bool { return s.pendingBytes.Load() >= s.options.PendingBytesMax }

// Sync asks for a flush and waits until everything committed is durable. Run must be running.
func (s *Store) Sync(ctx context.Context) error {
	if err := s.handover.await(ctx, s.stopped, s.dead); err != nil {
		return fmt.Errorf("sync store: %w", err)
	}
	return nil
}

// Records yields all state records in the order of their keys. Key and value are the caller's to keep and not to change.
// It is meant for the time before Run: a read transaction is held for as long as it takes.
func (s *Store) Records() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		tx, err := s.db.Begin(false)
		if err != nil {
			s.logger.Error("records of a closed store were asked for", "error", err)
			return
		}
		defer func() { _ = tx.Rollback() }() // of a read transaction: it cannot fail but for being closed already
		var chunk []byte
		keep := func(b []byte) []byte {
			if len(b) > cap(chunk)-len(chunk) {
				chunk = make([]byte, 0, max(len(b), recordChunkBytes))
			}
			start := len(chunk)
			chunk = append(chunk, b...)
			return chunk[start:len(chunk):len(chunk)]
		}
		c := tx.Bucket([]byte(bucketRecords)).Cursor()
		var k, v []byte
		step := c.First
		next := func() error { k, v = step(); return nil }
		for {
			if err := guarded(next); err != nil {
				s.logger.Error("records cannot be read", "error", err)
				return // what is missing makes another digest than the position has
			}
			if step = c.Next; k == nil || !yield(keep(k), keep(v)) {
				return
			}
		}
	}
}

// Run flushes until ctx ends, then once more. It returns the first error of a write, which Fatal was called with.
func (s *Store) Run(ctx context.Context) error {
	if !s.started.CompareAndSwap(false, true) {
		return errors.New("store runs already, or has run")
	}
	defer close(s.stopped)
	return newFlusher(s).run(ctx)
}

// Close releases the files. Run must have returned. What was not flushed is lost, as after a crash.
func (s *Store) Close() error {
	var err error
	s.closeOnce.Do(func() { err = errors.Join(s.files.close(), s.db.Close()) })
	if err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// fail keeps the store from promising anything more, and tells Fatal once.
func (s *Store) fail(err error) error {
	s.failOnce.Do(func() {
		close(s.dead)
		s.options.Fatal(err)
	})
	return err
}

// Stats returns figures.
func (s *Store) Stats() StoreStats {
	v := s.view.Load()
	stats := StoreStats{
		PendingBytes:     s.PendingBytes(),
		Flushes:          s.figures.flushes.Load(),
		FlushSeconds:     s.figures.flush.snapshot(),
		SealSeconds:      s.figures.seal.snapshot(),
		Messages:         s.figures.messages.Load(),
		MessageBytes:     s.figures.messageBytes.Load(),
		Records:          s.figures.records.Load(),
		RecordsGiven:     s.figures.recordsGiven.Load(),
		SegmentsSealed:   len(v.sealed),
		SegmentsUnsealed: len(v.unsealed),
		LastSeq:          v.last,
	}
	for _, info := range v.sealed {
		stats.SealedBytes += info.fileBytes + info.indexBytes
	}
	switch {
	case len(v.sealed) > 0:
		stats.FirstSeq = v.sealed[0].first
	case len(v.unsealed) > 0:
		stats.FirstSeq = v.unsealed[0].first
	}
	stats.StateBytes = s.stateBytes()
	return stats
}
