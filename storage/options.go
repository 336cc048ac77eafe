package storage

// What a store can be told, its defaults and its caps.

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

const (
	// messageBytesMax bounds one message. Append panics above it: the broker's own limit lies far below.
	messageBytesMax = 256 << 20
	// keyBytesMax bounds the key of a state record (bbolt's own bound). A longer one fails the flush, which ends the process.
	keyBytesMax = 32768
	// blockBytesMax is what a block of several messages may weigh. A message that does not fit starts a new block; one that is larger than a block has its own.
	blockBytesMax = 16 << 10
	// segmentBytesLimit bounds Options.SegmentBytes, so that places inside a segment fit 32 bits.
	segmentBytesLimit = 1 << 30
	// chunkBytes is how much memory is taken at once for encoding blocks.
	chunkBytes = 1 << 20
	// keepBytesMax is how much encoding memory the flusher keeps between two flushes; more is given back.
	keepBytesMax = 16 << 20
	// closedSegmentsMax bounds how many segments may wait in state.db for their own file. Above it the flusher waits
	// for the sealer, so that pending bytes grow and Full reports it.
	closedSegmentsMax = 4
	// segmentFilesMax bounds how many sealed segments are kept open for reading (two descriptors each). Above it the one used longest ago is closed.
	segmentFilesMax = 128
	// stateStallTimeout is how long a transaction of state.db may take, by a clock that stands still with the process. It writes up to PendingBytesMax,
	// where an append to the log writes little.
	stateStallTimeout = 30 * time.Second
)

// Options are the knobs of a Store. A zero field takes its default.
type Options struct {
	FlushInterval   time.Duration // least time between two flushes that nobody asked for; 30 ms
	FlushBytes      int           // pending bytes that start a flush at once; 4 MiB
	SegmentBytes    int64         // a message that would lift its segment above this starts the next one; 64 MiB; equal on all nodes
	SegmentMillis   int64         // a message this much later than the first of its segment starts the next one; 10 minutes; equal on all nodes
	PendingBytesMax int64         // Full reports it; nothing blocks; 64 MiB
	StallTimeout    time.Duration // a transaction of state.db that takes longer is a failed write; 30 s

	Fatal  func(error)  // called once when a write failed, after which nothing more is written; default: log and exit with 1
	Logger *slog.Logger // default: slog.Default()

	// Fault, for tests, is asked before each operation that can fail; an error of it makes that operation fail (a write after half of its bytes).
	Fault func(op Op, name string) error
}

// Op names an operation that Options.Fault may fail.
type Op string

// The operations, in the order in which a flush and the sealing of a segment meet them.
const (
	OpBegin         Op = "begin"          // begin of a transaction of state.db
	OpPutBlock      Op = "put-block"      // one block into state.db
	OpPutRecord     Op = "put-record"     // one state record into state.db, or its removal
	OpPutPosition   Op = "put-position"   // the position
	OpCommit        Op = "commit"         // commit of the transaction
	OpCommitted     Op = "committed"      // the moment after it: an error is a crash there
	OpCreateSegment Op = "create-segment" // the temporary file of messages or of its index
	OpWriteSegment  Op = "write-segment"
	OpSyncSegment   Op = "sync-segment"
	OpRenameSegment Op = "rename-segment"
	OpSyncDir       Op = "sync-dir"
	OpRemoveSegment Op = "remove-segment" // a left-over that open clears away
	OpPutAside      Op = "put-aside"      // rename of a store that is replaced
	OpTakeOver      Op = "take-over"      // rename of the one that takes its place
	OpSettle        Op = "settle"         // one step of open that ends a takeover which a crash cut short
)

// DefaultOptions returns what zero fields stand for.
func DefaultOptions() Options {
	return Options{
		FlushInterval:   30 * time.Millisecond,
		FlushBytes:      4 << 20,
		SegmentBytes:    64 << 20,
		SegmentMillis:   10 * 60 * 1000,
		PendingBytesMax: 64 << 20,
		StallTimeout:    stateStallTimeout,
	}
}

// Validate reports all faults of the options at once. Zero fields are no faults.
func (o Options) Validate() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(o.FlushInterval < 0, "flush interval %v is negative", o.FlushInterval)
	fault(o.FlushBytes < 0, "flush bytes %d are negative", o.FlushBytes)
	fault(o.SegmentBytes < 0 || o.SegmentBytes > segmentBytesLimit, "segment bytes %d are not in 0..%d", o.SegmentBytes, segmentBytesLimit)
	fault(o.SegmentMillis < 0, "segment milliseconds %d are negative", o.SegmentMillis)
	fault(o.PendingBytesMax < 0, "pending bytes %d are negative", o.PendingBytesMax)
	fault(o.StallTimeout < 0, "stall timeout %v is negative", o.StallTimeout)
	return errors.Join(faults...)
}

func (o Options) withDefaults() Options {
	d := DefaultOptions()
	if o.FlushInterval == 0 {
		o.FlushInterval = d.FlushInterval
	}
	if o.FlushBytes == 0 {
		o.FlushBytes = d.FlushBytes
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = d.SegmentBytes
	}
	if o.SegmentMillis == 0 {
		o.SegmentMillis = d.SegmentMillis
	}
	if o.PendingBytesMax == 0 {
		o.PendingBytesMax = d.PendingBytesMax
	}
	if o.StallTimeout == 0 {
		o.StallTimeout = d.StallTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Fatal == nil {
		o.Fatal = exitOn(o.Logger)
	}
	return o
}

// exitOn is the default answer to a failed write: a node whose disk does not keep its word must not go on.
func exitOn(logger *slog.Logger) func(error) {
	return func(err error) {
		logger.Error("storage failed, the process ends", "error", err)
		os.Exit(1)
	}
}
