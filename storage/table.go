package storage

// Tables: sorted 64-bit keys in checksummed pages on disk, found with one read. A fence, the first key of each page,
// is in memory while the file is open. FORMAT.md has the bytes.

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

const (
	pageBytes = 4096
	pageKeys  = (pageBytes - 8) / 8
)

func tablePages(keys uint64) uint64 { return (keys + pageKeys - 1) / pageKeys }

// appendPages writes keys, which are sorted, as whole pages.
func appendPages(dst []byte, keys []uint64) []byte {
	for page := range slices.Chunk(keys, pageKeys) {
		start := len(dst)
		dst = append(dst, make([]byte, pageBytes)...)
		b := dst[start:]
		binary.BigEndian.PutUint32(b[4:], uint32(len(page)))
		for i, k := range page {
			binary.BigEndian.PutUint64(b[8+8*i:], k)
		}
		binary.BigEndian.PutUint32(b, checksum(b[4:]))
	}
	return dst
}

// appendFence writes the first key of each page.
func appendFence(dst []byte, keys []uint64) []byte {
	for i := 0; i < len(keys); i += pageKeys {
		dst = binary.BigEndian.AppendUint64(dst, keys[i])
	}
	return dst
}

// table reads keys in pages of a file.
type table struct {
	file   io.ReaderAt
	offset int64
	keys   uint64
	fence  []uint64
}

type page [pageBytes]byte

func (p *page) count() int       { return int(binary.BigEndian.Uint32(p[4:])) }
func (p *page) key(i int) uint64 { return binary.BigEndian.Uint64(p[8+8*i:]) }

// lower returns the index in the page of the first key at or above want, count() when there is none.
func (p *page) lower(want uint64) int {
	low, high := 0, p.count()
	for low < high {
		mid := int(uint(low+high) / 2)
		if p.key(mid) < want {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

func (t *table) read(n int, p *page) error {
	if _, err := t.file.ReadAt(p[:], t.offset+int64(n)*pageBytes); err != nil {
		return fmt.Errorf("read index page %d: %w", n, err)
	}
	want := min(pageKeys, int(t.keys)-n*pageKeys)
	if got := checksum(p[4:]); got != binary.BigEndian.Uint32(p[:]) || p.count() != want || p.key(0) != t.fence[n] {
		return fmt.Errorf("%w: index page %d has checksum %08x and %d keys, want %08x and %d", ErrCorrupt, n, got, p.count(), binary.BigEndian.Uint32(p[:]), want)
	}
	return nil
}

// pageOf returns the last page that begins at or below want, -1 when all begin above.
func (t *table) pageOf(want uint64) int {
	n, found := slices.BinarySearch(t.fence, want)
	if found {
		return n
	}
	return n - 1
}

// lower returns the first key at or above want.
func (t *table) lower(want uint64, p *page) (key uint64, ok bool, err error) {
	n := t.pageOf(want)
	if n < 0 {
		n = 0
	}
	if n >= len(t.fence) {
		return 0, false, nil
	}
	if err := t.read(n, p); err != nil {
		return 0, false, err
	}
	if i := p.lower(want); i < p.count() {
		return p.key(i), true, nil
	}
	if n+1 < len(t.fence) {
		return t.fence[n+1], true, nil
	}
	return 0, false, nil
}

// floor returns the last key at or below want.
func (t *table) floor(want uint64, p *page) (key uint64, ok bool, err error) {
	n := t.pageOf(want)
	if n < 0 {
		return 0, false, nil
	}
	if err := t.read(n, p); err != nil {
		return 0, false, err
	}
	i := p.lower(want)
	if i == p.count() || p.key(i) != want {
		i--
	}
	return p.key(i), true, nil
}

// at returns key i.
func (t *table) at(i int, p *page) (uint64, error) {
	if err := t.read(i/pageKeys, p); err != nil {
		return 0, err
	}
	return p.key(i % pageKeys), nil
}
