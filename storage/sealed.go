package storage

// The two files of a sealed segment: messages and their index. FORMAT.md has the bytes.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
)

const (
	fileVersion     = 1
	fileHeaderBytes = 32
	fileFooterBytes = 64

	messageMagic       = "STMPSEG\x01"
	messageFooterMagic = "STMPSEG\x02"
	indexMagic         = "STMPIDX\x01"
	indexFooterMagic   = "STMPIDX\x02"
)

func appendFileHeader(dst []byte, magic string, first uint64) []byte {
	start := len(dst)
	dst = append(dst, magic...)
	dst = binary.BigEndian.AppendUint32(dst, fileVersion)
	dst = binary.BigEndian.AppendUint32(dst, 0) // group
	dst = binary.BigEndian.AppendUint64(dst, first)
	dst = binary.BigEndian.AppendUint32(dst, 0)
	return binary.BigEndian.AppendUint32(dst, checksum(dst[start:]))
}

func checkFileHeader(b []byte, magic string, first uint64) error {
	want := appendFileHeader(nil, magic, first)
	if !slices.Equal(b, want) {
		return fmt.Errorf("%w: header % x, want % x", ErrCorrupt, b, want)
	}
	return nil
}

// appendMessageFooter ends a file of messages.
func appendMessageFooter(dst []byte, s *segmentInfo, blocks uint32) []byte {
	start := len(dst)
	dst = append(dst, messageFooterMagic...)
	for _, v := range [...]uint64{s.last, uint64(s.firstAt), uint64(s.lastAt), s.count, s.weight} {
		dst = binary.BigEndian.AppendUint64(dst, v)
	}
	dst = binary.BigEndian.AppendUint32(dst, blocks)
	dst = binary.BigEndian.AppendUint32(dst, s.sum)
	dst = binary.BigEndian.AppendUint32(dst, 0)
	return binary.BigEndian.AppendUint32(dst, checksum(dst[start:]))
}

// parseMessageFooter returns what the footer says of the segment, and how many blocks it has.
func parseMessageFooter(b []byte) (s segmentInfo, blocks uint32, err error) {
	if err := checkFooter(b, messageFooterMagic); err != nil {
		return segmentInfo{}, 0, err
	}
	number := func(i int) uint64 { return binary.BigEndian.Uint64(b[8+8*i:]) }
	s = segmentInfo{
		state: segmentSealed, last: number(0), firstAt: int64(number(1)), lastAt: int64(number(2)),
		count: number(3), weight: number(4), sum: binary.BigEndian.Uint32(b[52:]),
	}
	return s, binary.BigEndian.Uint32(b[48:]), nil
}

// appendIndex is a whole index file.
func appendIndex(dst []byte, s *segmentInfo, streams, blocks []uint64) []byte {
	dst = appendFileHeader(dst, indexMagic, s.first)
	dst = appendPages(dst, streams)
	dst = appendPages(dst, blocks)
	fences := len(dst)
	dst = appendFence(dst, streams)
	dst = appendFence(dst, blocks)
	sum := checksum(dst[fences:])
	footer := len(dst)
	dst = append(dst, indexFooterMagic...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(len(streams)))
	dst = binary.BigEndian.AppendUint64(dst, uint64(len(blocks)))
	dst = binary.BigEndian.AppendUint32(dst, s.sum)
	dst = binary.BigEndian.AppendUint32(dst, sum)
	dst = append(dst, make([]byte, 28)...)
	return binary.BigEndian.AppendUint32(dst, checksum(dst[footer:]))
}

func checkFooter(b []byte, magic string) error {
	if len(b) != fileFooterBytes || string(b[:8]) != magic {
		return fmt.Errorf("%w: footer begins % x", ErrCorrupt, b[:min(len(b), 8)])
	}
	end := len(b) - crcBytes
	if got, want := checksum(b[:end]), binary.BigEndian.Uint32(b[end:]); got != want {
		return fmt.Errorf("%w: footer has checksum %08x, want %08x", ErrCorrupt, got, want)
	}
	return nil
}

// segmentFile is a sealed segment open for reading. Safe for concurrent use.
type segmentFile struct {
	segmentInfo
	messages, index *os.File
	streams, blocks table

	refs int    // guarded by the cache's mu
	used uint64 // guarded by the cache's mu
}

// openSegment checks headers, footers and fences of both files. Blocks and pages are checked as they are read.
func openSegment(dir string, s segmentInfo) (f *segmentFile, err error) {
	f = &segmentFile{segmentInfo: s}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open segment %d: %w", s.first, err), f.close())
			f = nil
		}
	}()
	if f.messages, err = openSized(filepath.Join(dir, segmentName(s.first, messageSuffix)), s.fileBytes); err != nil {
		return f, err
	}
	if err = f.checkMessages(); err != nil {
		return f, err
	}
	if f.index, err = openSized(filepath.Join(dir, segmentName(s.first, indexSuffix)), s.indexBytes); err != nil {
		return f, err
	}
	return f, f.loadIndex()
}

// openSized opens a file that must have this size.
func openSized(path string, size int64) (*os.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	stat, err := file.Stat()
	if err == nil && stat.Size() != size {
		err = fmt.Errorf("%w: %s has %d bytes, want %d", ErrCorrupt, filepath.Base(path), stat.Size(), size)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func (f *segmentFile) checkMessages() error {
	if f.fileBytes < fileHeaderBytes+fileFooterBytes {
		return fmt.Errorf("%w: %d bytes of messages", ErrCorrupt, f.fileBytes)
	}
	var b [fileFooterBytes]byte
	if err := readFull(f.messages, b[:fileHeaderBytes], 0); err != nil {
		return err
	}
	if err := checkFileHeader(b[:fileHeaderBytes], messageMagic, f.first); err != nil {
		return err
	}
	if err := readFull(f.messages, b[:], f.fileBytes-fileFooterBytes); err != nil {
		return err
	}
	footer, _, err := parseMessageFooter(b[:])
	if err != nil {
		return err
	}
	footer.first, footer.fileBytes, footer.indexBytes = f.first, f.fileBytes, f.indexBytes
	if footer != f.segmentInfo {
		return fmt.Errorf("%w: footer says %+v, state.db says %+v", ErrCorrupt, footer, f.segmentInfo)
	}
	return nil
}

// loadIndex reads header, footer and fences.
func (f *segmentFile) loadIndex() error {
	if f.indexBytes < fileHeaderBytes+fileFooterBytes {
		return fmt.Errorf("%w: %d bytes of index", ErrCorrupt, f.indexBytes)
	}
	var b [fileFooterBytes]byte
	if err := readFull(f.index, b[:fileHeaderBytes], 0); err != nil {
		return err
	}
	if err := checkFileHeader(b[:fileHeaderBytes], indexMagic, f.first); err != nil {
		return err
	}
	if err := readFull(f.index, b[:], f.indexBytes-fileFooterBytes); err != nil {
		return err
	}
	if err := checkFooter(b[:], indexFooterMagic); err != nil {
		return err
	}
	streams, blocks := binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])
	if streams != f.count || blocks == 0 || blocks > f.count || binary.BigEndian.Uint32(b[24:]) != f.sum {
		return fmt.Errorf("%w: index of another segment: %d keys, %d blocks", ErrCorrupt, streams, blocks)
	}
	return f.loadFences(streams, blocks, binary.BigEndian.Uint32(b[28:]))
}

func (f *segmentFile) loadFences(streams, blocks uint64, sum uint32) error {
	streamPages, blockPages := tablePages(streams), tablePages(blocks)
	if most := uint64(f.indexBytes) / pageBytes; streamPages > most || blockPages > most {
		return fmt.Errorf("%w: index of %d bytes claims %d and %d pages", ErrCorrupt, f.indexBytes, streamPages, blockPages)
	}
	pages := fileHeaderBytes + int64(streamPages+blockPages)*pageBytes
	if want := pages + int64(streamPages+blockPages)*8 + fileFooterBytes; want != f.indexBytes {
		return fmt.Errorf("%w: index has %d bytes, want %d", ErrCorrupt, f.indexBytes, want)
	}
	raw := make([]byte, (streamPages+blockPages)*8)
	if err := readFull(f.index, raw, pages); err != nil {
		return err
	}
	if got := checksum(raw); got != sum {
		return fmt.Errorf("%w: fence has checksum %08x, want %08x", ErrCorrupt, got, sum)
	}
	fence := make([]uint64, streamPages+blockPages)
	for i := range fence {
		fence[i] = binary.BigEndian.Uint64(raw[8*i:])
	}
	f.streams = table{file: f.index, offset: fileHeaderBytes, keys: streams, fence: fence[:streamPages]}
	f.blocks = table{file: f.index, offset: fileHeaderBytes + int64(streamPages)*pageBytes, keys: blocks, fence: fence[streamPages:]}
	return nil
}

func (f *segmentFile) close() error {
	var errs []error
	for _, file := range []*os.File{f.messages, f.index} {
		if file != nil {
			errs = append(errs, file.Close())
		}
	}
	return errors.Join(errs...)
}

func readFull(r io.ReaderAt, b []byte, offset int64) error {
	if n, err := r.ReadAt(b, offset); n < len(b) {
		return fmt.Errorf("read %d bytes at %d: %w", len(b), offset, err)
	}
	return nil
}

// foldSum carries the checksum over all blocks of a segment on by one block.
func foldSum(sum uint32, block []byte) uint32 {
	return crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), block[:crcBytes])
}
