package storage

// Receiving a store that comes as a stream: into a folder beside the one in use, where it is checked and synced before anybody trusts it.
// Indexes do not travel: each is made from its segment, which checks every message, while the next segment comes.

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
)

const (
	snapshotPositionMax = 1 << 20 // bytes; a longer one is no snapshot
	snapshotSegmentsMax = 1 << 24 // more are no snapshot
)

// Incoming is a store that is being received for the one in a folder, which goes on being used meanwhile. There may be one at a time.
// Write, Finish and TakeOver are called in this order; Close comes last, or breaks off what is being written.
//
// Goroutines: read, from Receive to the end of the stream.
type Incoming struct {
	dir     string // of the store in use
	into    string
	options Options
	pipe    *io.PipeWriter
	ended   chan struct{} // closed once read has returned

	position Position // of read, until ended is closed
	segments uint32   // likewise
	err      error    // likewise

	mu     sync.Mutex // held by TakeOver and Close: what one of them is renaming the other must not clear away
	closed bool       // guarded by mu
}

// Receive begins to take a stream for the store in dir. What an earlier one left is removed.
func Receive(dir string, o Options) (*Incoming, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("receive snapshot: %w", err)
	}
	in := &Incoming{dir: dir, into: dir + receivingSuffix, options: o, ended: make(chan struct{})}
	if err := os.RemoveAll(in.into); err != nil {
		return nil, fmt.Errorf("receive snapshot: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(in.into, segmentsDir), dirMode); err != nil {
		return nil, fmt.Errorf("receive snapshot: %w", err)
	}
	var reader *io.PipeReader
	reader, in.pipe = io.Pipe()
	go in.read(reader)
	return in, nil
}

// Write implements io.Writer.
func (in *Incoming) Write(b []byte) (int, error) { return in.pipe.Write(b) }

// Finish ends the stream and opens what was received, for reading only, once all of it is checked and synced: every checksum, every length,
// and every message against the record of its segment. The store must be closed before TakeOver.
func (in *Incoming) Finish() (*Store, error) {
	_ = in.pipe.Close() // never fails
	<-in.ended
	if in.err != nil {
		return nil, fmt.Errorf("receive snapshot: %w", in.err)
	}
	s, err := Open(in.into, in.options)
	if err != nil {
		return nil, fmt.Errorf("check snapshot: %w", err)
	}
	return s, nil
}

// Close breaks a stream off, and clears away what nobody needs: what was received and not taken over, or else what it has replaced. A takeover
// under way is waited for, and one that failed half-way is undone.
func (in *Incoming) Close() error {
	_ = in.pipe.CloseWithError(errBrokenOff) // never fails
	<-in.ended
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return nil
	}
	in.closed = true
	if err := settle(in.dir, in.options.Fault); err != nil {
		return fmt.Errorf("clear away after a snapshot: %w", err)
	}
	return nil
}

// read takes the stream apart.
func (in *Incoming) read(from *io.PipeReader) {
	defer close(in.ended)
	in.err = in.take(bufio.NewReaderSize(from, writeBytes))
	_ = from.CloseWithError(errors.Join(errBrokenOff, in.err)) // who still writes hears of it; never fails
}

// take reads the stream, holding every length against a cap or against what really comes before it believes it.
func (in *Incoming) take(r *bufio.Reader) error {
	stateBytes, err := in.takeHead(r)
	if err != nil {
		return fmt.Errorf("head: %w", noEnd(err))
	}
	buffer := make([]byte, writeBytes)
	if err := in.takeFile(r, buffer, in.into, stateName, stateBytes); err != nil {
		return fmt.Errorf("state.db: %w", noEnd(err))
	}
	s, infos, err := in.look()
	if err != nil {
		return fmt.Errorf("state.db: %w", err)
	}
	for _, info := range infos {
		if err := in.takeSegment(r, buffer, info); err != nil {
			return fmt.Errorf("segment %d: %w", info.first, noEnd(err))
		}
		if err := s.rebuildIndex(info); err != nil {
			return fmt.Errorf("index of segment %d: %w", info.first, err)
		}
	}
	var end [len(snapshotEnd)]byte
	if _, err := io.ReadFull(r, end[:]); err != nil {
		return fmt.Errorf("end: %w", noEnd(err))
	}
	if _, err := r.ReadByte(); string(end[:]) != snapshotEnd || !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: snapshot does not end where it should", ErrCorrupt)
	}
	if err := in.writeOrigin(); err != nil {
		return err
	}
	f := faults(in.options.Fault)
	return errors.Join(syncDir(filepath.Join(in.into, segmentsDir), f), syncDir(in.into, f))
}

// noEnd says that a stream that is over too soon is no end.
func noEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (in *Incoming) takeHead(r io.Reader) (stateBytes int64, err error) {
	head := make([]byte, 16, 256)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, err
	}
	length := binary.BigEndian.Uint32(head[12:])
	if string(head[:8]) != snapshotMagic || binary.BigEndian.Uint32(head[8:]) != snapshotVersion || length > snapshotPositionMax {
		return 0, fmt.Errorf("%w: % x begins no snapshot of version %d", ErrFormat, head, snapshotVersion)
	}
	rest := make([]byte, int(length)+8+4+crcBytes)
	if _, err := io.ReadFull(r, rest); err != nil {
		return 0, err
	}
	if err := checkSum(append(head, rest...)); err != nil {
		return 0, err
	}
	if in.position, err = decodePosition(rest[:length]); err != nil {
		return 0, err
	}
	stateBytes = int64(binary.BigEndian.Uint64(rest[length:]))
	in.segments = binary.BigEndian.Uint32(rest[length+8:])
	if stateBytes < 0 || in.segments > snapshotSegmentsMax {
		return 0, fmt.Errorf("%w: snapshot claims %d bytes and %d segments", ErrCorrupt, stateBytes, in.segments)
	}
	return stateBytes, nil
}

// look reads in state.db which segments have to follow, and holds it against what the head announced. The Store is for their indexes only.
func (in *Incoming) look() (s *Store, sealed []segmentInfo, err error) {
	s = &Store{dir: in.into, segments: filepath.Join(in.into, segmentsDir), faults: in.options.Fault}
	if s.db, err = openState(filepath.Join(in.into, stateName)); err != nil {
		return nil, nil, err
	}
	var infos []segmentInfo
	err = guarded(func() (err error) {
		if err = s.prepare(); err == nil {
			infos, err = s.loadState()
		}
		return err
	})
	if err = errors.Join(err, s.db.Close()); err != nil {
		return nil, nil, err
	}
	for _, info := range infos {
		if info.state == segmentSealed {
			sealed = append(sealed, info)
		}
	}
	if got := s.Position(); got.Seq != in.position.Seq || got.Index != in.position.Index || got.Term != in.position.Term {
		return nil, nil, fmt.Errorf("%w: it is at index %d, the stream announced %d", ErrCorrupt, got.Index, in.position.Index)
	}
	if len(sealed) != int(in.segments) {
		return nil, nil, fmt.Errorf("%w: it speaks of %d sealed segments, the stream announced %d", ErrCorrupt, len(sealed), in.segments)
	}
	return s, sealed, nil
}

func (in *Incoming) takeSegment(r io.Reader, buffer []byte, want segmentInfo) error {
	var head [snapshotSegmentHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	if err := checkSum(head[:]); err != nil {
		return err
	}
	if first, size := binary.BigEndian.Uint64(head[:]), binary.BigEndian.Uint64(head[8:]); first != want.first || size != uint64(want.fileBytes) {
		return fmt.Errorf("%w: a segment at %d of %d bytes comes, state.db has %d bytes", ErrCorrupt, first, size, want.fileBytes)
	}
	return in.takeFile(r, buffer, filepath.Join(in.into, segmentsDir), segmentName(want.first, messageSuffix), want.fileBytes)
}

// checkSum checks bytes whose last four are the checksum of the others.
func checkSum(b []byte) error {
	end := len(b) - crcBytes
	if got, want := checksum(b[:end]), binary.BigEndian.Uint32(b[end:]); got != want {
		return fmt.Errorf("%w: snapshot has checksum %08x, want %08x", ErrCorrupt, got, want)
	}
	return nil
}

// takeFile writes the next size bytes to a file, as they come, and checks and syncs it.
func (in *Incoming) takeFile(r io.Reader, buffer []byte, dir, name string, size int64) error {
	w, err := createFile(dir, name, in.options.Fault)
	if err != nil {
		return err
	}
	var sum uint32
	for left := size; left > 0; {
		b := buffer[:min(int64(len(buffer)), left)]
		n, err := io.ReadFull(r, b)
		if err != nil {
			w.abandon()
			return err
		}
		sum = crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), b)
		left -= int64(n)
		if err := w.write(b); err != nil {
			w.abandon()
			return err
		}
	}
	var want [crcBytes]byte
	if _, err := io.ReadFull(r, want[:]); err != nil {
		w.abandon()
		return err
	}
	if want := binary.BigEndian.Uint32(want[:]); sum != want {
		w.abandon()
		return fmt.Errorf("%w: %d bytes have checksum %08x, want %08x", ErrCorrupt, size, sum, want)
	}
	return w.publish()
}

// writeOrigin keeps where the store begins.
func (in *Incoming) writeOrigin() error {
	w, err := createFile(in.into, originName, in.options.Fault)
	if err != nil {
		return err
	}
	if err := w.write(appendPosition(nil, in.position)); err != nil {
		w.abandon()
		return err
	}
	return w.publish()
}
