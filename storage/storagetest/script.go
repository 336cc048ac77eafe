package storagetest

// Script: a workload that is a pure function of its seed, and the check against it.

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"stampede/storage"
)

const (
	// seqsAStep is how many places each step owns; it uses some of them.
	seqsAStep = 64
	// streams and keys are few, so that a short script meets each often.
	streams = 7
	keys    = 40
)

// Script is a workload. Equal scripts make equal steps.
type Script struct {
	Seed        uint64
	MessagesMax int // messages a step, at most; 64 is the most it may be
	BytesMax    int // bytes of most messages, at most; one in fifty has ten times as many
}

// Message is one message of a step.
type Message struct {
	Stream uint32
	Seq    uint64
	At     int64
	Data   []byte
}

// Step is what is appended and committed together.
type Step struct {
	Messages []Message
	Changes  []byte
	Position storage.Position
}

// Step returns step n, counted from 1.
func (s Script) Step(n uint64) Step {
	r := rand.New(rand.NewPCG(s.Seed, n)) //nolint:gosec // a workload, not a secret
	step := Step{Position: storage.Position{
		Seq: (n + 1) * seqsAStep, Index: n, Term: 1 + n/100, Chain: r.Uint64(), Digest: r.Uint64(),
		Config: fmt.Appendf(nil, "configuration %d", n/10), ConfigIndex: n / 10 * 10,
	}}
	seq := n * seqsAStep
	for range r.IntN(min(s.MessagesMax, seqsAStep-1) + 1) {
		seq++
		size := r.IntN(s.BytesMax + 1)
		if r.IntN(50) == 0 {
			size *= 10
		}
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		step.Messages = append(step.Messages, Message{Stream: r.Uint32N(streams), Seq: seq, At: int64(n) * 20, Data: data})
	}
	for range r.IntN(10) {
		key := fmt.Sprintf("key-%02d", r.IntN(keys))
		if r.IntN(4) == 0 {
			step.Changes = AppendRemoval(step.Changes, key)
			continue
		}
		step.Changes = AppendChange(step.Changes, key, fmt.Sprintf("value of step %d: %x", n, r.Uint64N(1<<r.IntN(60))))
	}
	return step
}

// AppendChange appends a change that sets a record, in the form that Commit takes.
func AppendChange(dst []byte, key, value string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	dst = append(dst, key...)
	dst = binary.AppendUvarint(dst, uint64(len(value))+1)
	return append(dst, value...)
}

// AppendRemoval appends a change that removes a record.
func AppendRemoval(dst []byte, key string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	dst = append(dst, key...)
	return append(dst, 0)
}

// Write gives step n to a store.
func (s Script) Write(store Store, n uint64) { s.Step(n).Write(store) }

// Write gives the step to a store.
func (step Step) Write(store Store) {
	for _, m := range step.Messages {
		store.Append(m.Stream, m.Seq, m.At, m.Data)
	}
	store.Commit(step.Position, step.Changes)
}

// expected is what a store must hold after n steps.
type expected struct {
	position storage.Position
	records  map[string]string
	messages []Message
}

func expect(steps []Step) expected {
	e := expected{records: make(map[string]string)}
	for _, step := range steps {
		e.position = step.Position
		e.messages = append(e.messages, step.Messages...)
		applyChanges(e.records, step.Changes)
	}
	return e
}

// Steps returns the steps 1 to n.
func (s Script) Steps(n uint64) []Step {
	steps := make([]Step, 0, n)
	for i := uint64(1); i <= n; i++ {
		steps = append(steps, s.Step(i))
	}
	return steps
}

// applyChanges is the plain reading of the format: one change after the other.
func applyChanges(records map[string]string, b []byte) {
	for len(b) > 0 {
		n, used := binary.Uvarint(b)
		key := string(b[used : used+int(n)])
		b = b[used+int(n):]
		n, used = binary.Uvarint(b)
		if n == 0 {
			delete(records, key)
			b = b[used:]
			continue
		}
		records[key] = string(b[used : used+int(n)-1])
		b = b[used+int(n)-1:]
	}
}

// Check compares a store with what its position says it must hold (S1), and its position with the least that it must
// be (S2). It returns the step that the store is at.
func (s Script) Check(t testing.TB, store Store, least uint64) uint64 {
	t.Helper()
	got := store.Position().Index
	if got < least {
		t.Fatalf("store is at step %d, step %d was durable", got, least)
	}
	Check(t, store, s.Steps(got))
	return got
}

// Check compares a store with what it must hold after steps, and reads it in every way that there is.
func Check(t testing.TB, store Store, steps []Step) {
	t.Helper()
	want := expect(steps)
	if got := store.Position(); !equalPositions(got, want.position) {
		t.Fatalf("position = %+v, want %+v", got, want.position)
	}
	checkRecords(t, store, want.records)
	checkMessages(t, store, want.messages)
}

func equalPositions(a, b storage.Position) bool {
	return a.Seq == b.Seq && a.Index == b.Index && a.Term == b.Term && a.Chain == b.Chain && a.Digest == b.Digest &&
		a.ConfigIndex == b.ConfigIndex && bytes.Equal(a.Config, b.Config)
}

func checkRecords(t testing.TB, store Store, want map[string]string) {
	t.Helper()
	left, last := len(want), ""
	for key, value := range store.Records() {
		if string(key) <= last {
			t.Fatalf("record %q comes after %q", key, last)
		}
		last = string(key)
		if got, wanted := string(value), want[last]; got != wanted {
			t.Fatalf("record %q = %q, want %q", key, got, wanted)
		}
		left--
	}
	if left != 0 {
		t.Fatalf("%d of %d records are missing", left, len(want))
	}
}

// checkMessages reads everything in every way that there is.
func checkMessages(t testing.TB, store Store, want []Message) {
	t.Helper()
	same(t, "Scan", collect(t, store, 0), want)
	for stream := range uint32(streams + 1) {
		var got []Message
		err := store.ScanStream(stream, 0, func(seq uint64, data []byte) bool {
			got = append(got, Message{Stream: stream, Seq: seq, Data: data})
			return true
		})
		if err != nil {
			t.Fatalf("ScanStream(%d): %v", stream, err)
		}
		same(t, fmt.Sprintf("ScanStream(%d)", stream), got, slices.DeleteFunc(slices.Clone(want), func(m Message) bool { return m.Stream != stream }))
	}
	for _, m := range want {
		data, ok, err := store.Get(m.Seq)
		if err != nil || !ok || !bytes.Equal(data, m.Data) {
			t.Fatalf("Get(%d) = %d bytes, %v, %v, want %d bytes", m.Seq, len(data), ok, err, len(m.Data))
		}
	}
	checkInstants(t, store, want)
}

func checkInstants(t testing.TB, store Store, want []Message) {
	t.Helper()
	for i, m := range want {
		if i > 0 && want[i-1].At == m.At {
			continue
		}
		if got, ok, err := store.SeqAt(m.At); got != m.Seq || !ok || err != nil {
			t.Fatalf("SeqAt(%d) = %d, %v, %v, want %d", m.At, got, ok, err, m.Seq)
		}
	}
	if len(want) == 0 {
		return
	}
	if got, ok, err := store.SeqAt(want[len(want)-1].At + 1); ok || err != nil {
		t.Fatalf("SeqAt(later than all) = %d, %v, %v, want none", got, ok, err)
	}
}

// collect reads all messages from a place on.
func collect(t testing.TB, store Store, from uint64) []Message {
	t.Helper()
	var got []Message
	err := store.Scan(from, func(stream uint32, seq uint64, data []byte) bool {
		got = append(got, Message{Stream: stream, Seq: seq, Data: data})
		return true
	})
	if err != nil {
		t.Fatalf("Scan(%d): %v", from, err)
	}
	return got
}

// same compares all but the instants, which readers do not give.
func same(t testing.TB, what string, got, want []Message) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		g, w := got[i], want[i]
		if g.Seq != w.Seq || g.Stream != w.Stream || !bytes.Equal(g.Data, w.Data) {
			t.Fatalf("%s: message %d is seq %d of stream %d with %d bytes, want seq %d of stream %d with %d bytes",
				what, i, g.Seq, g.Stream, len(g.Data), w.Seq, w.Stream, len(w.Data))
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d messages, want %d", what, len(got), len(want))
	}
}
