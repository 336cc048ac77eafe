package broker

import "encoding/binary"

// This file holds the primitives of all formats of the fold: varints, and bytes behind their length.

func appendUvarint(dst []byte, v uint64) []byte { return binary.AppendUvarint(dst, v) }

func appendVarint(dst []byte, v int64) []byte { return binary.AppendVarint(dst, v) }

func appendBytes(dst, v []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(v)))
	return append(dst, v...)
}

func appendString(dst []byte, v string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(v)))
	return append(dst, v...)
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// reader takes values from the front of b. After the first fault bad is set and every further value is zero.
// It takes only what the functions above write: a number in more bytes than it needs is a fault. So what was read is written as it was.
type reader struct {
	b   []byte
	off int
	bad bool
}

func (r *reader) byte() byte {
	if r.bad || r.off >= len(r.b) {
		r.bad = true
		return 0
	}
	c := r.b[r.off]
	r.off++
	return c
}

// bool takes a byte that must be 0 or 1.
func (r *reader) bool() bool {
	c := r.byte()
	if c > 1 {
		r.bad = true
	}
	return c == 1
}

func (r *reader) uvarint() uint64 {
	if r.bad {
		return 0
	}
	if r.off < len(r.b) && r.b[r.off] < 0x80 {
		r.off++
		return uint64(r.b[r.off-1])
	}
	v, n := binary.Uvarint(r.b[r.off:])
	if n <= 0 || r.b[r.off+n-1] == 0 {
		r.bad = true
		return 0
	}
	r.off += n
	return v
}

// uvarintUpTo takes a number and refuses one above most.
func (r *reader) uvarintUpTo(most uint64) uint64 {
	v := r.uvarint()
	if v > most {
		r.bad = true
		return 0
	}
	return v
}

func (r *reader) varint() int64 {
	v := r.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// take returns the next n bytes as a view.
func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b)-r.off {
		r.bad = true
		return nil
	}
	v := r.b[r.off : r.off+n : r.off+n]
	r.off += n
	return v
}

// bytes returns a view of bytes that stand behind their length; nil if there are none.
func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n == 0 {
		return nil
	}
	if n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	return r.take(int(n))
}

// done reports whether everything was read without a fault.
func (r *reader) done() bool { return !r.bad && r.off == len(r.b) }
