package broker

import (
	"encoding/binary"
	"iter"
	"math/bits"
)

// This file keeps the records: the form in which the state is stored, and of which its digest is made.
// A record is a key and a value; FORMAT.md has the tables. What changes is marked, and encoded when somebody asks.

// The first byte of a record's key. Records in the order of their keys can be restored in one pass: what a record refers to comes before it.
const (
	recordState        = 1
	recordNode         = 2
	recordPolicy       = 3
	recordSession      = 4
	recordTopic        = 5
	recordUser         = 6
	recordWaiting      = 7
	recordQueue        = 8
	recordSubscription = 9
	recordEntry        = 10
)

// recordFormat1 is the first byte of the state's own record and says how all records are written.
const recordFormat1 = 1

// recorder is a thing that has a record.
type recorder interface {
	record() *recordMeta
	appendKey(dst []byte) []byte
	appendValue(dst []byte) []byte
}

// holder is a recorder that keeps smaller things with records of their own.
type holder interface {
	recorder
	syncParts(s *State)
}

// recordMeta is what a recorder keeps for its record.
type recordMeta struct {
	hash   uint64 // of the record, if stored
	stored bool   // the record is in the digest
	dirty  bool   // recordKeeper.dirty names its owner
	gone   bool   // the owner has left the state
}

// recordKeeper holds the digest and what it still lacks.
type recordKeeper struct {
	digest  uint64
	dirty   []recorder
	pending []byte // changes that nobody has asked for yet
	key     []byte // scratch
	value   []byte // scratch
}

// touch marks a recorder whose record may have changed.
func (s *State) touch(r recorder) {
	m := r.record()
	if m.dirty {
		return
	}
	m.dirty = true
	k := &s.keeper
	if len(k.dirty) == cap(k.dirty) {
		k.dropGone()
	}
	k.dirty = append(k.dirty, r)
}

// dropGone forgets what came and went since the last time that somebody asked.
func (k *recordKeeper) dropGone() {
	kept := k.dirty[:0]
	for _, r := range k.dirty {
		if m := r.record(); m.gone && !m.stored {
			m.dirty = false
		} else {
			kept = append(kept, r)
		}
	}
	clear(k.dirty[len(kept):])
	k.dirty = kept
	if cap(kept) < 2*len(kept) {
		k.dirty = append(make([]recorder, 0, 2*len(kept)+64), kept...)
	}
}

// forget marks a recorder that has left the state.
func (s *State) forget(r recorder) {
	m := r.record()
	m.gone = true
	if m.stored {
		s.touch(r)
	}
}

// sync brings the records up to date.
func (s *State) sync() {
	k := &s.keeper
	for i := 0; i < len(k.dirty); i++ {
		r := k.dirty[i]
		m := r.record()
		m.dirty = false
		if m.gone {
			if m.stored {
				k.key = r.appendKey(k.key[:0])
				k.drop(m.hash)
				m.stored = false
			}
			continue
		}
		k.encode(r)
		m.hash = k.put(m.hash)
		m.stored = true
		if h, ok := r.(holder); ok {
			h.syncParts(s)
		}
	}
	clear(k.dirty)
	k.dirty = k.dirty[:0]
}

// encode writes a recorder's record into the scratch of the keeper.
func (k *recordKeeper) encode(r recorder) {
	k.key = r.appendKey(k.key[:0])
	k.value = r.appendValue(k.value[:0])
}

// put notes the record in the scratch, whose hash was old, 0 for a new one, and returns its hash.
func (k *recordKeeper) put(old uint64) uint64 {
	hash := recordHash(k.key, k.value)
	if hash == old {
		return hash
	}
	k.digest += hash - old
	k.pending = appendBytes(k.pending, k.key)
	k.pending = appendUvarint(k.pending, uint64(len(k.value))+1)
	k.pending = append(k.pending, k.value...)
	return hash
}

// drop notes that the record whose key is in the scratch, with that hash, is no more.
func (k *recordKeeper) drop(hash uint64) {
	k.digest -= hash
	k.pending = appendBytes(k.pending, k.key)
	k.pending = append(k.pending, 0)
}

// Digest returns a number that is equal for equal states, whatever way they were reached. It brings the records up to date,
// and what it finds changed waits for Changes: whoever calls one often must call the other now and then.
func (s *State) Digest() uint64 {
	s.sync()
	return s.keeper.digest
}

// Changes hands over, and forgets, how the records changed since the last call: for each the length of the key and the key;
// then 0 if the record is no more, else one more than the length of the value, and the value. Of two for one key the later one holds.
func (s *State) Changes() []byte {
	s.sync()
	changes := s.keeper.pending
	s.keeper.pending = make([]byte, 0, min(len(changes), 1<<20))
	return changes
}

// ReadChanges calls fn for each change in what Changes returned, with a nil value for a record that is no more, until fn returns false.
// It reports whether the bytes were well-formed as far as they were read.
func ReadChanges(changes []byte, fn func(key, value []byte) bool) bool {
	r := reader{b: changes}
	for r.off < len(changes) {
		key := r.bytes()
		var value []byte
		if n := r.uvarintUpTo(uint64(len(changes)) + 1); n > 0 {
			value = r.take(int(n - 1))
		}
		if r.bad || len(key) == 0 {
			return false
		}
		if !fn(key, value) {
			return true
		}
	}
	return true
}

// Records yields all records in the order of their keys, as Restore wants them. Both slices are the caller's.
func (s *State) Records() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) { s.eachRecord(yield) }
}

// recordHash mixes a key and a value into a number. It is part of the format: a digest is compared between programs.
func recordHash(key, value []byte) uint64 {
	h := hashBytes(0x9e3779b97f4a7c15, key)
	h = hashBytes(h, value)
	if h == 0 {
		return 1 // 0 means that there is no record
	}
	return h
}

func hashBytes(seed uint64, b []byte) uint64 {
	const (
		k1 = 0xa0761d6478bd642f
		k2 = 0xe7037ed1a0b428db
		k3 = 0x8ebc6af09c88c6e3
	)
	h := seed ^ uint64(len(b))*k3
	for len(b) >= 8 {
		h = mix(binary.LittleEndian.Uint64(b)^k1, h^k2)
		b = b[8:]
	}
	var last uint64
	for i, c := range b {
		last |= uint64(c) << (8 * i)
	}
	return mix(mix(last^k1, h^k2)^k3, h^k1)
}

// mix multiplies to 128 bits and mixes the halves.
func mix(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return high ^ low
}
