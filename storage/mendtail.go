package storage

// The mending of raft-wal's last segment, which a crash can leave so that nothing can be appended to it any more.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/segment"
)

const (
	walFrameHeaderBytes = 8 // type, three reserved bytes, length
	walFrameIndex       = 2 // type of the frame that seals a segment
)

// mendTail finishes what raft-wal begins with the append that fills a segment and goes on with after it has returned: that append
// writes the segment's index, and only then does another goroutine note in the metadata that the segment is sealed and that there is a
// next one. After a crash in between raft-wal v0.4.1 takes the segment for its tail and refuses every append ("segment is sealed");
// the same after a crash in the middle of that append, which leaves an index that no commit covers.
// It changes nothing in a log that was closed, or that a crash met elsewhere.
func mendTail(dir string) (err error) {
	if _, err := os.Stat(filepath.Join(dir, metadb.FileName)); errors.Is(err, os.ErrNotExist) {
		return nil // a new log
	}
	meta := &metadb.BoltMetaDB{}
	state, err := meta.Load(dir)
	if err != nil {
		return fmt.Errorf("read metadata: %w", err)
	}
	defer func() { err = errors.Join(err, meta.Close()) }()
	n := len(state.Segments)
	if n == 0 || !state.Segments[n-1].SealTime.IsZero() {
		return nil
	}
	tail := &state.Segments[n-1]
	writer, err := segment.NewFiler(dir, fs.New()).RecoverTail(*tail)
	if errors.Is(err, os.ErrNotExist) {
		return nil // raft-wal makes it
	}
	if err != nil {
		return fmt.Errorf("recover segment %d: %w", tail.BaseIndex, err)
	}
	last := writer.LastIndex()
	sealed, indexStart, err := writer.Sealed()
	if err = errors.Join(err, writer.Close()); err != nil || !sealed {
		return err
	}
	whole, err := mendSeal(filepath.Join(dir, segment.FileName(*tail)), indexStart, last+1-tail.BaseIndex)
	if err != nil || !whole {
		return err
	}
	next := *tail
	tail.SealTime, tail.MaxIndex, tail.IndexStart = time.Now(), last, indexStart
	next.ID, next.BaseIndex, next.MinIndex, next.CreateTime = state.NextSegmentID, last+1, last+1, time.Now()
	state.NextSegmentID++
	state.Segments = append(state.Segments, next)
	if err := meta.CommitState(state); err != nil {
		return fmt.Errorf("write metadata: %w", err)
	}
	return nil
}

// mendSeal says whether the index at start covers all entries that are committed. One that does not belongs to an append that was
// never acknowledged: its frame is blotted out, so that the segment ends with the last commit.
func mendSeal(path string, start, entries uint64) (whole bool, err error) {
	file, err := os.OpenFile(path, os.O_RDWR, fileMode)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	at := int64(start) - walFrameHeaderBytes
	var frame [walFrameHeaderBytes]byte
	if _, err := file.ReadAt(frame[:], at); err != nil {
		return false, fmt.Errorf("read index of %s: %w", path, err)
	}
	if frame[0] == walFrameIndex && uint64(binary.LittleEndian.Uint32(frame[4:])) == 4*entries {
		return true, nil
	}
	clear(frame[:])
	if _, err := file.WriteAt(frame[:], at); err != nil {
		return false, fmt.Errorf("blot out index of %s: %w", path, err)
	}
	if err := file.Sync(); err != nil {
		return false, fmt.Errorf("sync %s: %w", path, err)
	}
	return false, nil
}
