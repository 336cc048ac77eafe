package storage

// Reading: what is sealed, what is in state.db and what is pending, as one ascending row of messages.

import (
	"errors"
	"fmt"
	"slices"
	"sort"
)

// scratchBytesMax is how large a block buffer may be that is kept for the next reader.
const scratchBytesMax = 1 << 20

// Get returns the message at seq. The bytes are the caller's to keep and not to change.
func (s *Store) Get(seq uint64) ([]byte, bool, error) {
	var data []byte
	found := false
	err := s.scan(seq, nil, func(m message) bool {
		if m.seq == seq {
			data, found = m.data, true
		}
		return false
	})
	return data, found, err
}

// Scan calls fn for every message at or after from in ascending order, until fn says false or the end is reached as it is then.
// The data is the callee's to keep and not to change; it may share memory with its neighbours' (at most one block).
func (s *Store) Scan(from uint64, fn func(stream uint32, seq uint64, data []byte) bool) error {
	return s.scan(from, nil, func(m message) bool { return fn(m.stream, m.seq, m.data) })
}

// ScanStream is Scan for the messages of one stream.
func (s *Store) ScanStream(stream uint32, from uint64, fn func(seq uint64, data []byte) bool) error {
	return s.scan(from, &stream, func(m message) bool { return fn(m.seq, m.data) })
}

// SeqAt returns the first message at or after an instant, as the instants given to Append go.
func (s *Store) SeqAt(at int64) (seq uint64, ok bool, err error) {
	from, err := s.before(at)
	if err != nil {
		return 0, false, err
	}
	err = s.scan(from, nil, func(m message) bool {
		seq, ok = m.seq, m.at >= at
		return !ok
	})
	if !ok {
		seq = 0
	}
	return seq, ok, err
}

// scan goes from segment to segment, each in the newest view, and ends with what is pending.
// A nil stream means all.
func (s *Store) scan(from uint64, stream *uint32, fn func(m message) bool) error {
	sc := s.scratches.Get().(*scratch)
	defer func() {
		if cap(sc.block) <= scratchBytesMax {
			s.scratches.Put(sc)
		}
	}()
	var kept arena
	for {
		v := s.view.Load()
		src, ok, err := s.sourceAt(v, from)
		if err != nil {
			return err
		}
		if !ok {
			scanPending(v.pending, from, stream, fn)
			return nil
		}
		p := pass{src: src, sc: sc, from: from, stream: stream, fn: fn, arena: &kept}
		err = p.run()
		last := src.info().last
		src.done()
		switch {
		case errors.Is(err, errMoved): // p.from is where to go on in the newest view
			from = p.from
		case err != nil || p.stopped:
			return err
		default:
			from = last + 1
		}
	}
}

// sourceAt opens the segment that has the first message at or after from; not ok when only pending ones can.
func (s *Store) sourceAt(v *view, from uint64) (src source, ok bool, err error) {
	if from > v.last || v.last == 0 {
		return nil, false, nil
	}
	i := sort.Search(len(v.sealed), func(i int) bool { return v.sealed[i].last >= from })
	if i < len(v.sealed) {
		f, err := s.files.acquire(v.sealed[i])
		if err != nil {
			return nil, false, err
		}
		return fileSource{f, s.files}, true, nil
	}
	i = sort.Search(len(v.unsealed), func(i int) bool { return v.unsealed[i].last >= from })
	if i == len(v.unsealed) {
		return nil, false, fmt.Errorf("%w: no segment up to %d", ErrCorrupt, v.last)
	}
	return stateSource{v.unsealed[i], s.db}, true, nil
}

// pass reads one segment.
type pass struct {
	src     source
	sc      *scratch
	from    uint64 // what is delivered next lies at or after it
	stream  *uint32
	fn      func(m message) bool
	arena   *arena
	stopped bool
}

func (p *pass) run() error {
	info := p.src.info()
	p.from = max(p.from, info.first)
	place, ok, err := p.nextPlace()
	if err != nil || !ok {
		return err
	}
	at, err := p.src.find(place, p.sc)
	if err != nil {
		return err
	}
	for !p.stopped && p.from <= info.last {
		next, ok, err := p.src.load(at, p.sc)
		if err != nil || !ok {
			return err
		}
		if err := p.deliver(); err != nil || p.stopped {
			return err
		}
		if at = next; p.stream == nil || p.from > info.last {
			continue
		}
		place, ok, err := p.nextPlace()
		if err != nil || !ok {
			return err
		}
		if at, err = p.src.find(place, p.sc); err != nil {
			return err
		}
	}
	return nil
}

// nextPlace returns the first place to read.
func (p *pass) nextPlace() (place uint32, ok bool, err error) {
	place = p.src.info().place(p.from)
	if p.stream == nil {
		return place, true, nil
	}
	return p.src.nextOf(*p.stream, place, p.sc)
}

func (p *pass) wants(m *message) bool {
	return m.seq >= p.from && (p.stream == nil || m.stream == *p.stream)
}

// deliver calls fn for the wanted messages of the loaded block.
func (p *pass) deliver() error {
	r, err := openBlock(p.sc.block)
	if err != nil {
		return fmt.Errorf("segment %d: %w", p.src.info().first, err)
	}
	for r.next() {
		if !p.wants(&r.m) {
			continue
		}
		m := r.m
		m.data = p.arena.keep(r.m.data)
		p.from = m.seq + 1
		if !p.fn(m) {
			p.stopped = true
			return nil
		}
	}
	if r.err != nil {
		return fmt.Errorf("segment %d: %w", p.src.info().first, r.err)
	}
	p.from = max(p.from, r.m.seq+1)
	return nil
}

// arena copies small things into shared memory: exact for the first, then in pieces that double, so that a reader who
// stops early pays for little and one who goes on allocates seldom.
type arena struct{ buf []byte }

func (a *arena) keep(b []byte) []byte {
	if len(b) > cap(a.buf)-len(a.buf) {
		a.buf = make([]byte, 0, max(len(b), min(2*cap(a.buf), blockBytesMax)))
	}
	start := len(a.buf)
	a.buf = append(a.buf, b...)
	return a.buf[start:len(a.buf):len(a.buf)]
}

func scanPending(c cursor, from uint64, stream *uint32, fn func(m message) bool) {
	c.seek(from)
	for m := c.next(); m != nil; m = c.next() {
		if stream != nil && m.stream != *stream {
			continue
		}
		if !fn(message{seq: m.seq, at: m.at, stream: m.stream, data: slices.Clip(m.data)}) {
			return
		}
	}
}

// before returns a place at or before the first message of at or later, at most a block away from it.
func (s *Store) before(at int64) (uint64, error) {
	for {
		v := s.view.Load()
		from, err := s.beforeIn(v, at)
		if !errors.Is(err, errMoved) {
			return from, err
		}
	}
}

func (s *Store) beforeIn(v *view, at int64) (uint64, error) {
	from := v.last + 1
	if i := sort.Search(len(v.sealed), func(i int) bool { return v.sealed[i].lastAt >= at }); i < len(v.sealed) {
		from = v.sealed[i].first
	} else if i := sort.Search(len(v.unsealed), func(i int) bool { return v.unsealed[i].lastAt >= at }); i < len(v.unsealed) {
		from = v.unsealed[i].first
	}
	src, ok, err := s.sourceAt(v, from)
	if err != nil || !ok {
		return from, err
	}
	defer src.done()
	sc := new(scratch)
	low, high := 0, src.blockCount() // the first block that begins at or after at
	for low < high {
		mid := (low + high) / 2
		h, err := loadHeader(src, mid, sc)
		if err != nil {
			return 0, err
		}
		if h.at < at {
			low, from = mid+1, h.first
		} else {
			high = mid
		}
	}
	return from, nil
}

func loadHeader(src source, n int, sc *scratch) (blockHeader, error) {
	at, err := src.nth(n, sc)
	if err != nil {
		return blockHeader{}, err
	}
	if _, ok, err := src.load(at, sc); err != nil || !ok {
		return blockHeader{}, errors.Join(err, fmt.Errorf("read block %d of segment %d", n, src.info().first))
	}
	if _, err := openBlock(sc.block); err != nil {
		return blockHeader{}, err
	}
	return parseBlockHeader(sc.block)
}
