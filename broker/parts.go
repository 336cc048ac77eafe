package broker

import "encoding/binary"

// This file keeps the records of the small things that there are millions of: messages in queues and waiting messages of users.

// dirtyEntry names an entry whose record may have changed. The place tells whether the reference still means that message.
type dirtyEntry struct {
	place Seq
	ref   uint32
}

// dirtyKeep is how large a list of dirty entries may be to be used again.
const dirtyKeep = 1 << 16

// touchEntry marks an entry whose record may have changed.
func (s *State) touchEntry(q *queue, ref uint32, e *entry) {
	if e.flags&entryDirty != 0 {
		return
	}
	e.flags |= entryDirty
	if len(q.dirty) == cap(q.dirty) {
		q.dropSettled(&s.entries)
	}
	q.dirty = append(q.dirty, dirtyEntry{e.place, ref})
	s.touch(q)
}

// dropSettled forgets the dirty entries that have left the queue, and makes room.
func (q *queue) dropSettled(entries *slab) {
	kept := q.dirty[:0]
	for _, d := range q.dirty {
		if entries.live(d.ref, d.place) != nil {
			kept = append(kept, d)
		}
	}
	q.dirty = kept
	if cap(kept) < 2*len(kept)+8 {
		q.dirty = append(make([]dirtyEntry, 0, 2*len(kept)+16), kept...)
	}
}

// forgetEntry takes the record of an entry that leaves its queue out of the digest, if it ever was in it.
func (s *State) forgetEntry(q *queue, e *entry) {
	if e.flags&entryRecorded == 0 {
		return
	}
	k := &s.keeper
	k.key = q.appendEntryKey(k.key[:0], e.place)
	k.drop(e.hash)
}

// syncParts brings the records of the queue's messages up to date.
func (q *queue) syncParts(s *State) {
	k := &s.keeper
	for _, d := range q.dirty {
		e := s.entries.live(d.ref, d.place)
		if e == nil {
			continue
		}
		k.key = q.appendEntryKey(k.key[:0], e.place)
		k.value = s.appendEntry(k.value[:0], q, e)
		old := uint64(0)
		if e.flags&entryRecorded != 0 {
			old = e.hash
		}
		e.hash = k.put(old)
		e.flags = e.flags&^entryDirty | entryRecorded
	}
	q.dirty = q.dirty[:0]
	if cap(q.dirty) > dirtyKeep {
		q.dirty = nil
	}
}

// The flags of an entry's record.
const (
	entryRecordRedelivered = 1 << iota
	entryRecordUnsettled   // owner, tag and time follow
	entryRecordExpires     // the end of its time follows
	entryRecordDead        // what is known of a dead letter follows
	entryRecordUnclaimed   // the time since when it has waited for a subscription of its exclusive queue follows
	entryRecordFlags       = 1<<iota - 1
)

func (q *queue) appendEntryKey(dst []byte, place Seq) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, recordEntry), q.id)
	return binary.BigEndian.AppendUint64(dst, uint64(place))
}

func (s *State) appendEntry(dst []byte, q *queue, e *entry) []byte {
	var flags byte
	if e.flags&entryRedelivered != 0 {
		flags |= entryRecordRedelivered
	}
	if e.flags&entryUnsettled != 0 {
		flags |= entryRecordUnsettled
	}
	if e.expiresAt != 0 {
		flags |= entryRecordExpires
	}
	if e.flags&entryDead != 0 {
		flags |= entryRecordDead
	}
	since, unclaimed := q.unclaimedSince(e.place)
	if unclaimed {
		flags |= entryRecordUnclaimed
	}
	dst = append(dst, flags)
	dst = appendUvarint(dst, uint64(e.size))
	dst = appendUvarint(dst, uint64(e.deliveries))
	dst = appendUvarint(dst, uint64(e.failures))
	dst = appendUvarint(dst, uint64(e.returns))
	if flags&entryRecordExpires != 0 {
		dst = appendVarint(dst, int64(e.expiresAt))
	}
	if unclaimed {
		dst = appendVarint(dst, int64(since))
	}
	if flags&entryRecordUnsettled != 0 {
		sub := s.subs[e.owner]
		i, _ := sub.window.find(e.link)
		dst = appendUvarint(dst, sub.ordinal)
		dst = appendUvarint(dst, e.link)
		dst = appendVarint(dst, int64(sub.window.slots[i].at))
	}
	if flags&entryRecordDead != 0 {
		l := q.letters[e.place]
		dst = appendUvarint(dst, uint64(l.body))
		dst = appendString(dst, l.from)
		dst = append(dst, byte(l.reason))
		dst = appendUvarint(dst, uint64(l.count))
	}
	return dst
}

// syncParts brings the records of what waits for the user up to date: those behind the last recorded one are new.
func (u *userDest) syncParts(s *State) {
	list := u.list()
	fresh := len(list)
	for fresh > 0 && list[fresh-1].seq > u.recorded {
		fresh--
	}
	for _, w := range list[fresh:] {
		s.keeper.encodeWaiting(u, w)
		s.keeper.put(0)
		u.recorded = w.seq
	}
}

// forgetWaiting takes the record of a message that does not wait any more out of the digest.
func (s *State) forgetWaiting(u *userDest, w waitingMessage) {
	k := &s.keeper
	k.encodeWaiting(u, w)
	k.drop(recordHash(k.key, k.value))
}

func (k *recordKeeper) encodeWaiting(u *userDest, w waitingMessage) {
	k.key = u.appendWaitingKey(k.key[:0], w.seq)
	k.value = w.appendValue(k.value[:0])
}

func (u *userDest) appendWaitingKey(dst []byte, seq Seq) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, recordWaiting), u.stream)
	return binary.BigEndian.AppendUint64(dst, uint64(seq))
}

func (w waitingMessage) appendValue(dst []byte) []byte { return appendVarint(dst, int64(w.at)) }

// metaRecord is the record of what the state has only one of.
type metaRecord struct {
	state *State
	rec   recordMeta
}

func (m *metaRecord) record() *recordMeta { return &m.rec }

func (m *metaRecord) appendKey(dst []byte) []byte { return append(dst, recordState) }

func (m *metaRecord) appendValue(dst []byte) []byte {
	s := m.state
	dst = append(dst, recordFormat1)
	dst = appendUvarint(dst, uint64(s.version))
	dst = appendUvarint(dst, uint64(s.next))
	dst = appendVarint(dst, int64(s.clock))
	dst = appendUvarint(dst, uint64(s.lastStream))
	dst = appendUvarint(dst, s.lastOrdinal)
	return appendLimits(dst, s.limits)
}
