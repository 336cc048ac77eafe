package storage

// Snapshots that travel: the whole store as one stream, as of one transaction of state.db. FORMAT.md has the bytes.

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"

	"go.etcd.io/bbolt"
)

const (
	snapshotMagic   = "STMPSNP\x01"
	snapshotEnd     = "STMPSNP\x02"
	snapshotVersion = 1
	// snapshotHeadFixed is the head without the position: magic, version, length of the position, size of state.db, number of segments, checksum.
	snapshotHeadFixed = 8 + 4 + 4 + 8 + 4 + crcBytes
	// snapshotSegmentHead precedes each file of messages: first seq, bytes, checksum of both.
	snapshotSegmentHead = 8 + 8 + crcBytes
	// snapshotReadBytes is how much one Read gives at most, so that the pace is even and an end is heard of soon.
	snapshotReadBytes = 256 << 10
	// spoolPace is how fast state.db is copied aside: quick, since its old pages are kept for as long, and no burst that raft's log waits behind.
	spoolPace = 256 << 20 // bytes a second
	spoolName = "snapshot-*" + tempSuffix
)

// errBrokenOff says that a snapshot was closed, or its context ended, before its end.
var errBrokenOff = errors.New("snapshot was broken off")

// Snapshot is the store as of one transaction, to be read once and closed, by one goroutine.
//
// With the first Read state.db, which stays below a gigabyte, is copied aside and the transaction let go; sealed files never change. So neither
// the flusher nor Close of the store waits for whoever reads the snapshot, however slowly. A snapshot that nobody begins to read costs
// no copy, but holds the transaction until it is closed or its context ends: it is opened when its reader is there, or about to be.
type Snapshot struct {
	Position Position
	Size     int64 // of the stream

	done     <-chan struct{}
	dir      string // of the store
	head     []byte
	bytes    int64 // of state.db
	segments []segmentInfo
	pace     pacer

	mu      sync.Mutex
	tx      *bbolt.Tx   // guarded by mu: until state.db is copied
	release func() bool // the context has nothing to let go any more
	state   *os.File    // the copy, nil before it

	next int       // the part that comes after the one being read: 0 state.db, 1 the first segment, and so on
	part io.Reader // nil between two parts
	file *os.File  // of the part, if it is a segment
}

// OpenSnapshot gives a stream of at most bytesPerSecond (0: as fast as it goes), which ends with an error when ctx ends. It needs as much disk
// as state.db has, until the snapshot is closed.
func (s *Store) OpenSnapshot(ctx context.Context, bytesPerSecond int64) (*Snapshot, error) {
	p := &Snapshot{done: ctx.Done(), dir: s.dir, pace: pacer{bytesPerSecond: bytesPerSecond}}
	var err error
	if p.tx, err = s.db.Begin(false); err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	if err := p.look(p.tx); err != nil {
		return nil, errors.Join(fmt.Errorf("open snapshot: %w", err), p.tx.Rollback())
	}
	p.release = context.AfterFunc(ctx, func() { _ = p.letGo() }) // of a read transaction: it cannot fail
	return p, nil
}

// letGo ends the transaction, if it is held still.
func (p *Snapshot) letGo() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	tx := p.tx
	if p.tx = nil; tx == nil {
		return nil
	}
	return tx.Rollback()
}

// nameless makes a file that is gone when it is closed, or when the process ends.
func nameless(dir string) (*os.File, error) {
	file, err := os.CreateTemp(dir, spoolName)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// spool copies state.db aside and lets the transaction go.
func (p *Snapshot) spool() (err error) {
	if p.state, err = nameless(p.dir); err != nil {
		return err
	}
	if err := p.copy(); err != nil {
		return fmt.Errorf("copy state.db: %w", err)
	}
	if err := p.letGo(); err != nil {
		return err
	}
	_, err = p.state.Seek(0, io.SeekStart)
	return err
}

func (p *Snapshot) copy() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tx == nil {
		return errBrokenOff
	}
	_, err := p.tx.WriteTo(&pacedWriter{to: p.state, pace: pacer{bytesPerSecond: spoolPace}, done: p.done})
	return err
}

// look reads position and segments in the transaction that is copied.
func (p *Snapshot) look(tx *bbolt.Tx) error {
	position := tx.Bucket([]byte(bucketMeta)).Get([]byte(keyPosition))
	if position == nil {
		return errors.New("store has no position yet")
	}
	var err error
	if p.Position, err = decodePosition(position); err != nil {
		return err
	}
	p.bytes = tx.Size()
	p.Size = snapshotHeadFixed + int64(len(position)) + p.bytes + crcBytes + int64(len(snapshotEnd))
	err = tx.Bucket([]byte(bucketSegments)).ForEach(func(_, value []byte) error {
		info, err := decodeSegmentInfo(value)
		if err == nil && info.state == segmentSealed {
			p.segments = append(p.segments, info)
			p.Size += snapshotSegmentHead + info.fileBytes + crcBytes
		}
		return err
	})
	p.head = appendSnapshotHead(nil, position, p.bytes, len(p.segments))
	return err
}

func appendSnapshotHead(dst, position []byte, stateBytes int64, segments int) []byte {
	start := len(dst)
	dst = append(dst, snapshotMagic...)
	dst = binary.BigEndian.AppendUint32(dst, snapshotVersion)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(position)))
	dst = append(dst, position...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(stateBytes))
	dst = binary.BigEndian.AppendUint32(dst, uint32(segments))
	return binary.BigEndian.AppendUint32(dst, checksum(dst[start:]))
}

func appendSnapshotSegmentHead(dst []byte, first uint64, size int64) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint64(dst, first)
	dst = binary.BigEndian.AppendUint64(dst, uint64(size))
	return binary.BigEndian.AppendUint32(dst, checksum(dst[start:]))
}

// Read implements io.Reader, at its pace.
func (p *Snapshot) Read(b []byte) (int, error) {
	b = b[:min(len(b), snapshotReadBytes)]
	for {
		if p.part == nil {
			if err := p.begin(); err != nil {
				return 0, err
			}
		}
		n, err := p.part.Read(b)
		if errors.Is(err, io.EOF) {
			err = p.end()
		}
		if err != nil {
			return n, fmt.Errorf("stream part %d of a snapshot: %w", p.next, err)
		}
		if n > 0 {
			return n, p.pace.take(n, p.done)
		}
	}
}

// begin opens the next part; io.EOF is the end of the stream.
func (p *Snapshot) begin() error {
	last := len(p.segments) + 1
	switch {
	case p.next == 0:
		if err := p.spool(); err != nil {
			return err
		}
		p.part = io.MultiReader(bytes.NewReader(p.head), &summedReader{from: p.state, left: p.bytes})
	case p.next < last:
		info := p.segments[p.next-1]
		file, err := openSized(filepath.Join(p.dir, segmentsDir, segmentName(info.first, messageSuffix)), info.fileBytes)
		if err != nil {
			return fmt.Errorf("stream segment %d: %w", info.first, err)
		}
		p.file = file
		head := appendSnapshotSegmentHead(nil, info.first, info.fileBytes)
		p.part = io.MultiReader(bytes.NewReader(head), &summedReader{from: file, left: info.fileBytes})
	case p.next == last:
		p.part = bytes.NewReader([]byte(snapshotEnd))
	default:
		return io.EOF
	}
	p.next++
	return nil
}

func (p *Snapshot) end() error {
	file := p.file
	p.part, p.file = nil, nil
	if file != nil {
		return file.Close()
	}
	return nil
}

// Close lets everything go, also in the middle of the stream.
func (p *Snapshot) Close() error {
	p.release()
	err := errors.Join(p.letGo(), p.end())
	if p.state != nil {
		err = errors.Join(err, p.state.Close())
	}
	return err
}

// summedReader gives bytes of a file, and their checksum behind them.
type summedReader struct {
	from io.Reader
	left int64
	sum  uint32
	tail []byte // of the checksum; nil until all bytes were given
}

func (r *summedReader) Read(b []byte) (int, error) {
	if r.left > 0 {
		n, err := r.from.Read(b[:min(int64(len(b)), r.left)])
		r.left -= int64(n)
		r.sum = crc32.Update(r.sum, crc32.MakeTable(crc32.Castagnoli), b[:n])
		if errors.Is(err, io.EOF) && r.left > 0 {
			return n, fmt.Errorf("%w: %d bytes are missing", ErrCorrupt, r.left)
		}
		return n, nil
	}
	if r.tail == nil {
		r.tail = binary.BigEndian.AppendUint32(make([]byte, 0, crcBytes), r.sum)
	}
	n := copy(b, r.tail)
	if r.tail = r.tail[n:]; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
