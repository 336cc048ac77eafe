package brokertest

import (
	"bytes"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"stampede/broker"
)

// Journal folds events, remembers them as bytes, and keeps the records as a store would. Its laws are checked by Verify.
type Journal struct {
	State *broker.State
	Fx    broker.Effects // of the last event

	limits  broker.Limits
	decoder *broker.Decoder
	entries []journalEntry
	every   int // how many events pass between two calls of Changes
	records map[string][]byte
}

type journalEntry struct {
	at      broker.Instant
	origin  broker.Origin
	fact    []byte
	effects string
	next    broker.Seq
}

// NewJournal returns a journal that asks for changes after every so many events.
func NewJournal(limits broker.Limits, every int) *Journal {
	return &Journal{
		State: broker.New(limits), limits: limits, decoder: broker.NewDecoder(),
		every: max(every, 1), records: make(map[string][]byte),
	}
}

// Apply folds an event by way of its bytes.
func (j *Journal) Apply(e broker.Event) []broker.Effect {
	entry := journalEntry{at: e.At, origin: e.Origin, fact: broker.AppendFact(nil, e.Fact)}
	e.Fact = decode(j.decoder, entry.fact)
	j.Fx.Reset()
	j.State.Apply(e, &j.Fx)
	entry.effects, entry.next = Render(&j.Fx), j.State.Next()
	j.entries = append(j.entries, entry)
	if len(j.entries)%j.every == 0 {
		keep(j.records, j.State.Changes())
	}
	return j.Fx.List
}

func decode(d *broker.Decoder, b []byte) broker.Fact {
	f, n, err := d.Fact(b)
	if err != nil || n != len(b) {
		panic(fmt.Sprintf("decode %x: %d bytes, %v", b, n, err))
	}
	return f
}

// keep does what a store does with changes.
func keep(records map[string][]byte, changes []byte) {
	ok := broker.ReadChanges(changes, func(key, value []byte) bool {
		if value == nil {
			delete(records, string(key))
		} else {
			records[string(key)] = bytes.Clone(value)
		}
		return true
	})
	if !ok {
		panic(fmt.Sprintf("changes are not well-formed: %x", changes))
	}
}

// Sorted yields records in the order of their keys.
func Sorted(records map[string][]byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		for _, key := range slices.Sorted(maps.Keys(records)) {
			if !yield([]byte(key), records[key]) {
				return
			}
		}
	}
}

// Render writes effects with every field, so that two lists are equal if their texts are.
func Render(fx *broker.Effects) string {
	var b strings.Builder
	for _, e := range fx.List {
		var message []byte
		if e.Message != nil {
			message = broker.AppendMessage(nil, e.Message)
			e.Message = nil
		}
		fmt.Fprintf(&b, "%s %+v %x\n", e.Kind, e, message)
	}
	return b.String()
}

// Verify checks that the log folded anew gives the same effects, records and digest, and that a state restored
// at about so many points of the log goes on like the one that was there all the time.
func (j *Journal) Verify(points int) error {
	keep(j.records, j.State.Changes())
	if err := sameRecords(j.records, j.State); err != nil {
		return fmt.Errorf("kept records: %w", err)
	}
	stride := max(len(j.entries)/max(points, 1), 1)
	again := broker.New(j.limits)
	records := make(map[string][]byte)
	for i := range j.entries {
		if i%stride == 0 {
			keep(records, again.Changes())
			if err := j.verifyFrom(i, records); err != nil {
				return fmt.Errorf("restored before event %d of %d: %w", i, len(j.entries), err)
			}
		}
		if err := j.step(again, i); err != nil {
			return fmt.Errorf("replay: %w", err)
		}
	}
	keep(records, again.Changes())
	if err := j.verifyFrom(len(j.entries), records); err != nil {
		return fmt.Errorf("restored at the end: %w", err)
	}
	return j.same(again)
}

// verifyFrom restores records and folds the tail.
func (j *Journal) verifyFrom(i int, records map[string][]byte) error {
	s, err := broker.Restore(j.limits, Sorted(records))
	if err != nil {
		return err
	}
	if err := s.Check(); err != nil {
		return err
	}
	if changes := s.Changes(); i > 0 && len(changes) > 0 {
		return fmt.Errorf("a restored state has changes: %x", changes)
	}
	if err := sameRecords(records, s); i > 0 && err != nil {
		return err
	}
	for ; i < len(j.entries); i++ {
		if err := j.step(s, i); err != nil {
			return err
		}
	}
	return j.same(s)
}

// step folds one remembered event into another state and compares what follows.
func (j *Journal) step(s *broker.State, i int) error {
	entry := &j.entries[i]
	var fx broker.Effects
	f := decode(broker.NewDecoder(), entry.fact)
	s.Apply(broker.Event{At: entry.at, Origin: entry.origin, Fact: f}, &fx)
	if got := Render(&fx); got != entry.effects {
		return fmt.Errorf("effects of event %d (%s) are\n%swant\n%s", i, broker.KindName(f), got, entry.effects)
	}
	if s.Next() != entry.next {
		return fmt.Errorf("next place after event %d is %d, want %d", i, s.Next(), entry.next)
	}
	return nil
}

func (j *Journal) same(s *broker.State) error {
	if err := s.Check(); err != nil {
		return err
	}
	if got, want := s.Digest(), j.State.Digest(); got != want {
		return fmt.Errorf("digest is %x, want %x", got, want)
	}
	gotAt, gotOK := s.NextDue()
	wantAt, wantOK := j.State.NextDue()
	if gotAt != wantAt || gotOK != wantOK {
		return fmt.Errorf("next due is %d %v, want %d %v", gotAt, gotOK, wantAt, wantOK)
	}
	return nil
}

func sameRecords(records map[string][]byte, s *broker.State) error {
	n := 0
	var last []byte
	for key, value := range s.Records() {
		n++
		if bytes.Compare(key, last) <= 0 {
			return fmt.Errorf("record %x comes after %x", key, last)
		}
		last = key
		if kept, ok := records[string(key)]; !ok || !bytes.Equal(kept, value) {
			return fmt.Errorf("record %x is %x, changes said %x", key, value, kept)
		}
	}
	if n != len(records) {
		return fmt.Errorf("%d records, changes left %d", n, len(records))
	}
	return nil
}
