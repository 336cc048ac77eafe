// Package storage keeps what a node has on disk: raft's log, the state of the fold, and the messages.
//
// Log is raft's log and stable store (raft-wal) behind a watchdog, and so is state.db. Store is the materialised state: records and the
// newest messages in state.db (bbolt), older messages in sealed segment files. LockDir keeps a second process out.
//
// The Store is write-behind. The fold's goroutine calls Append for each message and Commit for each place of the log
// that may become the durable one; both only touch memory. The flusher writes everything up to the last Commit in one
// transaction, at most every FlushInterval unless FlushBytes are waiting or Sync asks. Durability of what clients were
// told is the log's business: what a crash takes from the Store, the log brings again.
//
// A Store can be streamed as of one transaction (Snapshot) and received beside the one in use (Incoming), which it then takes the place of.
//
// What it refuses: to know what a record, a stream or a message means; to block or to fail the fold's goroutine (Full
// tells it to slow down); to go on after a failed write (Fatal, then nothing is written or promised any more); to read
// bytes whose checksum is wrong; to open what a later version wrote; retention, which is not here yet.
//
// Goroutines: Store.Run is the flusher, the only writer of state.db, and starts the sealer, which writes the files of
// closed segments, and waits for it. Each Incoming has one that takes its stream apart. raft-wal has one for the next
// file of the log. The watchdog has a timer while a write is on its way. Readers run on their callers' goroutines and
// wait for nobody: they see an immutable view that the flusher replaces, and a list of pending messages that only
// grows.
//
// Invariants:
//
//	I1  state.db holds a prefix: all records and messages of the steps up to its Position, and nothing of any later one.
//	I2  Position never runs ahead of this node's log. It holds by construction: raft hands an entry to the fold only
//	    when it is committed and in the local log, where StoreLogs has fsynced it; Commit is called for folded entries
//	    only; and the flusher writes only what was committed to it. Log.Covers checks it at start all the same: where
//	    it fails, the log lost entries that this node had acknowledged, and the node must not vote with it.
//	I3  Seqs ascend over all streams. A segment's messages are those from its first seq to the first of the next one.
//	I4  Where a segment ends depends on the messages alone (their bytes, their instants, their seqs) and on
//	    SegmentBytes and SegmentMillis. Sealed files of equal messages are equal byte by byte, on all nodes.
//	I5  In state.db segments follow each other as sealed*, closed*, open?. Blocks of unsealed segments are in state.db,
//	    messages of sealed ones in their files: in every committed state each message is in exactly one of the two.
//	I6  A file has its final name only when all of it is synced; state.db speaks of it only when its name is synced.
//	I7  A reader sees an unbroken ascending row: sealed, then state.db, then pending. What it was shown once, later
//	    calls show again.
//	I8  Memory is bounded by PendingBytes (which Full reports), chunkDataMax and a message beside it, 24 bytes a message of the unsealed segments (of which
//	    there are at most closedSegmentsMax and those of one flush), the fences of segmentFilesMax open files and
//	    about 100 bytes a sealed segment.
//	I9  Nothing read from disk decides how much is allocated before it was held against the size of its file or record, and
//	    nothing that a stream says before it was held against a cap or against what really came.
//	I10 A store that is received is checked and synced whole before it takes the place of another; at any moment of that,
//	    Open finds the old one or the new one. A Snapshot that is being read holds no transaction.
package storage
