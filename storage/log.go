package storage

// Raft's log and stable store: raft-wal behind a watchdog.

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

const (
	// logSegmentBytes keeps what one truncation has to unlink small: raft-wal deletes segments under its write lock.
	logSegmentBytes = 32 << 20
	// stallTimeout is how long one write may take before the process ends, by a clock that stands still with the process.
	stallTimeout = 5 * time.Second
	// slowAppend is when an append is worth a warning.
	slowAppend = 500 * time.Millisecond
)

// ErrLogBehind says that raft's log lacks entries that state.db has folded: the log was damaged or taken from elsewhere.
var ErrLogBehind = errors.New("raft log is behind state.db")

// LogOptions are the knobs of a Log. A zero field takes its default.
type LogOptions struct {
	SegmentBytes int           // size of one file of the log; 32 MiB
	StallTimeout time.Duration // a write that takes longer ends the process; 5 s
	Fatal        func(error)   // called once when a write failed or stalled; default: log and exit with 1
	Logger       *slog.Logger  // default: slog.Default()
}

// wholeLog is what raft-wal gives, and what the watchdog is tested with.
type wholeLog interface {
	raft.LogStore
	raft.StableStore
	raft.MonotonicLogStore
	Close() error
}

// Log keeps raft's entries and its small stable values. Each write is fsynced before it returns.
//
// A write that fails or stalls calls Fatal: raft would otherwise keep a leader whose disk is dead, or elect it again
// and again. After that every write fails with the same error.
//
// Goroutines: one of raft-wal's for the next segment file; a timer's while a write is on its way.
type Log struct {
	inner  wholeLog
	dog    *watchdog
	logger *slog.Logger
	now    func() time.Time

	appends        durations
	entries, bytes counter
}

var (
	_ raft.LogStore          = (*Log)(nil)
	_ raft.StableStore       = (*Log)(nil)
	_ raft.MonotonicLogStore = (*Log)(nil)
)

// OpenLog opens the log in dir, which is created when it is missing. A torn tail (a crash during an append that was never acknowledged) is cut.
func OpenLog(dir string, o LogOptions) (*Log, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = logSegmentBytes
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, fmt.Errorf("create log directory: %w", err)
	}
	if err := mendTail(dir); err != nil {
		return nil, fmt.Errorf("mend raft log in %s: %w", dir, err)
	}
	inner, err := wal.Open(dir, wal.WithSegmentSize(o.SegmentBytes), wal.WithLogger(walLogger(o.Logger)))
	if err != nil {
		return nil, fmt.Errorf("open raft log in %s: %w", dir, err)
	}
	return newLog(inner, o), nil
}

func newLog(inner wholeLog, o LogOptions) *Log {
	if o.StallTimeout == 0 {
		o.StallTimeout = stallTimeout
	}
	if o.Fatal == nil {
		o.Fatal = exitOn(o.Logger)
	}
	return &Log{inner: inner, dog: newWatchdog(o.StallTimeout, o.Fatal), logger: o.Logger, now: wallClock}
}

// Close ends the log. Writes must have returned.
func (l *Log) Close() error { return l.inner.Close() }

// Stats returns the figures since OpenLog.
func (l *Log) Stats() LogStats {
	return LogStats{Entries: l.entries.Load(), Bytes: l.bytes.Load(), AppendSeconds: l.appends.snapshot()}
}

// IsMonotonic tells raft that the log takes no gaps.
func (l *Log) IsMonotonic() bool { return l.inner.IsMonotonic() }

// FirstIndex returns the index of the first entry, 0 when there is none.
func (l *Log) FirstIndex() (uint64, error) { return l.inner.FirstIndex() }

// LastIndex returns the index of the last entry, 0 when there is none.
func (l *Log) LastIndex() (uint64, error) { return l.inner.LastIndex() }

// GetLog reads one entry; raft.ErrLogNotFound when there is none of that index.
func (l *Log) GetLog(index uint64, entry *raft.Log) error { return l.inner.GetLog(index, entry) }

// StoreLog appends one entry.
func (l *Log) StoreLog(entry *raft.Log) error { return l.StoreLogs([]*raft.Log{entry}) }

// StoreLogs appends entries with one fsync.
func (l *Log) StoreLogs(entries []*raft.Log) error {
	if len(entries) == 0 {
		return nil
	}
	start := l.now()
	err := l.dog.watch("append", func() error { return l.inner.StoreLogs(entries) })
	if err != nil {
		return fmt.Errorf("append %d entries at %d: %w", len(entries), entries[0].Index, err)
	}
	took := l.now().Sub(start)
	l.appends.observe(took)
	if took > slowAppend {
		l.logger.Warn("raft log append was slow", "took", took, "entries", len(entries))
	}
	var size int
	for _, e := range entries {
		size += len(e.Data)
	}
	l.entries.Add(uint64(len(entries)))
	l.bytes.Add(uint64(size))
	return nil
}

// DeleteRange removes entries from the head or from the tail, both ends included.
func (l *Log) DeleteRange(first, last uint64) error {
	if err := l.dog.watch("truncate", func() error { return l.inner.DeleteRange(first, last) }); err != nil {
		return fmt.Errorf("delete entries %d to %d: %w", first, last, err)
	}
	return nil
}

// Set keeps a stable value.
func (l *Log) Set(key, value []byte) error {
	if err := l.dog.watch("set", func() error { return l.inner.Set(key, value) }); err != nil {
		return fmt.Errorf("set stable value: %w", err)
	}
	return nil
}

// Get returns a stable value, empty when there is none.
func (l *Log) Get(key []byte) ([]byte, error) { return l.inner.Get(key) }

// SetUint64 keeps a stable number.
func (l *Log) SetUint64(key []byte, value uint64) error {
	if err := l.dog.watch("set", func() error { return l.inner.SetUint64(key, value) }); err != nil {
		return fmt.Errorf("set stable number: %w", err)
	}
	return nil
}

// GetUint64 returns a stable number, 0 when there is none.
func (l *Log) GetUint64(key []byte) (uint64, error) { return l.inner.GetUint64(key) }

// Covers checks at start that the log has what state.db has folded: ErrLogBehind when it ends before p, has an entry of another term there, or
// begins so late that entries after p are missing.
func (l *Log) Covers(p Position) error {
	first, err := l.FirstIndex()
	if err != nil {
		return fmt.Errorf("read first index: %w", err)
	}
	last, err := l.LastIndex()
	if err != nil {
		return fmt.Errorf("read last index: %w", err)
	}
	switch {
	case last < p.Index:
		return fmt.Errorf("%w: it ends at %d, state.db is at %d", ErrLogBehind, last, p.Index)
	case first > p.Index+1:
		return fmt.Errorf("%w: it begins at %d, state.db is at %d", ErrLogBehind, first, p.Index)
	case p.Index < first || p.Index == 0:
		return nil // cut up to there, or empty as the state is
	}
	var entry raft.Log
	if err := l.GetLog(p.Index, &entry); err != nil {
		return fmt.Errorf("read entry %d: %w", p.Index, err)
	}
	if entry.Term != p.Term {
		return fmt.Errorf("%w: entry %d has term %d, state.db folded term %d", ErrLogBehind, p.Index, entry.Term, p.Term)
	}
	return nil
}

// walLogger hands raft-wal's few lines (a rotation that failed, a file that could not be unlinked) to slog.
func walLogger(logger *slog.Logger) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{
		Name: "wal", Level: hclog.Warn, DisableTime: true, Output: lineWriter{logger},
	})
}

type lineWriter struct{ logger *slog.Logger }

func (w lineWriter) Write(line []byte) (int, error) {
	w.logger.Warn("raft log reports", "line", strings.TrimSpace(string(line)))
	return len(line), nil
}
