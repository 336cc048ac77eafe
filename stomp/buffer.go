package stomp

import (
	"io"
	"math/bits"
	"sync"
)

const (
	// smallBytes is the buffer that a Reader owns: room for an everyday frame, and all that an idle connection costs.
	smallBytes = 512
	// blockBytesMin is the first larger buffer, taken when a read filled the small one.
	blockBytesMin = 32 << 10
	// blockClasses buffers are pooled, each double the one before: 32 KiB to 2 MiB. Larger ones (service accounts may send
	// 16 MiB) are made and left to the garbage collector.
	blockClasses = 7
	// emptyReadsMax is how often a source may give nothing without an error before ReadFrame gives io.ErrNoProgress.
	emptyReadsMax = 100
	// headersKeptMax is the longest list of headers that a Reader keeps while it waits with nothing unread.
	headersKeptMax = 64
)

// blockPools lend the larger buffers to the Readers that have traffic. A block in a pool belongs to nobody.
var blockPools [blockClasses]sync.Pool

// blockClass gives the pool for blocks of that size.
func blockClass(size int) (class int, pooled bool) {
	if size < blockBytesMin || size&(size-1) != 0 {
		return 0, false
	}
	class = bits.TrailingZeros(uint(size / blockBytesMin))
	return class, class < blockClasses
}

func takeBlock(size int) *[]byte {
	if class, pooled := blockClass(size); pooled {
		if block, ok := blockPools[class].Get().(*[]byte); ok {
			return block
		}
	}
	block := make([]byte, size)
	return &block
}

func giveBlock(block *[]byte) {
	if class, pooled := blockClass(len(*block)); pooled {
		blockPools[class].Put(block)
	}
}

// fill reads once from the source, behind what is unread. The views of the frame before end here.
func (r *Reader) fill() error {
	if err := r.sourceErr; err != nil {
		r.sourceErr = nil
		return r.ended(err)
	}
	r.makeRoom()
	for range emptyReadsMax {
		n, err := r.src.Read(r.buf[r.end:])
		if n > 0 {
			r.end += n
			r.sourceErr = err // what came with the bytes is told after them
			return nil
		}
		if err != nil {
			return r.ended(err)
		}
	}
	return io.ErrNoProgress
}

// ended turns the end of the source into what it means here.
func (r *Reader) ended(err error) error {
	if err == io.EOF && r.stage != stageBetween { //nolint:errorlint // io.Reader promises io.EOF itself
		return io.ErrUnexpectedEOF
	}
	return err
}

// makeRoom leaves at least one free byte at the end of the buffer. What is unread moves to the front, so that each frame is
// moved at most once without growth; growth doubles.
func (r *Reader) makeRoom() {
	unread := r.end - r.start
	smallWasFilled := r.block == nil && r.end == len(r.buf)
	if unread == 0 {
		r.releaseBlock()
		r.start, r.end = 0, 0
	}
	if smallWasFilled || unread == len(r.buf) {
		r.grow()
		return
	}
	if r.start > 0 {
		copy(r.buf, r.buf[r.start:r.end])
		r.start, r.end = 0, unread
	}
}

// grow moves what is unread into a larger buffer: the smallest block, else one double the size. Past the pooled sizes it
// takes no more than the frame will need, if its length is known.
func (r *Reader) grow() {
	size := blockBytesMin
	if r.block != nil {
		size = 2 * len(r.buf)
	}
	if _, pooled := blockClass(size); !pooled && r.stage == stageBody && r.contentLength >= 0 {
		size = min(size, r.headBytes+r.contentLength+1)
	}
	block := takeBlock(size)
	unread := copy(*block, r.buf[r.start:r.end])
	r.releaseBlock()
	r.block, r.buf = block, *block
	r.start, r.end = 0, unread
}

// releaseBlock goes back to the small buffer. No view may keep a block alive that another Reader may hold next.
func (r *Reader) releaseBlock() {
	if r.block == nil {
		return
	}
	giveBlock(r.block)
	r.block, r.buf = nil, r.small[:]
	r.frame = Frame{}
	if cap(r.headers) > headersKeptMax {
		r.headers, r.marks = nil, nil
		return
	}
	clear(r.headers[:cap(r.headers)])
}
