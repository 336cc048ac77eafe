package storage

// Taking over a store that was received: two renames, which open finishes or undoes when a crash came between them.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	receivingSuffix = ".receiving" // beside the store's folder: one that is being received
	replacedSuffix  = ".replaced"  // likewise: what was there before
	originName      = "origin"     // in a store that was received: the position at which it begins
)

// TakeOver puts what was received in the place of the store in use, which must be closed; after that it is opened as ever. After a crash in
// the middle, and after an error, the next Open finds the old one or the new one, whole. After Close there is nothing to take over.
func (in *Incoming) TakeOver() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return fmt.Errorf("take snapshot over: %w", errBrokenOff)
	}
	f, parent := faults(in.options.Fault), filepath.Dir(in.dir)
	for _, step := range []func() error{
		func() error { return os.RemoveAll(in.dir + replacedSuffix) },
		func() error { return rename(f, OpPutAside, in.dir, in.dir+replacedSuffix) },
		func() error { return syncDir(parent, f) },
		func() error { return rename(f, OpTakeOver, in.into, in.dir) },
		func() error { return syncDir(parent, f) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("take snapshot over: %w", err)
		}
	}
	return nil
}

func rename(f faults, op Op, from, to string) error {
	if err := f.at(op, filepath.Base(from)); err != nil {
		return fmt.Errorf("rename %s: %w", filepath.Base(from), err)
	}
	return os.Rename(from, to)
}

// settle ends what a crash cut short: until the new store has its name the old one counts, and then only the new one.
func settle(dir string, f faults) error {
	_, missing := os.Stat(dir)
	_, replaced := os.Stat(dir + replacedSuffix)
	if errors.Is(missing, fs.ErrNotExist) && replaced == nil {
		if err := rename(f, OpSettle, dir+replacedSuffix, dir); err != nil {
			return err
		}
		if err := syncDir(filepath.Dir(dir), f); err != nil {
			return err
		}
	}
	for _, left := range []string{dir + receivingSuffix, dir + replacedSuffix} {
		if _, err := os.Stat(left); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := f.at(OpSettle, filepath.Base(left)); err != nil {
			return fmt.Errorf("remove %s: %w", filepath.Base(left), err)
		}
		if err := os.RemoveAll(left); err != nil {
			return err
		}
	}
	return nil
}

// readOrigin reads where the store in dir begins; the zero Position for one that grew there.
func readOrigin(dir string) (Position, error) {
	b, err := os.ReadFile(filepath.Join(dir, originName))
	if errors.Is(err, fs.ErrNotExist) {
		return Position{}, nil
	}
	if err != nil {
		return Position{}, err
	}
	pos, err := decodePosition(b)
	if err != nil {
		return Position{}, fmt.Errorf("origin: %w", err)
	}
	return pos, nil
}

// Origin is the position at which a store began that was received: the log may begin behind it. It is zero for one that grew here.
func (s *Store) Origin() Position { return s.origin }
