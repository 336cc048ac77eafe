package storage

// Taking over a store that comes as a stream: beside the one that is there, checked, synced, and put in its place by renaming.

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

const (
	receivingSuffix = ".receiving" // a stream is being written
	receivedSuffix  = ".received"  // all of it is there, checked and synced
	replacedSuffix  = ".replaced"  // what was there before
	originName      = "origin"     // in a store that was received: the index of the log that it begins at

	snapshotPositionMax = 1 << 20 // bytes; a longer one is no snapshot
	snapshotSegmentsMax = 1 << 24 // more are no snapshot
)

// Incoming is a stream that is being received. It is written to, and then finished or aborted.
//
// Goroutines: read, from Receive to Finish or Abort.
type Incoming struct {
	dir      string // of the store that will be replaced
	pipe     *io.PipeWriter
	result   chan error
	position Position
}

// Receive begins to take a stream for the store in dir, which goes on being used meanwhile.
func Receive(dir string) (*Incoming, error) {
	into := dir + receivingSuffix
	if err := os.RemoveAll(into); err != nil {
		return nil, fmt.Errorf("receive snapshot: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(into, segmentsDir), dirMode); err != nil {
		return nil, fmt.Errorf("receive snapshot: %w", err)
	}
	reader, writer := io.Pipe()
	in := &Incoming{dir: dir, pipe: writer, result: make(chan error, 1)}
	go in.read(reader, into)
	return in, nil
}

// Write implements io.Writer.
func (in *Incoming) Write(b []byte) (int, error) { return in.pipe.Write(b) }

// Finish ends the stream. It returns the position of what was received once all of it is checked and synced.
func (in *Incoming) Finish() (Position, error) {
	_ = in.pipe.Close() // never fails
	if err := <-in.result; err != nil {
		return Position{}, errors.Join(fmt.Errorf("receive snapshot: %w", err), os.RemoveAll(in.dir+receivingSuffix))
	}
	received := in.dir + receivedSuffix
	err := os.RemoveAll(received)
	if err == nil {
		err = os.Rename(in.dir+receivingSuffix, received)
	}
	if err == nil {
		err = syncDir(filepath.Dir(in.dir), nil)
	}
	if err != nil {
		return Position{}, fmt.Errorf("receive snapshot: %w", err)
	}
	return in.position, nil
}

// errAborted is what the reading side of an aborted stream sees.
var errAborted = errors.New("snapshot was broken off")

// Abort drops what was received.
func (in *Incoming) Abort() error {
	_ = in.pipe.CloseWithError(errAborted) // never fails
	<-in.result
	return os.RemoveAll(in.dir + receivingSuffix)
}

func (in *Incoming) read(from *io.PipeReader, into string) {
	err := in.take(bufio.NewReaderSize(from, writeBytes), into)
	_ = from.CloseWithError(err) // who writes hears of it; never fails
	in.result <- err
}

// take reads the stream, holding every length against a cap or a file before it believes it.
func (in *Incoming) take(r *bufio.Reader, into string) error {
	stateBytes, segments, err := in.takeHead(r)
	if err != nil {
		return err
	}
	if err := takeFile(r, filepath.Join(into, stateName), stateBytes); err != nil {
		return fmt.Errorf("state.db: %w", err)
	}
	for range segments {
		var head [snapshotSegmentHead]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return err
		}
		if err := checkSum(head[:]); err != nil {
			return err
		}
		first, size := binary.BigEndian.Uint64(head[:]), int64(binary.BigEndian.Uint64(head[8:]))
		if err := takeFile(r, filepath.Join(into, segmentsDir, segmentName(first, messageSuffix)), size); err != nil {
			return fmt.Errorf("segment %d: %w", first, err)
		}
	}
	var end [len(snapshotEnd)]byte
	if _, err := io.ReadFull(r, end[:]); err != nil {
		return err
	}
	if _, err := r.ReadByte(); string(end[:]) != snapshotEnd || !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: snapshot does not end where it should", ErrCorrupt)
	}
	if err := writeFileSynced(filepath.Join(into, originName), strconv.AppendUint(nil, in.position.Index, 10)); err != nil {
		return err
	}
	return errors.Join(syncDir(filepath.Join(into, segmentsDir), nil), syncDir(into, nil))
}

func (in *Incoming) takeHead(r io.Reader) (stateBytes int64, segments uint32, err error) {
	head := make([]byte, 16, 256)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, 0, err
	}
	length := binary.BigEndian.Uint32(head[12:])
	if string(head[:8]) != snapshotMagic || binary.BigEndian.Uint32(head[8:]) != snapshotVersion || length > snapshotPositionMax {
		return 0, 0, fmt.Errorf("%w: no snapshot of this version", ErrFormat)
	}
	rest := make([]byte, int(length)+8+4+crcBytes)
	if _, err := io.ReadFull(r, rest); err != nil {
		return 0, 0, err
	}
	if err := checkSum(append(head, rest...)); err != nil {
		return 0, 0, err
	}
	if in.position, err = decodePosition(rest[:length]); err != nil {
		return 0, 0, err
	}
	stateBytes = int64(binary.BigEndian.Uint64(rest[length:]))
	segments = binary.BigEndian.Uint32(rest[length+8:])
	if stateBytes < 0 || segments > snapshotSegmentsMax {
		return 0, 0, fmt.Errorf("%w: snapshot claims %d bytes and %d segments", ErrCorrupt, stateBytes, segments)
	}
	return stateBytes, segments, nil
}

// checkSum checks bytes whose last four are the checksum of the others.
func checkSum(b []byte) error {
	end := len(b) - crcBytes
	if got, want := checksum(b[:end]), binary.BigEndian.Uint32(b[end:]); got != want {
		return fmt.Errorf("%w: snapshot has checksum %08x, want %08x", ErrCorrupt, got, want)
	}
	return nil
}

// takeFile writes the next size bytes to a file, and checks and syncs it.
func takeFile(r io.Reader, path string, size int64) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	summed := summedReader{r, crc32.New(crc32.MakeTable(crc32.Castagnoli))}
	_, err = io.CopyN(file, summed, size)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	var sum [crcBytes]byte
	if _, err := io.ReadFull(r, sum[:]); err != nil {
		return err
	}
	if !bytes.Equal(sum[:], summed.sum.Sum(nil)) {
		return fmt.Errorf("%w: checksum of %d bytes is wrong", ErrCorrupt, size)
	}
	return nil
}

func writeFileSynced(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// TakeOver puts what was received in the place of the store in dir, which must be closed. After a crash in the middle the old one is there,
// or the new one, whole: settle, with which every Open begins, sees to that.
func TakeOver(dir string) error {
	for _, step := range []func() error{
		func() error { return os.RemoveAll(dir + replacedSuffix) },
		func() error { return os.Rename(dir, dir+replacedSuffix) },
		func() error { return os.Rename(dir+receivedSuffix, dir) },
		func() error { return syncDir(filepath.Dir(dir), nil) },
		func() error { return os.RemoveAll(dir + replacedSuffix) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("take snapshot over: %w", err)
		}
	}
	return nil
}

// settle finishes a takeover that was cut short, or undoes it: until the new store has its name the old one counts, which the log goes with.
func settle(dir string) error {
	exists := func(path string) bool { _, err := os.Stat(path); return !errors.Is(err, fs.ErrNotExist) }
	if !exists(dir) && exists(dir+replacedSuffix) {
		if err := os.Rename(dir+replacedSuffix, dir); err != nil {
			return err
		}
		if err := syncDir(filepath.Dir(dir), nil); err != nil {
			return err
		}
	}
	return errors.Join(os.RemoveAll(dir+receivingSuffix), os.RemoveAll(dir+receivedSuffix), os.RemoveAll(dir+replacedSuffix))
}

// Origin is the index of the log at which a store began that was received; 0 for one that grew here. The log may begin behind it.
func (s *Store) Origin() uint64 {
	text, err := os.ReadFile(filepath.Join(s.dir, originName))
	if err != nil {
		return 0
	}
	index, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		return 0
	}
	return index
}
