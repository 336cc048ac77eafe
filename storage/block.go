package storage

// Blocks: several messages under one checksum, the unit that is written and read. FORMAT.md has the bytes.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
)

const (
	blockVersion     = 1
	blockHeaderBytes = 32
	// blockPayloadMax is what a header may claim. A larger claim is corruption, found before anything is allocated for it.
	blockPayloadMax = messageBytesMax + 64
)

// ErrCorrupt says that bytes on disk are not what was written.
var ErrCorrupt = errors.New("corrupt")

// message is one message on its way to disk.
type message struct {
	seq    uint64
	at     int64
	data   []byte
	stream uint32
}

// checksum is CRC32C, which processors compute.
func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func uvarintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

func zigzag(v int64) uint64 { return uint64(v)<<1 ^ uint64(v>>63) }

func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

// span is one finished block. Its bytes stay as they are until the builder's reset or recycle.
type span struct {
	first uint64
	bytes []byte
}

// blockBuilder lays messages out in blocks. Where a block ends depends on the messages alone, so that equal messages
// given in one go make equal bytes.
type blockBuilder struct {
	spans []span

	chunk  []byte   // the memory that is being filled
	filled [][]byte // chunks with blocks of spans
	free   [][]byte // chunks to fill next

	begun   bool
	start   int // of the block that was begun, in chunk
	count   uint32
	first   uint64
	firstAt int64
	seq     uint64 // of the last message
	at      int64
}

// reset forgets all blocks. Memory is kept up to keepBytesMax.
func (b *blockBuilder) reset() {
	b.begun = false
	b.recycle()
	b.chunk = b.chunk[:0]
	if cap(b.chunk) > chunkBytes {
		b.chunk = nil
	}
	keep := min(len(b.free), keepBytesMax/chunkBytes)
	clear(b.free[keep:])
	b.free = b.free[:keep]
}

// recycle forgets the finished blocks.
func (b *blockBuilder) recycle() {
	for _, chunk := range b.filled {
		if cap(chunk) == chunkBytes { // larger ones were for one large message
			b.free = append(b.free, chunk[:0])
		}
	}
	clear(b.filled)
	clear(b.spans)
	b.filled, b.spans = b.filled[:0], b.spans[:0]
}

func (b *blockBuilder) add(m *message) {
	seqDelta, atDelta := m.seq-b.seq, zigzag(m.at-b.at)
	size := uvarintLen(uint64(m.stream)) + uvarintLen(seqDelta) + uvarintLen(atDelta) + uvarintLen(uint64(len(m.data))) + len(m.data)
	if b.begun && len(b.chunk)-b.start+size > blockBytesMax {
		b.finish()
	}
	if !b.begun {
		b.begin(m, size)
		seqDelta, atDelta = 0, 0
	}
	c := b.chunk
	c = binary.AppendUvarint(c, uint64(m.stream))
	c = binary.AppendUvarint(c, seqDelta)
	c = binary.AppendUvarint(c, atDelta)
	c = binary.AppendUvarint(c, uint64(len(m.data)))
	b.chunk = append(c, m.data...)
	b.seq, b.at = m.seq, m.at
	b.count++
}

// begin makes room for a whole block, so that it never moves while it fills. size is at least what its first message takes.
func (b *blockBuilder) begin(m *message, size int) {
	need := blockHeaderBytes + max(size, blockBytesMax)
	if cap(b.chunk)-len(b.chunk) < need {
		if len(b.chunk) > 0 {
			b.filled = append(b.filled, b.chunk)
		}
		b.chunk = b.newChunk(need)
	}
	b.begun, b.start, b.count = true, len(b.chunk), 0
	b.first, b.firstAt = m.seq, m.at
	b.chunk = b.chunk[:b.start+blockHeaderBytes]
}

func (b *blockBuilder) newChunk(need int) []byte {
	n := len(b.free)
	if n == 0 || need > chunkBytes {
		return make([]byte, 0, max(need, chunkBytes))
	}
	chunk := b.free[n-1]
	b.free = b.free[:n-1]
	return chunk
}

// finish ends the block that was begun, if any.
func (b *blockBuilder) finish() {
	if !b.begun {
		return
	}
	h := b.chunk[b.start:len(b.chunk):len(b.chunk)]
	binary.BigEndian.PutUint32(h[4:], blockVersion<<24)
	binary.BigEndian.PutUint32(h[8:], uint32(len(h)-blockHeaderBytes))
	binary.BigEndian.PutUint32(h[12:], b.count)
	binary.BigEndian.PutUint64(h[16:], b.first)
	binary.BigEndian.PutUint64(h[24:], uint64(b.firstAt))
	binary.BigEndian.PutUint32(h, checksum(h[4:]))
	b.spans = append(b.spans, span{first: b.first, bytes: h})
	b.begun = false
}

// blockHeader is the fixed part of a block.
type blockHeader struct {
	crc     uint32
	payload int
	count   uint32
	first   uint64
	at      int64
}

// parseBlockHeader reads the first blockHeaderBytes of b. What it says is not proven before openBlock.
func parseBlockHeader(b []byte) (blockHeader, error) {
	if len(b) < blockHeaderBytes {
		return blockHeader{}, fmt.Errorf("%w: block of %d bytes has no header", ErrCorrupt, len(b))
	}
	if v := binary.BigEndian.Uint32(b[4:]); v != blockVersion<<24 {
		return blockHeader{}, fmt.Errorf("%w: block has version word %#x", ErrCorrupt, v)
	}
	h := blockHeader{
		crc:     binary.BigEndian.Uint32(b),
		payload: int(binary.BigEndian.Uint32(b[8:])),
		count:   binary.BigEndian.Uint32(b[12:]),
		first:   binary.BigEndian.Uint64(b[16:]),
		at:      int64(binary.BigEndian.Uint64(b[24:])),
	}
	if h.payload > blockPayloadMax {
		return blockHeader{}, fmt.Errorf("%w: block claims %d bytes", ErrCorrupt, h.payload)
	}
	return h, nil
}

// blockReader walks the messages of one block. The current one is in m; its data is a view.
type blockReader struct {
	m    message
	rest []byte
	left uint32
	new  bool
	err  error
}

// openBlock checks a whole block, which must fill b.
func openBlock(b []byte) (blockReader, error) {
	h, err := parseBlockHeader(b)
	if err != nil {
		return blockReader{}, err
	}
	if len(b) != blockHeaderBytes+h.payload {
		return blockReader{}, fmt.Errorf("%w: block at %d has %d bytes, its header says %d", ErrCorrupt, h.first, len(b), blockHeaderBytes+h.payload)
	}
	if got := checksum(b[4:]); got != h.crc {
		return blockReader{}, fmt.Errorf("%w: block at %d has checksum %08x, want %08x", ErrCorrupt, h.first, got, h.crc)
	}
	if h.count == 0 {
		return blockReader{}, fmt.Errorf("%w: block at %d is empty", ErrCorrupt, h.first)
	}
	return blockReader{m: message{seq: h.first, at: h.at}, rest: b[blockHeaderBytes:], left: h.count, new: true}, nil
}

// next goes to the next message; false at the end or at a fault, which is in err.
func (r *blockReader) next() bool {
	if r.err != nil {
		return false
	}
	if r.left == 0 {
		if len(r.rest) != 0 {
			r.err = fmt.Errorf("%w: %d bytes after the last message of a block", ErrCorrupt, len(r.rest))
		}
		return false
	}
	r.left--
	stream, seqDelta, atDelta, size := r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint()
	switch {
	case r.err != nil:
	case stream > 1<<32-1 || size > uint64(len(r.rest)):
		r.err = fmt.Errorf("%w: message after %d of stream %d claims %d of %d bytes", ErrCorrupt, r.m.seq, stream, size, len(r.rest))
	case (seqDelta == 0) != r.new || r.m.seq+seqDelta < r.m.seq || (r.new && atDelta != 0):
		r.err = fmt.Errorf("%w: message after %d goes %d further", ErrCorrupt, r.m.seq, seqDelta)
	}
	if r.err != nil {
		return false
	}
	r.new = false
	r.m.stream = uint32(stream)
	r.m.seq += seqDelta
	r.m.at += unzigzag(atDelta)
	r.m.data, r.rest = r.rest[:size:size], r.rest[size:]
	return true
}

func (r *blockReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		if r.err == nil {
			r.err = fmt.Errorf("%w: message after %d is cut", ErrCorrupt, r.m.seq)
		}
		return 0
	}
	r.rest = r.rest[n:]
	return v
}
