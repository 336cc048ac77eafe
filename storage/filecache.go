package storage

// The cache of open sealed segments: a bounded number of descriptors however much is stored.

import (
	"errors"
	"sync"
)

type fileCache struct {
	dir string
	max int

	mu     sync.Mutex
	files  map[uint64]*segmentFile // guarded by mu
	clock  uint64                  // guarded by mu: counts uses
	closed bool                    // guarded by mu
}

func newFileCache(dir string) *fileCache {
	return &fileCache{dir: dir, max: segmentFilesMax, files: make(map[uint64]*segmentFile)}
}

// acquire returns a segment open for reading; release gives it back.
func (c *fileCache) acquire(s segmentInfo) (*segmentFile, error) {
	if f, err := c.held(s.first); f != nil || err != nil {
		return f, err
	}
	f, err := openSegment(c.dir, s) // without the lock: a cold disk delays nobody else
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errors.Join(ErrClosed, f.close())
	}
	if other := c.files[s.first]; other != nil { // two opened it at once
		err := f.close()
		if err == nil {
			c.useLocked(other)
		}
		return other, err
	}
	c.files[s.first] = f
	c.useLocked(f)
	return f, c.evictLocked()
}

func (c *fileCache) held(first uint64) (*segmentFile, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	f := c.files[first]
	if f != nil {
		c.useLocked(f)
	}
	return f, nil
}

func (c *fileCache) useLocked(f *segmentFile) {
	c.clock++
	f.used = c.clock
	f.refs++
}

// evictLocked closes the file used longest ago while there are too many. Those in use stay.
func (c *fileCache) evictLocked() error {
	for len(c.files) > c.max {
		var oldest *segmentFile
		for _, f := range c.files {
			if f.refs == 0 && (oldest == nil || f.used < oldest.used) {
				oldest = f
			}
		}
		if oldest == nil {
			return nil
		}
		delete(c.files, oldest.first)
		if err := oldest.close(); err != nil {
			return err
		}
	}
	return nil
}

func (c *fileCache) release(f *segmentFile) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.refs--
	if c.closed && f.refs == 0 {
		_ = f.close() // opened for reading only
	}
}

// close closes all that nobody uses; the rest is closed as it is released.
func (c *fileCache) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	var errs []error
	for _, f := range c.files {
		if f.refs == 0 {
			errs = append(errs, f.close())
		}
	}
	return errors.Join(errs...)
}
