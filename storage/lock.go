package storage

// The lock of a data directory: one process at a time.

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	lockName = "LOCK"
	dirMode  = 0o700
	fileMode = 0o600
	// lockBytesMax bounds what is read of a lock file to name its holder; the rest is ignored.
	lockBytesMax = 32
)

// LockedError says that another process (or another part of this one) uses the data directory.
type LockedError struct {
	Dir string
	PID int // 0 when the holder did not leave a readable number
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("data directory %s is in use by another process", e.Dir)
	}
	return fmt.Sprintf("data directory %s is in use by process %d", e.Dir, e.PID)
}

// DirLock is the hold on a data directory. It ends with Release, or with the process however that ends.
type DirLock struct{ file *os.File }

// LockDir creates dir when it is missing and locks it. The error is a *LockedError when somebody else holds it.
func LockDir(dir string) (*DirLock, error) {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, fmt.Errorf("create data directory: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, fmt.Errorf("open lock of data directory: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer func() { _ = file.Close() }() // nothing was written through it
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &LockedError{Dir: dir, PID: lockHolder(file)}
		}
		return nil, fmt.Errorf("lock data directory %s: %w", dir, err)
	}
	if err := writeHolder(file); err != nil {
		return nil, errors.Join(fmt.Errorf("write lock of data directory %s: %w", dir, err), file.Close())
	}
	return &DirLock{file: file}, nil
}

// Release gives the directory back. The file stays: removing it would let two processes lock two files of one name.
func (l *DirLock) Release() error {
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("release data directory: %w", err)
	}
	return nil
}

func writeHolder(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func lockHolder(file *os.File) int {
	var text [lockBytesMax]byte
	n, _ := file.ReadAt(text[:], 0) // a short read is the normal case, an unreadable holder is 0
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	if err != nil {
		return 0
	}
	return pid
}
