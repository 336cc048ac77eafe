package storage

// Files of segments: names, writing with faults, and the order temp, sync, rename, sync folder.

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	segmentsDir   = "segments"
	messageSuffix = ".msg"
	indexSuffix   = ".idx"
	tempSuffix    = ".tmp"
	orphanSuffix  = ".orphan"
	// syncEveryBytes spreads the writing of a segment's file, so that raft's log does not wait behind 64 MiB of it.
	syncEveryBytes = 8 << 20
	// writeBytes is how much is gathered for one write.
	writeBytes = 256 << 10
)

func segmentName(first uint64, suffix string) string {
	return fmt.Sprintf("seg-%020d%s", first, suffix)
}

// parseSegmentName takes a final name apart; ok is false for any other.
func parseSegmentName(name string) (first uint64, suffix string, ok bool) {
	rest, found := strings.CutPrefix(name, "seg-")
	if !found || len(rest) != 24 {
		return 0, "", false
	}
	suffix = rest[20:]
	first, err := strconv.ParseUint(rest[:20], 10, 64)
	return first, suffix, err == nil && (suffix == messageSuffix || suffix == indexSuffix)
}

// faults is the hook of tests, nil otherwise.
type faults func(op Op, name string) error

func (f faults) at(op Op, name string) error {
	if f == nil {
		return nil
	}
	return f(op, name)
}

// fileWriter writes a file under a temporary name until publish gives it its own.
type fileWriter struct {
	dir, name string
	file      *os.File
	faults    faults
	size      int64
	unsynced  int64
}

func createFile(dir, name string, f faults) (*fileWriter, error) {
	if err := f.at(OpCreateSegment, name); err != nil {
		return nil, fmt.Errorf("create %s: %w", name, err)
	}
	file, err := os.OpenFile(filepath.Join(dir, name+tempSuffix), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return nil, fmt.Errorf("create segment file: %w", err)
	}
	return &fileWriter{dir: dir, name: name, file: file, faults: f}, nil
}

func (w *fileWriter) write(b []byte) error {
	fault := w.faults.at(OpWriteSegment, w.name)
	if fault != nil {
		b = b[:len(b)/2]
	}
	n, err := w.file.Write(b)
	w.size += int64(n)
	w.unsynced += int64(n)
	if err = errors.Join(err, fault); err != nil {
		return fmt.Errorf("write %s: %w", w.name, err)
	}
	if w.unsynced >= syncEveryBytes {
		return w.sync()
	}
	return nil
}

func (w *fileWriter) sync() error {
	w.unsynced = 0
	if err := errors.Join(w.faults.at(OpSyncSegment, w.name), w.file.Sync()); err != nil {
		return fmt.Errorf("sync %s: %w", w.name, err)
	}
	return nil
}

// publish syncs, closes and renames. The folder is for the caller to sync.
func (w *fileWriter) publish() error {
	if err := w.sync(); err != nil {
		return err
	}
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("close %s: %w", w.name, err)
	}
	if err := w.faults.at(OpRenameSegment, w.name); err != nil {
		return fmt.Errorf("rename %s: %w", w.name, err)
	}
	path := filepath.Join(w.dir, w.name)
	if err := os.Rename(path+tempSuffix, path); err != nil {
		return fmt.Errorf("publish segment file: %w", err)
	}
	return nil
}

// abandon closes a file that will not be published; open clears its temporary name away.
func (w *fileWriter) abandon() {
	_ = w.file.Close() // its bytes are of no use any more; it may be closed already
}

func syncDir(dir string, f faults) error {
	if err := f.at(OpSyncDir, dir); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}
