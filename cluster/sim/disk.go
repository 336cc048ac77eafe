package sim

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"stampede/broker"
	"stampede/cluster"
	"stampede/storage"
)

// This file is a node's disk in memory: what was synced outlives a crash, what was not does so as chance wills.

// flushEvery is how often the state is written, as storage.Store does it.
const flushEvery = 30 * time.Millisecond

// Disk is what a node has across its lives. Open gives a handle for one life.
type Disk struct {
	mu       sync.Mutex // guards all below
	random   *rand.Rand
	slow     time.Duration // what an append takes at most
	next     time.Duration // what the next append to the log takes; 0: as slow says
	identity []byte
	entries  []raft.Log
	stable   map[string][]byte
	arriving []raft.Log // of an append under way
	state    image
	life     *life // the handle that may write
}

// image is the state as it is on disk.
type image struct {
	position storage.Position
	origin   storage.Position
	records  map[string][]byte
	messages []message
}

type message struct {
	stream uint32
	seq    uint64
	at     int64
	data   []byte
}

// NewDisk makes an empty disk.
func NewDisk(seed uint64) *Disk {
	return &Disk{
		random: rand.New(rand.NewPCG(seed, 1)), slow: time.Millisecond, stable: make(map[string][]byte),
		state: image{records: make(map[string][]byte)},
	}
}

// SetSlow says what an append takes at most.
func (d *Disk) SetSlow(most time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slow = most
}

// SetNext says what the next append to the log takes.
func (d *Disk) SetNext(exactly time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next = exactly
}

// appendDelay is what an append to the log takes.
func (d *Disk) appendDelay() time.Duration {
	d.mu.Lock()
	next := d.next
	d.next = 0
	d.mu.Unlock()
	if next > 0 {
		return next
	}
	return d.delay()
}

// Open gives the disk to a new life of its node.
func (d *Disk) Open() cluster.Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := &life{disk: d}
	d.life = l
	return l
}

// Crash takes the disk away from the life that has it. Of an append under way nothing, a beginning, or all is there.
func (d *Disk) Crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.life = nil
	if n := len(d.arriving); n > 0 {
		d.entries = append(d.entries, d.arriving[:d.random.IntN(n+1)]...)
		d.arriving = nil
	}
}

// delay is what one sync takes.
func (d *Disk) delay() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.slow/10 + time.Duration(d.random.Int64N(int64(d.slow)))
}

// life is a Disk as one life of the node sees it. When that has ended it takes everything and keeps nothing: the node cannot tell.
type life struct{ disk *Disk }

var _ cluster.Disk = (*life)(nil)

// own runs fn on the disk, unless the life has ended.
func (l *life) own(fn func(d *Disk)) {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	if l.disk.life == l {
		fn(l.disk)
	}
}

// Identity implements cluster.Disk.
func (l *life) Identity() ([]byte, error) {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	if l.disk.identity == nil {
		return nil, fs.ErrNotExist
	}
	return l.disk.identity, nil
}

// SaveIdentity implements cluster.Disk.
func (l *life) SaveIdentity(text []byte) error {
	time.Sleep(l.disk.delay())
	l.own(func(d *Disk) { d.identity = text })
	return nil
}

// OpenLog implements cluster.Disk.
func (l *life) OpenLog(storage.LogOptions) (cluster.LogStore, error) {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	return &logStore{life: l, entries: slices.Clone(l.disk.entries)}, nil
}

// OpenStore implements cluster.Disk.
func (l *life) OpenStore(o storage.Options) (cluster.StateStore, error) {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	return l.store(l.disk.state), nil
}

// Close implements cluster.Disk.
func (l *life) Close() error { return nil }

// logStore is Raft's log. A life that has ended goes on in its own copy.
type logStore struct {
	life *life

	mu      sync.Mutex
	entries []raft.Log // guarded by mu
}

var _ cluster.LogStore = (*logStore)(nil)

func (s *logStore) IsMonotonic() bool { return true }

func (s *logStore) FirstIndex() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.entries) == 0 {
		return 0, nil
	}
	return s.entries[0].Index, nil
}

func (s *logStore) LastIndex() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.entries) == 0 {
		return 0, nil
	}
	return s.entries[len(s.entries)-1].Index, nil
}

func (s *logStore) GetLog(index uint64, entry *raft.Log) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.entries) == 0 || index < s.entries[0].Index || index > s.entries[len(s.entries)-1].Index {
		return raft.ErrLogNotFound
	}
	*entry = s.entries[index-s.entries[0].Index]
	return nil
}

func (s *logStore) StoreLog(entry *raft.Log) error { return s.StoreLogs([]*raft.Log{entry}) }

// StoreLogs returns when the entries are synced; a crash meanwhile may leave some of them.
func (s *logStore) StoreLogs(logs []*raft.Log) error {
	arriving := make([]raft.Log, len(logs))
	for i, l := range logs {
		arriving[i] = *l
		arriving[i].Data = slices.Clone(l.Data)
	}
	s.life.own(func(d *Disk) { d.arriving = arriving })
	time.Sleep(s.life.disk.appendDelay())
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.entries); n > 0 && arriving[0].Index != s.entries[n-1].Index+1 {
		return fmt.Errorf("append of %d after %d", arriving[0].Index, s.entries[n-1].Index)
	}
	s.entries = append(s.entries, arriving...)
	s.life.own(func(d *Disk) { d.entries, d.arriving = append(d.entries, arriving...), nil })
	return nil
}

// DeleteRange cuts the head or the tail.
func (s *logStore) DeleteRange(first, last uint64) error {
	time.Sleep(s.life.disk.delay())
	s.mu.Lock()
	defer s.mu.Unlock()
	cut := func(entries []raft.Log) []raft.Log {
		return slices.DeleteFunc(slices.Clone(entries), func(l raft.Log) bool { return l.Index >= first && l.Index <= last })
	}
	s.entries = cut(s.entries)
	s.life.own(func(d *Disk) { d.entries = cut(d.entries) })
	return nil
}

func (s *logStore) Set(key, value []byte) error {
	time.Sleep(s.life.disk.delay())
	s.life.own(func(d *Disk) { d.stable[string(key)] = slices.Clone(value) })
	return nil
}

func (s *logStore) Get(key []byte) ([]byte, error) {
	s.life.disk.mu.Lock()
	defer s.life.disk.mu.Unlock()
	return s.life.disk.stable[string(key)], nil
}

func (s *logStore) SetUint64(key []byte, value uint64) error {
	return s.Set(key, fmt.Appendf(nil, "%d", value))
}

func (s *logStore) GetUint64(key []byte) (value uint64, err error) {
	text, err := s.Get(key)
	if err == nil && len(text) > 0 {
		_, err = fmt.Sscan(string(text), &value)
	}
	return value, err
}

// Covers implements cluster.LogStore as storage.Log does.
func (s *logStore) Covers(p storage.Position) error {
	if last, _ := s.LastIndex(); last < p.Index {
		return fmt.Errorf("%w: it ends at %d, the state is at %d", storage.ErrLogBehind, last, p.Index)
	}
	if first, _ := s.FirstIndex(); first > p.Index+1 {
		return fmt.Errorf("%w: it begins at %d, the state is at %d", storage.ErrLogBehind, first, p.Index)
	}
	var entry raft.Log
	if p.Index > 0 && s.GetLog(p.Index, &entry) == nil && entry.Term != p.Term {
		return fmt.Errorf("%w: entry %d has term %d, the state folded term %d", storage.ErrLogBehind, p.Index, entry.Term, p.Term)
	}
	return nil
}

func (s *logStore) Stats() storage.LogStats { return storage.LogStats{} }
func (s *logStore) Close() error            { return nil }

// stateStore is the state and the messages, written behind.
type stateStore struct {
	life *life

	mu       sync.Mutex // guards all below
	position storage.Position
	origin   storage.Position
	records  map[string][]byte // durable
	messages []message         // all, in order
	durable  int               // how many of them
	pending  []commit
}

type commit struct {
	position storage.Position
	changes  []byte
	messages int // how many there were
}

var _ cluster.StateStore = (*stateStore)(nil)

func (s *stateStore) Append(stream uint32, seq uint64, at int64, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, message{stream, seq, at, data})
}

func (s *stateStore) Commit(pos storage.Position, changes []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = append(s.pending, commit{pos, changes, len(s.messages)})
}

// flush writes what was committed.
func (s *stateStore) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) == 0 {
		return
	}
	for _, c := range s.pending {
		broker.ReadChanges(c.changes, func(key, value []byte) bool {
			if value == nil {
				delete(s.records, string(key))
			} else {
				s.records[string(key)] = value
			}
			return true
		})
		s.position, s.durable = c.position, c.messages
	}
	s.pending = nil
	s.life.own(func(d *Disk) {
		d.state = s.imageLocked()
	})
}

// Run flushes now and then.
func (s *stateStore) Run(ctx context.Context) error {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			s.flush()
			return nil
		case <-ticker.C:
			s.flush()
		}
	}
}

func (s *stateStore) Full() bool { return false }

func (s *stateStore) Position() storage.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.position
}

func (s *stateStore) Records() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		for _, key := range slices.Sorted(maps.Keys(s.records)) {
			if !yield([]byte(key), s.records[key]) {
				return
			}
		}
	}
}

// from copies the messages from a seq on: readers see no change of the list.
func (s *stateStore) from(seq uint64) []message {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, _ := slices.BinarySearchFunc(s.messages, seq, func(m message, seq uint64) int { return cmp.Compare(m.seq, seq) })
	return s.messages[i:len(s.messages):len(s.messages)]
}

func (s *stateStore) Get(seq uint64) ([]byte, bool, error) {
	if rest := s.from(seq); len(rest) > 0 && rest[0].seq == seq {
		return rest[0].data, true, nil
	}
	return nil, false, nil
}

func (s *stateStore) Scan(from uint64, fn func(stream uint32, seq uint64, data []byte) bool) error {
	for _, m := range s.from(from) {
		if !fn(m.stream, m.seq, m.data) {
			break
		}
	}
	return nil
}

func (s *stateStore) ScanStream(stream uint32, from uint64, fn func(seq uint64, data []byte) bool) error {
	for _, m := range s.from(from) {
		if m.stream == stream && !fn(m.seq, m.data) {
			break
		}
	}
	return nil
}

func (s *stateStore) SeqAt(at int64) (seq uint64, ok bool, err error) {
	for _, m := range s.from(0) {
		if m.at >= at {
			return m.seq, true, nil
		}
	}
	return 0, false, nil
}

func (s *stateStore) Sync(context.Context) error { s.flush(); return nil }

func (s *stateStore) Verify(context.Context, func(done, total uint64)) error { return nil }

func (s *stateStore) Stats() storage.StoreStats { return storage.StoreStats{} }
func (s *stateStore) Close() error              { return nil }
