package storage

// Snapshots that travel: the whole store as one stream, as of one transaction of state.db. FORMAT.md has the bytes.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

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
	// snapshotPause is the longest rest of a paced stream at a time.
	snapshotPause = 100 * time.Millisecond
)

// Snapshot is the store as of one transaction, to be read once and closed. It holds that transaction meanwhile: state.db grows by what is
// written in the meantime, and nobody waits for it.
//
// Goroutines: write, from OpenSnapshot to Close.
type Snapshot struct {
	Position Position
	Size     int64 // of the stream

	store    *Store
	tx       *bbolt.Tx
	segments []segmentInfo // sealed ones
	pace     int64         // bytes a second
	pipe     *io.PipeReader
	written  chan struct{}
	once     sync.Once
}

// OpenSnapshot begins a stream of at most bytesPerSecond.
func (s *Store) OpenSnapshot(bytesPerSecond int64) (*Snapshot, error) {
	tx, err := s.db.Begin(false)
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	p := &Snapshot{store: s, tx: tx, pace: bytesPerSecond, written: make(chan struct{})}
	if err := p.look(); err != nil {
		return nil, errors.Join(fmt.Errorf("open snapshot: %w", err), tx.Rollback())
	}
	reader, writer := io.Pipe()
	p.pipe = reader
	go p.write(writer)
	return p, nil
}

// look reads position and segments in the transaction that is streamed.
func (p *Snapshot) look() error {
	b := p.tx.Bucket([]byte(bucketMeta)).Get([]byte(keyPosition))
	if b == nil {
		return errors.New("store has no position yet")
	}
	var err error
	if p.Position, err = decodePosition(b); err != nil {
		return err
	}
	p.Size = snapshotHeadFixed + int64(len(b)) + p.tx.Size() + crcBytes + int64(len(snapshotEnd))
	return p.tx.Bucket([]byte(bucketSegments)).ForEach(func(_, value []byte) error {
		info, err := decodeSegmentInfo(value)
		if err != nil {
			return err
		}
		if info.state == segmentSealed {
			p.segments = append(p.segments, info)
			p.Size += snapshotSegmentHead + info.fileBytes + crcBytes
		}
		return nil
	})
}

// Read implements io.Reader.
func (p *Snapshot) Read(b []byte) (int, error) { return p.pipe.Read(b) }

// Close ends the stream, also in the middle, and lets the transaction go.
func (p *Snapshot) Close() error {
	_ = p.pipe.Close() // never fails
	<-p.written
	return nil
}

func (p *Snapshot) write(w *io.PipeWriter) {
	defer close(p.written)
	err := p.stream(&pacedWriter{to: w, pace: p.pace, began: time.Now()})
	err = errors.Join(err, p.tx.Rollback())
	_ = w.CloseWithError(err) // nil is the end; never fails
}

func (p *Snapshot) stream(w io.Writer) error {
	position := appendPosition(nil, p.Position)
	head := append([]byte(snapshotMagic), 0, 0, 0, snapshotVersion)
	head = binary.BigEndian.AppendUint32(head, uint32(len(position)))
	head = append(head, position...)
	head = binary.BigEndian.AppendUint64(head, uint64(p.tx.Size()))
	head = binary.BigEndian.AppendUint32(head, uint32(len(p.segments)))
	if _, err := w.Write(binary.BigEndian.AppendUint32(head, checksum(head))); err != nil {
		return err
	}
	if err := writeSummed(w, func(w io.Writer) error { _, err := p.tx.WriteTo(w); return err }); err != nil {
		return fmt.Errorf("stream state.db: %w", err)
	}
	for _, info := range p.segments {
		if err := p.streamSegment(w, info); err != nil {
			return fmt.Errorf("stream segment %d: %w", info.first, err)
		}
	}
	_, err := w.Write([]byte(snapshotEnd))
	return err
}

func (p *Snapshot) streamSegment(w io.Writer, info segmentInfo) error {
	file, err := os.Open(filepath.Join(p.store.segments, segmentName(info.first, messageSuffix)))
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // only read from
	head := binary.BigEndian.AppendUint64(nil, info.first)
	head = binary.BigEndian.AppendUint64(head, uint64(info.fileBytes))
	if _, err := w.Write(binary.BigEndian.AppendUint32(head, checksum(head))); err != nil {
		return err
	}
	return writeSummed(w, func(w io.Writer) error { _, err := io.CopyN(w, file, info.fileBytes); return err })
}

// writeSummed writes what fill does, and its checksum behind it.
func writeSummed(w io.Writer, fill func(io.Writer) error) error {
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if err := fill(io.MultiWriter(w, sum)); err != nil {
		return err
	}
	_, err := w.Write(sum.Sum(nil))
	return err
}

// pacedWriter rests when it is ahead of its pace.
type pacedWriter struct {
	to      io.Writer
	pace    int64
	began   time.Time
	written int64
}

func (w *pacedWriter) Write(b []byte) (int, error) {
	n, err := w.to.Write(b)
	w.written += int64(n)
	if w.pace > 0 {
		due := time.Duration(float64(w.written) / float64(w.pace) * float64(time.Second))
		if rest := due - time.Since(w.began); rest > 0 {
			time.Sleep(min(rest, snapshotPause))
		}
	}
	return n, err
}

// summedReader sums what is read through it.
type summedReader struct {
	from io.Reader
	sum  hash.Hash32
}

func (r summedReader) Read(b []byte) (int, error) {
	n, err := r.from.Read(b)
	_, _ = r.sum.Write(b[:n]) // never fails
	return n, err
}
