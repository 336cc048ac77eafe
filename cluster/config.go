package cluster

// This file holds the knobs of a node, their defaults and their checks.

import (
	"errors"
	"fmt"
	"time"

	"stampede/broker"
	"stampede/storage"
)

// Config says how a node runs. The zero value is not usable: start from DefaultConfig.
type Config struct {
	DataDir   string // identity, log and state; locked while the node is open
	Addr      string // where Raft and the streams between nodes listen; "" listens nowhere (a node that will stay alone)
	Advertise string // the address that other nodes dial; "" means Addr

	Seeds  []string // where the nodes of the cluster are to be found, this one among them; none means a cluster of one
	Expect int      // how many of them found a new cluster together; more than half of the seeds

	Network Network // how the other nodes are reached; nil is TCP
	Disk    Disk    // where identity, log and state are; nil is the directory DataDir. The Node closes it.

	RaftTimeout time.Duration // heart-beat and election timeout of Raft; the lease is two thirds of it

	BatchBytesMax      int           // facts gathered in one Raft entry; a submission that is larger alone travels in an entry of its own
	BatchDelayMax      time.Duration // how long facts are gathered while an earlier entry is on its way
	EntriesInFlightMax int           // Raft entries proposed and not yet committed; past it facts gather beyond BatchDelayMax
	PendingBytesMax    int64         // facts submitted and without outcome; past it Submit blocks

	RingBytesMax    int64 // recent messages kept in memory; past it the oldest are read from disk
	RingEventsMax   int   // Seqs that the ring spans; past it the oldest are read from disk
	StorePendingMax int64 // bytes handed to the state's store and not on disk; past it nothing is proposed until they are fewer

	FlushInterval time.Duration // how often the state's changes are handed to the store
	StallTimeout  time.Duration // an append to the log that takes longer ends the process

	Limits  broker.Limits
	Name    string // shown to operators; "" means the node's id
	Version string // of the program, shown to operators

	// Fatal is called once when the disk fails under the log or the state: nothing more may be acknowledged and the
	// process has to end. nil logs the error and calls os.Exit(1). If it returns, Run ends with the error.
	Fatal func(error)

	logKeep    uint64                                 // tests have the log cut down to about so many entries; 0 keeps it whole
	logSegment int                                    // and have small files of it, which is what goes when it is cut
	storeFault func(op storage.Op, name string) error // tests make the store fail with it
}

const (
	entryBytesMax = 32 << 20 // one submission; above the largest transaction (16 MiB) and below what the log takes (64 MiB)

	defaultBatchBytes   = 64 << 10
	defaultBatchDelay   = time.Millisecond
	defaultInFlight     = 16
	defaultPendingBytes = 16 << 20
	defaultRingBytes    = 64 << 20
	defaultRingEvents   = 1 << 18
	defaultStorePending = 64 << 20
	defaultFlush        = 30 * time.Millisecond
	defaultStall        = 5 * time.Second
	defaultRaftTimeout  = 750 * time.Millisecond
	raftTimeoutMin      = 50 * time.Millisecond
	entriesInFlightMax  = raftEntriesMax // more would block the proposer on Raft's own queue
)

// DefaultConfig returns the configuration of a node that is alone on loopback, with DataDir left to be set.
func DefaultConfig() Config {
	return Config{
		Addr:               "127.0.0.1:7400",
		RaftTimeout:        defaultRaftTimeout,
		BatchBytesMax:      defaultBatchBytes,
		BatchDelayMax:      defaultBatchDelay,
		EntriesInFlightMax: defaultInFlight,
		PendingBytesMax:    defaultPendingBytes,
		RingBytesMax:       defaultRingBytes,
		RingEventsMax:      defaultRingEvents,
		StorePendingMax:    defaultStorePending,
		FlushInterval:      defaultFlush,
		StallTimeout:       defaultStall,
		Limits:             broker.DefaultLimits(),
	}
}

// Validate says every fault of c at once.
func (c Config) Validate() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(c.DataDir != "" || c.Disk != nil, "data directory is not set")
	check(c.RaftTimeout >= raftTimeoutMin, "raft timeout %v is below %v", c.RaftTimeout, raftTimeoutMin)
	check(c.BatchBytesMax > 0 && c.BatchBytesMax <= entryBytesMax, "batch of %d bytes is not in 1..%d", c.BatchBytesMax, entryBytesMax)
	check(c.BatchDelayMax > 0, "batch delay %v is not positive", c.BatchDelayMax)
	check(c.EntriesInFlightMax > 0 && c.EntriesInFlightMax <= entriesInFlightMax, "%d entries in flight are not in 1..%d", c.EntriesInFlightMax, entriesInFlightMax)
	check(c.PendingBytesMax > 0, "%d pending bytes are not positive", c.PendingBytesMax)
	check(c.RingBytesMax > 0, "ring of %d bytes is not positive", c.RingBytesMax)
	check(c.RingEventsMax > 0, "ring of %d events is not positive", c.RingEventsMax)
	check(c.StorePendingMax > 0, "%d bytes pending in the store are not positive", c.StorePendingMax)
	check(c.FlushInterval > 0, "flush interval %v is not positive", c.FlushInterval)
	check(c.StallTimeout > 0, "stall timeout %v is not positive", c.StallTimeout)
	check(len(c.Seeds) == 0 || c.Addr != "", "seeds without an address to listen on")
	check(len(c.Seeds) == 0 || (c.Expect > len(c.Seeds)/2 && c.Expect <= len(c.Seeds)), "%d founders expected of %d seeds: want more than half of them, and no more than all", c.Expect, len(c.Seeds))
	check(c.Addr != "" || c.Advertise == "", "advertised address %q without an address to listen on", c.Advertise)
	if err := c.Limits.Validate(); err != nil {
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}
