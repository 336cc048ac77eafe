package cluster

// This file holds the streams: which topic and user destinations have messages, under which number, and up to where.

import (
	"sync"
	"sync/atomic"

	"stampede/broker"
)

// stream is a topic's or user destination's messages in the store. Queues are not streams: their messages are found by Seq.
type stream struct {
	id    uint32
	dest  string
	last  atomic.Uint64 // Seq of the last message
	first atomic.Uint64 // Seq of the first one; 0 while nobody has asked
}

// streams finds a stream by name or number. The fold's goroutine writes, any number read.
type streams struct {
	mu     sync.RWMutex // guards both maps
	byDest map[string]*stream
	byID   map[uint32]*stream

	recent *stream // the fold's own: the stream of the message before, since messages come in runs
}

func newStreams() *streams {
	return &streams{byDest: make(map[string]*stream), byID: make(map[uint32]*stream)}
}

// fill forgets all and reads the streams from the state.
func (s *streams) fill(state *broker.State) {
	byDest, byID := make(map[string]*stream), make(map[uint32]*stream)
	state.Destinations(func(d broker.DestinationInfo) bool {
		if d.Stream != 0 && d.LastSeq != 0 {
			st := &stream{id: d.Stream, dest: d.Name}
			st.last.Store(uint64(d.LastSeq))
			if old := s.find(d.Name); old != nil && old.id == st.id {
				st.first.Store(old.first.Load())
			}
			byDest[st.dest], byID[st.id] = st, st
		}
		return true
	})
	s.mu.Lock()
	s.byDest, s.byID, s.recent = byDest, byID, nil
	s.mu.Unlock()
}

// stored notes a message of stream id. Only the fold's goroutine calls it, so it may read the maps without the lock.
func (s *streams) stored(id uint32, dest string, seq broker.Seq) {
	st := s.recent
	if st == nil || st.id != id {
		if st = s.byID[id]; st == nil {
			st = s.add(id, dest, seq)
		}
		s.recent = st
	}
	st.last.Store(uint64(seq))
}

func (s *streams) add(id uint32, dest string, first broker.Seq) *stream {
	st := &stream{id: id, dest: dest}
	st.first.Store(uint64(first))
	s.mu.Lock()
	s.byDest[dest], s.byID[id] = st, st
	s.mu.Unlock()
	return st
}

// find returns the stream of dest, nil when it has no messages.
func (s *streams) find(dest string) *stream {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byDest[dest]
}

// dest returns the name of stream id, "" when it is not known.
func (s *streams) dest(id uint32) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if st := s.byID[id]; st != nil {
		return st.dest
	}
	return ""
}

func (s *streams) count() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.byID)
}
