package storage

// Changes: what the fold hands over of its state records, and how several buffers of them become one sorted list.

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
)

// change is one record written or removed. Key and value are views into the buffer they came in.
type change struct {
	key, value []byte
	order      int
	deleted    bool
}

// appendChanges parses one buffer: repeated [uvarint len(key)][key][uvarint len(value)+1, 0 = removed][value].
func appendChanges(dst []change, b []byte) ([]change, error) {
	for len(b) > 0 {
		key, rest, err := cutCounted(b, 0)
		if err != nil || len(key) == 0 || len(key) > keyBytesMax {
			return dst, fmt.Errorf("%w: change %d has a key of %d bytes", ErrCorrupt, len(dst), len(key))
		}
		c := change{key: key, order: len(dst)}
		if len(rest) > 0 && rest[0] == 0 {
			c.deleted, b = true, rest[1:]
		} else if c.value, b, err = cutCounted(rest, 1); err != nil {
			return dst, fmt.Errorf("change %d: %w", len(dst), err)
		}
		dst = append(dst, c)
	}
	return dst, nil
}

// cutCounted takes bytes that come after their length, which was written plus bias.
func cutCounted(b []byte, bias uint64) (counted, rest []byte, err error) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n < bias || n-bias > uint64(len(b)-used) {
		return nil, nil, fmt.Errorf("%w: cut in a length of %d", ErrCorrupt, n)
	}
	end := used + int(n-bias)
	return b[used:end:end], b[end:], nil
}

// coalesce sorts by key and keeps the last change of each.
func coalesce(changes []change) []change {
	slices.SortFunc(changes, func(a, b change) int {
		if c := bytes.Compare(a.key, b.key); c != 0 {
			return c
		}
		return cmp.Compare(b.order, a.order)
	})
	return slices.CompactFunc(changes, func(a, b change) bool { return bytes.Equal(a.key, b.key) })
}
