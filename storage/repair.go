package storage

// Repair at open: the folder of segments is brought to what state.db says of it.

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// repair clears away what a crash left behind and makes a missing index anew.
//
//   - A temporary name was never published: removed.
//   - Files of a segment that is closed but not sealed: removed, its blocks are in state.db and it will be sealed again.
//   - Files of a segment that state.db does not know (it was replaced by an older copy): renamed to .orphan, never read.
//   - A sealed segment without its index, or with one of the wrong size: made anew from its messages.
//   - A sealed segment without its messages: an error. They are in the log, or on the other nodes.
func (s *Store) repair(infos []segmentInfo) error {
	present, err := s.clearLeftOvers(infos)
	if err != nil {
		return err
	}
	for _, info := range infos {
		if info.state != segmentSealed {
			continue
		}
		if size, ok := present[segmentName(info.first, messageSuffix)]; !ok || size != info.fileBytes {
			return fmt.Errorf("%w: segment %d has %d bytes of messages on disk, want %d", ErrCorrupt, info.first, size, info.fileBytes)
		}
		if size := present[segmentName(info.first, indexSuffix)]; size != info.indexBytes {
			if err := s.rebuildIndex(info); err != nil {
				return fmt.Errorf("make index of segment %d anew: %w", info.first, err)
			}
			s.logger.Warn("index of a segment was made anew", "segment", info.first, "bytes", info.indexBytes, "found", size)
		}
	}
	return nil
}

// clearLeftOvers returns the sizes of the files that stay.
func (s *Store) clearLeftOvers(infos []segmentInfo) (present map[string]int64, err error) {
	entries, err := os.ReadDir(s.segments)
	if err != nil {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	present = make(map[string]int64, len(entries))
	changed := false
	for _, e := range entries {
		name := e.Name()
		first, _, ok := parseSegmentName(name)
		at, known := slices.BinarySearchFunc(infos, first, func(s segmentInfo, first uint64) int { return cmp.Compare(s.first, first) })
		switch {
		case filepath.Ext(name) == tempSuffix, ok && known && infos[at].state == segmentClosed:
			err = s.remove(name)
			changed = true
		case ok && (!known || infos[at].state == segmentOpen):
			err = os.Rename(filepath.Join(s.segments, name), filepath.Join(s.segments, name+orphanSuffix))
			s.logger.Warn("segment file that state.db does not know was put aside", "name", name)
			changed = true
		case ok:
			var stat fs.FileInfo
			if stat, err = e.Info(); err == nil {
				present[name] = stat.Size()
			}
		}
		if err != nil {
			return nil, fmt.Errorf("clear %s: %w", name, err)
		}
	}
	if changed {
		err = syncDir(s.segments, s.faults)
	}
	return present, err
}

func (s *Store) remove(name string) error {
	if err := s.faults.at(OpRemoveSegment, name); err != nil {
		return err
	}
	return os.Remove(filepath.Join(s.segments, name))
}

// rebuildIndex writes the index of a sealed segment from its messages.
func (s *Store) rebuildIndex(info segmentInfo) error {
	streams, places, err := s.readSegment(info, nil)
	if err != nil {
		return err
	}
	want := info.indexBytes
	if err := s.writeIndex(&info, streams, places); err != nil {
		return err
	}
	if info.indexBytes != want {
		return fmt.Errorf("%w: it has %d bytes, state.db says %d", ErrCorrupt, info.indexBytes, want)
	}
	return syncDir(s.segments, s.faults)
}

// readSegment reads all messages of a sealed segment, checks everything that its file says of itself, and returns the
// keys of its two tables. progress is told the bytes of each block.
func (s *Store) readSegment(info segmentInfo, progress func(bytes int) error) (streams, places []uint64, err error) {
	file, err := openSized(filepath.Join(s.segments, segmentName(info.first, messageSuffix)), info.fileBytes)
	if err != nil {
		return nil, nil, err
	}
	f := segmentFile{segmentInfo: info, messages: file}
	defer func() { err = errors.Join(err, f.close()) }()
	if err := f.checkMessages(); err != nil {
		return nil, nil, err
	}
	w := segmentWalk{source: fileSource{segmentFile: &f}, seen: segmentInfo{
		state: segmentSealed, fileBytes: info.fileBytes, indexBytes: info.indexBytes,
	}}
	if err := w.walk(fileHeaderBytes, progress); err != nil {
		return nil, nil, err
	}
	if w.seen != info {
		return nil, nil, fmt.Errorf("%w: messages make %+v, state.db says %+v", ErrCorrupt, w.seen, info)
	}
	slices.Sort(w.streams)
	return w.streams, w.places, nil
}

// segmentWalk reads a segment from end to end.
type segmentWalk struct {
	source  source
	seen    segmentInfo
	streams []uint64
	places  []uint64
}

func (w *segmentWalk) walk(at uint64, progress func(bytes int) error) error {
	sc := new(scratch)
	for {
		next, ok, err := w.source.load(at, sc)
		if err != nil || !ok {
			return err
		}
		r, err := openBlock(sc.block)
		if err != nil {
			return err
		}
		if w.seen.count > 0 && r.m.seq <= w.seen.last {
			return fmt.Errorf("%w: block at %d comes after message %d", ErrCorrupt, r.m.seq, w.seen.last)
		}
		first := r.m.seq
		for r.next() {
			w.seen.add(&r.m)
			w.streams = append(w.streams, placeKey(r.m.stream, w.seen.place(r.m.seq)))
		}
		if r.err != nil {
			return r.err
		}
		w.places = append(w.places, placeKey(w.seen.place(first), uint32(at)))
		if w.seen.state == segmentSealed {
			w.seen.sum = foldSum(w.seen.sum, sc.block)
		}
		if progress != nil {
			if err := progress(len(sc.block)); err != nil {
				return err
			}
		}
		at = next
	}
}
