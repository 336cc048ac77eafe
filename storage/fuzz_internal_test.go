package storage

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime/metrics"
	"testing"
)

// allocatedMax is what decoding may allocate beside a multiple of its input.
const allocatedMax = 1 << 20

// allocated runs fn and returns the bytes that it allocated. Small objects may be counted late, large ones never are.
func allocated(fn func()) uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	fn()
	metrics.Read(sample)
	return sample[0].Value.Uint64() - before
}

func checkAllocated(t *testing.T, got uint64, input int) {
	t.Helper()
	if most := uint64(input)*64 + allocatedMax; got > most {
		t.Errorf("decoding %d bytes allocated %d, want at most %d", input, got, most)
	}
}

func goldenSegments(tb testing.TB) (messages, index []byte) {
	tb.Helper()
	names, err := filepath.Glob("testdata/formats/v1/store/segments/*.msg")
	if err != nil || len(names) == 0 {
		tb.Fatalf("golden segments: %v, %v", names, err)
	}
	if messages, err = os.ReadFile(names[0]); err != nil {
		tb.Fatal(err)
	}
	if index, err = os.ReadFile(names[0][:len(names[0])-4] + indexSuffix); err != nil {
		tb.Fatal(err)
	}
	return messages, index
}

// FuzzBlock: whatever decodes encodes to messages that decode equally; nothing panics.
func FuzzBlock(f *testing.F) {
	messages, _ := goldenSegments(f)
	h, err := parseBlockHeader(messages[fileHeaderBytes:])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(messages[fileHeaderBytes:fileHeaderBytes+blockHeaderBytes+h.payload], false)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, b []byte, mend bool) {
		if b = bytes.Clone(b); mend && len(b) >= blockHeaderBytes { // past the checksum, to the rest of the decoder
			binary.BigEndian.PutUint32(b[4:], blockVersion<<24)
			binary.BigEndian.PutUint32(b[8:], uint32(len(b)-blockHeaderBytes))
			binary.BigEndian.PutUint32(b, checksum(b[4:]))
		}
		var first []message
		var valid bool
		checkAllocated(t, allocated(func() { first, valid = decodeAll(b) }), len(b))
		if !valid {
			return
		}
		var builder blockBuilder
		for i := range first {
			builder.add(&first[i])
		}
		builder.finish()
		var again []message
		for _, sp := range builder.spans {
			some, ok := decodeAll(sp.bytes)
			if !ok {
				t.Fatalf("block of %d messages does not decode", len(first))
			}
			again = append(again, some...)
		}
		if len(again) != len(first) {
			t.Fatalf("%d messages became %d", len(first), len(again))
		}
		for i := range first {
			a, b := first[i], again[i]
			if a.seq != b.seq || a.at != b.at || a.stream != b.stream || !bytes.Equal(a.data, b.data) {
				t.Fatalf("message %d: %+v became %+v", i, a, b)
			}
		}
	})
}

func decodeAll(b []byte) ([]message, bool) {
	r, err := openBlock(b)
	if err != nil {
		return nil, false
	}
	var all []message
	for r.next() {
		all = append(all, r.m)
	}
	return all, r.err == nil
}

// FuzzRecords: changes, positions and segment records.
func FuzzRecords(f *testing.F) {
	changes := binary.AppendUvarint(nil, 3)
	changes = append(append(changes, "key"...), 6)
	changes = append(append(changes, "value"...), 1, 'k', 0)
	f.Add(changes)
	f.Add(appendPosition(nil, Position{Seq: 1, Config: []byte("configuration")}))
	f.Add(appendSegmentInfo(nil, &segmentInfo{state: segmentOpen, first: 1, last: 1, count: 1, weight: messageWeight}))
	f.Fuzz(func(t *testing.T, b []byte) {
		checkAllocated(t, allocated(func() {
			list, err := appendChanges(nil, b)
			if err == nil {
				checkChanges(t, list)
			}
		}), len(b))
		if p, err := decodePosition(b); err == nil {
			if again := appendPosition(nil, p); !bytes.Equal(again[4:], b[4:]) && b[1]|b[2]|b[3] == 0 {
				t.Errorf("position % x became % x", b, again)
			}
		}
		if s, err := decodeSegmentInfo(b); err == nil {
			if again, err := decodeSegmentInfo(appendSegmentInfo(nil, &s)); err != nil || again != s {
				t.Errorf("segment record %+v became %+v, %v", s, again, err)
			}
		}
	})
}

// checkChanges compares coalesce with a map.
func checkChanges(t *testing.T, list []change) {
	t.Helper()
	want := map[string]change{}
	for _, c := range list {
		want[string(c.key)] = c
	}
	got := coalesce(list)
	if len(got) != len(want) {
		t.Fatalf("%d changes after coalescing, want %d", len(got), len(want))
	}
	for i, c := range got {
		w := want[string(c.key)]
		if c.deleted != w.deleted || !bytes.Equal(c.value, w.value) || c.order != w.order {
			t.Errorf("change of %q is not the last one", c.key)
		}
		if i > 0 && bytes.Compare(got[i-1].key, c.key) >= 0 {
			t.Errorf("key %q comes after %q", c.key, got[i-1].key)
		}
	}
}

// FuzzSegment: both files of a sealed segment.
func FuzzSegment(f *testing.F) {
	messages, index := goldenSegments(f)
	f.Add(messages, index, false)
	f.Add(messages, index, true)
	f.Add(messages[:len(messages)-1], index[:pageBytes], true)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, messages, index []byte, mend bool) {
		if mend {
			messages, index = mendMessages(messages), mendIndex(index)
		}
		info := segmentInfo{state: segmentSealed, fileBytes: int64(len(messages)), indexBytes: int64(len(index))}
		if len(messages) >= fileHeaderBytes+fileFooterBytes { // as a record that agrees with the footer would have it
			if footer, _, err := parseMessageFooter(messages[len(messages)-fileFooterBytes:]); err == nil {
				footer.first, footer.fileBytes, footer.indexBytes = binary.BigEndian.Uint64(messages[16:]), info.fileBytes, info.indexBytes
				info = footer
			}
		}
		for suffix, b := range map[string][]byte{messageSuffix: messages, indexSuffix: index} {
			if err := os.WriteFile(filepath.Join(dir, segmentName(info.first, suffix)), b, fileMode); err != nil {
				t.Fatal(err)
			}
		}
		checkAllocated(t, allocated(func() { readAll(dir, info) }), len(messages)+len(index))
		for _, suffix := range []string{messageSuffix, indexSuffix} {
			if err := os.Remove(filepath.Join(dir, segmentName(info.first, suffix))); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// readAll reads a segment in every way; errors are as good as answers.
func readAll(dir string, info segmentInfo) {
	s := &Store{segments: dir, files: newFileCache(dir)}
	_, _, _ = s.readSegment(info, nil)
	f, err := openSegment(dir, info)
	if err != nil {
		return
	}
	src, sc := fileSource{f, s.files}, new(scratch)
	for _, place := range []uint32{0, 1, 100, 1 << 31} {
		if at, err := src.find(place, sc); err == nil {
			_, _, _ = src.load(at, sc)
		}
		for stream := range uint32(4) {
			_, _, _ = src.nextOf(stream, place, sc)
		}
	}
	for n := range min(src.blockCount(), 4) {
		_, _ = loadHeader(src, n, sc)
	}
	_ = f.close()
}

// mendMessages makes the fixed parts of a file of messages believable, so that the fuzzer gets past them.
func mendMessages(b []byte) []byte {
	b = bytes.Clone(b)
	if len(b) < fileHeaderBytes+fileFooterBytes {
		return b
	}
	copy(b, appendFileHeader(nil, messageMagic, binary.BigEndian.Uint64(b[16:])))
	footer := b[len(b)-fileFooterBytes:]
	copy(footer, messageFooterMagic)
	binary.BigEndian.PutUint32(footer[fileFooterBytes-crcBytes:], checksum(footer[:fileFooterBytes-crcBytes]))
	return b
}

func mendIndex(b []byte) []byte {
	b = bytes.Clone(b)
	if len(b) < fileHeaderBytes+fileFooterBytes {
		return b
	}
	copy(b, appendFileHeader(nil, indexMagic, binary.BigEndian.Uint64(b[16:])))
	for at := fileHeaderBytes; at+pageBytes <= len(b)-fileFooterBytes; at += pageBytes {
		binary.BigEndian.PutUint32(b[at:], checksum(b[at+4:at+pageBytes]))
	}
	footer := b[len(b)-fileFooterBytes:]
	copy(footer, indexFooterMagic)
	pages := tablePages(binary.BigEndian.Uint64(footer[8:])) + tablePages(binary.BigEndian.Uint64(footer[16:]))
	if at := fileHeaderBytes + int64(min(pages, 1<<20))*pageBytes; at < int64(len(b)-fileFooterBytes) {
		binary.BigEndian.PutUint32(footer[28:], checksum(b[at:len(b)-fileFooterBytes]))
	}
	binary.BigEndian.PutUint32(footer[fileFooterBytes-crcBytes:], checksum(footer[:fileFooterBytes-crcBytes]))
	return b
}
