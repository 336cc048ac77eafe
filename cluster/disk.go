package cluster

// This file says what a node keeps where it survives its process: identity, log, state; and how it does so in a directory.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"

	"stampede/storage"
)

const (
	logDir   = "log"   // Raft's log, below the data directory
	stateDir = "state" // state.db and the messages
)

// Disk is where a node keeps what must survive it. It belongs to one Node at a time; Close gives it back. A directory has the methods of
// DirDisk; a simulation brings a disk in memory that loses what a crash would take.
type Disk interface {
	// Identity reads what SaveIdentity wrote last; an error that is fs.ErrNotExist means that nothing was written yet.
	Identity() ([]byte, error)
	// SaveIdentity returns when the bytes survive a crash. After a crash in the middle the old ones are there, or the new ones, whole.
	SaveIdentity([]byte) error
	OpenLog(storage.LogOptions) (LogStore, error)
	OpenStore(storage.Options) (StateStore, error)
	// Receive begins to take a state that another node streams, beside the one in use. There is one at a time: the one before was closed.
	Receive(storage.Options) (Incoming, error)
	Close() error
}

// Incoming is a state on its way here. It is written to until the stream has ended. Finish checks all of it, and opens it for reading where it is.
// TakeOver, once that and the store in use are closed, puts it in the place of that one, which OpenStore finds from then on; after a crash in
// the middle OpenStore finds the old one or the new one, whole. Close comes last, from the same goroutine, or breaks off what is being written, from
// any; it clears away what nobody needs. Closing again does nothing. storage.Incoming is one.
type Incoming interface {
	io.WriteCloser
	Finish() (StateStore, error)
	TakeOver() error
}

// Outgoing is a state on its way to another node, to be read once and closed. Position and size belong to what is read.
type Outgoing struct {
	io.ReadCloser
	Position storage.Position
	Size     int64
}

// LogStore is Raft's log and its votes. What StoreLogs, Set and SetUint64 were given survives a crash once they have returned.
// storage.Log has the meaning of each method.
type LogStore interface {
	raft.LogStore
	raft.StableStore
	raft.MonotonicLogStore
	Covers(storage.Position) error
	Stats() storage.LogStats
	Close() error
}

// StateStore is the state and the messages, written behind the fold: after a crash it is as of one of the last positions that it was
// given. storage.Store has the meaning of each method.
type StateStore interface {
	Append(stream uint32, seq uint64, at int64, data []byte)
	Commit(pos storage.Position, changes []byte)
	Full() bool
	Position() storage.Position
	Records() iter.Seq2[[]byte, []byte]
	Get(seq uint64) ([]byte, bool, error)
	Scan(from uint64, fn func(stream uint32, seq uint64, data []byte) bool) error
	ScanStream(stream uint32, from uint64, fn func(seq uint64, data []byte) bool) error
	SeqAt(at int64) (seq uint64, ok bool, err error)
	Sync(ctx context.Context) error
	Verify(ctx context.Context, progress func(done, total uint64)) error
	Stats() storage.StoreStats
	// Snapshot begins to stream the durable state, at most bytesPerSecond of it, until ctx ends. Once it is being read it keeps nobody waiting,
	// not even Close; its Position and Size are of the moment of the call.
	Snapshot(ctx context.Context, bytesPerSecond int64) (Outgoing, error)
	// Origin is the position at which a state began that was received, zero for one that grew here: the log may begin behind it.
	Origin() storage.Position
	Run(ctx context.Context) error
	Close() error
}

var (
	_ LogStore   = (*storage.Log)(nil)
	_ StateStore = dirStore{}
)

// dirStore is a storage.Store whose snapshots are Outgoing.
type dirStore struct{ *storage.Store }

// Snapshot implements StateStore.
func (s dirStore) Snapshot(ctx context.Context, bytesPerSecond int64) (Outgoing, error) {
	snapshot, err := s.OpenSnapshot(ctx, bytesPerSecond)
	if err != nil {
		return Outgoing{}, err
	}
	return Outgoing{ReadCloser: snapshot, Position: snapshot.Position, Size: snapshot.Size}, nil
}

// DirDisk is a data directory, locked while it is open.
type DirDisk struct {
	dir  string
	lock *storage.DirLock
}

var _ Disk = (*DirDisk)(nil)

// OpenDir takes a data directory, which is made if it is missing.
func OpenDir(dir string) (*DirDisk, error) {
	lock, err := storage.LockDir(dir)
	if err != nil {
		return nil, err
	}
	return &DirDisk{dir: dir, lock: lock}, nil
}

// Identity implements Disk: node.json.
func (d *DirDisk) Identity() ([]byte, error) {
	path := filepath.Join(d.dir, identityName)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read node identity: %w", err)
	}
	if info.Size() > identityBytesMax {
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrIdentity, path, info.Size())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read node identity: %w", err)
	}
	return text, nil
}

// SaveIdentity implements Disk: temp, sync, rename, sync folder.
func (d *DirDisk) SaveIdentity(text []byte) error {
	path := filepath.Join(d.dir, identityName)
	if err := writeSynced(path+".tmp", text); err != nil {
		return fmt.Errorf("write node identity: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("write node identity: %w", err)
	}
	if err := syncDir(d.dir); err != nil {
		return fmt.Errorf("write node identity: %w", err)
	}
	return nil
}

// OpenLog implements Disk.
func (d *DirDisk) OpenLog(o storage.LogOptions) (LogStore, error) {
	log, err := storage.OpenLog(filepath.Join(d.dir, logDir), o)
	if err != nil {
		return nil, err // a nil *storage.Log must not become a LogStore that is not nil
	}
	return log, nil
}

// OpenStore implements Disk.
func (d *DirDisk) OpenStore(o storage.Options) (StateStore, error) {
	store, err := storage.Open(filepath.Join(d.dir, stateDir), o)
	if err != nil {
		return nil, err // as above
	}
	return dirStore{store}, nil
}

// Receive implements Disk.
func (d *DirDisk) Receive(o storage.Options) (Incoming, error) {
	in, err := storage.Receive(filepath.Join(d.dir, stateDir), o)
	if err != nil {
		return nil, err // as above
	}
	return dirIncoming{in}, nil
}

// dirIncoming is a storage.Incoming whose store is a StateStore.
type dirIncoming struct{ *storage.Incoming }

// Finish implements Incoming.
func (in dirIncoming) Finish() (StateStore, error) {
	store, err := in.Incoming.Finish()
	if err != nil {
		return nil, err // as above
	}
	return dirStore{store}, nil
}

// Close implements Disk.
func (d *DirDisk) Close() error { return d.lock.Release() }

func writeSynced(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, identityMode)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		return errors.Join(err, d.Close())
	}
	return d.Close()
}
