package broker

import "math/bits"

// This file holds a set of small numbers that finds the next member in a few steps, however many are absent.

// bitset keeps a second level with one bit for each word that is not zero.
type bitset struct {
	words   []uint64
	summary []uint64
}

func (b *bitset) set(i int) {
	w := i >> 6
	for w >= len(b.words) {
		b.words = append(b.words, 0)
	}
	for w>>6 >= len(b.summary) {
		b.summary = append(b.summary, 0)
	}
	b.words[w] |= 1 << (i & 63)
	b.summary[w>>6] |= 1 << (w & 63)
}

func (b *bitset) clear(i int) {
	w := i >> 6
	if w >= len(b.words) {
		return
	}
	b.words[w] &^= 1 << (i & 63)
	if b.words[w] == 0 {
		b.summary[w>>6] &^= 1 << (w & 63)
	}
}

func (b *bitset) has(i int) bool {
	w := i >> 6
	return w < len(b.words) && b.words[w]&(1<<(i&63)) != 0
}

// next returns the first member that is not below i, or else the first of all.
func (b *bitset) next(i int) (int, bool) {
	if at, ok := b.from(i); ok {
		return at, true
	}
	return b.from(0)
}

func (b *bitset) from(i int) (int, bool) {
	w := i >> 6
	if w >= len(b.words) {
		return 0, false
	}
	if rest := b.words[w] >> (i & 63); rest != 0 {
		return i + bits.TrailingZeros64(rest), true
	}
	w++
	for s := w >> 6; s < len(b.summary); s++ {
		word := b.summary[s]
		if s == w>>6 {
			word = word >> (w & 63) << (w & 63)
		}
		if word != 0 {
			w = s<<6 + bits.TrailingZeros64(word)
			return w<<6 + bits.TrailingZeros64(b.words[w]), true
		}
	}
	return 0, false
}
