package cluster

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"stampede/broker"
)

// goldenEntry holds two envelopes: one of a node with two facts, and a leader's own.
func goldenEntry() []byte {
	facts := broker.AppendFact(nil, broker.SessionOpened{Session: 7, User: "ada", RemoteAddr: "192.0.2.1:5"})
	facts = broker.AppendFact(facts, broker.SessionClosed{Session: 7})
	entry := append(make([]byte, entryHeadBytes), facts...)
	putEntryHead(entry, 1_700_000_000_123, envelope{node: broker.NodeID{0: 1, 15: 0xfe}, incarnation: 3, firstN: 41, count: 2})

	own := append(make([]byte, entryHeadBytes), broker.AppendFact(nil, broker.TimeAdvanced{})...)
	putEntryHead(own, 0, envelope{count: 1})
	return append(entry, own[entryHeaderBytes:]...)
}

func TestEntryFormat(t *testing.T) {
	path := filepath.Join("testdata", "formats", "v1", "entry.bin")
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := goldenEntry(); !bytes.Equal(got, golden) {
		t.Fatalf("entry is written as\n%x\nwant, as %s has it,\n%x", got, path, golden)
	}
	head, rest, err := decodeEntryHeader(golden)
	if err != nil || head.at != 1_700_000_000_123 || head.epoch != 1 || head.group != 0 {
		t.Fatalf("header = %+v, %v", head, err)
	}
	first, rest, err := decodeEnvelope(rest)
	if err != nil || first.node != (broker.NodeID{0: 1, 15: 0xfe}) || first.incarnation != 3 || first.firstN != 41 || first.count != 2 {
		t.Fatalf("first envelope = %+v, %v", first, err)
	}
	var d broker.Decoder
	fact, n, err := d.Fact(first.facts)
	if err != nil || fact != (broker.SessionOpened{Session: 7, User: "ada", RemoteAddr: "192.0.2.1:5"}) {
		t.Errorf("first fact = %+v, %v", fact, err)
	}
	if fact, _, err = d.Fact(first.facts[n:]); err != nil || fact != (broker.SessionClosed{Session: 7}) {
		t.Errorf("second fact = %+v, %v", fact, err)
	}
	second, rest, err := decodeEnvelope(rest)
	if err != nil || !second.node.IsZero() || second.count != 1 || len(rest) != 0 {
		t.Errorf("second envelope = %+v, %d bytes after it, %v", second, len(rest), err)
	}
}

func TestEntryFaults(t *testing.T) {
	whole := goldenEntry()
	for cut := range len(whole) {
		if envelopes, err := decodeAll(whole[:cut]); err == nil && envelopes != 1 && cut != entryHeaderBytes {
			t.Errorf("entry cut to %d of %d bytes decodes to %d envelopes", cut, len(whole), envelopes)
		}
	}
	later := bytes.Clone(whole)
	later[0] = entryVersion + 1
	if _, err := decodeAll(later); !errors.Is(err, errEntryVersion) {
		t.Errorf("entry of a later version: %v, want %v", err, errEntryVersion)
	}
	other := bytes.Clone(whole)
	other[8] = 1
	if _, err := decodeAll(other); !errors.Is(err, errEntryGroup) {
		t.Errorf("entry of another group: %v, want %v", err, errEntryGroup)
	}
}

func decodeAll(b []byte) (envelopes int, err error) {
	_, rest, err := decodeEntryHeader(b)
	for err == nil && len(rest) > 0 {
		if _, rest, err = decodeEnvelope(rest); err == nil {
			envelopes++
		}
	}
	return envelopes, err
}

func FuzzEntry(f *testing.F) {
	f.Add(goldenEntry())
	f.Add([]byte{entryVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, rest, err := decodeEntryHeader(b)
		for err == nil && len(rest) > 0 {
			var e envelope
			if e, rest, err = decodeEnvelope(rest); err == nil && len(e.facts) > len(b) {
				t.Fatalf("%d bytes of facts out of %d", len(e.facts), len(b))
			}
		}
	})
}

func TestChain(t *testing.T) {
	sum := func(entries ...entry) uint64 {
		c := newChain(0)
		for _, e := range entries {
			c.add(e.index, e.term, e.data)
		}
		return c.sum
	}
	a, b := entry{index: 1, term: 1, data: []byte("a")}, entry{index: 2, term: 1, data: []byte("b")}
	whole := sum(a, b)
	for name, other := range map[string]uint64{
		"order": sum(b, a), "a missing entry": sum(b), "data": sum(a, entry{index: 2, term: 1, data: []byte("c")}),
		"term": sum(a, entry{index: 2, term: 2, data: []byte("b")}), "index": sum(a, entry{index: 3, term: 1, data: []byte("b")}),
	} {
		if other == whole {
			t.Errorf("chain does not see a difference in %s", name)
		}
	}
	resumed := newChain(sum(a))
	resumed.add(b.index, b.term, b.data)
	if resumed.sum != whole {
		t.Errorf("chain gone on with = %x, want %x", resumed.sum, whole)
	}
	if got, want := whole, uint64(0x827fc46ecda93da1); got != want {
		t.Errorf("chain = %#x, want %#x: the hash is part of the format", got, want)
	}
}
