package broker_test

import (
	"bufio"
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stampede/broker"
)

// goldenDigest is the digest of sampleState.
const goldenDigest = "fcaf452bb750c39f"

// goldenExclusiveDigest is the digest of sampleExclusive.
const goldenExclusiveDigest = "6c3bd025026ff5de"

var addGolden = flag.Bool("golden.add", false, "add what is missing to the golden files; what is in them is never changed")

// golden reads a file of lines with a name and bytes in hex.
type golden struct {
	path  string
	lines map[string][]byte
}

func openGolden(tb testing.TB, file string) *golden {
	tb.Helper()
	g := &golden{filepath.Join("testdata", "formats", "v1", file), make(map[string][]byte)}
	data, err := os.ReadFile(g.path)
	if err != nil && !*addGolden {
		tb.Fatal(err)
	}
	for lines := bufio.NewScanner(strings.NewReader(string(data))); lines.Scan(); {
		name, text, _ := strings.Cut(lines.Text(), " ")
		if g.lines[name], err = hex.DecodeString(text); err != nil {
			tb.Fatalf("%s: %s: %v", g.path, name, err)
		}
	}
	return g
}

// want returns the bytes of a name; they must be these.
func (g *golden) want(t *testing.T, name string, got []byte) {
	t.Helper()
	want, ok := g.lines[name]
	if !ok && *addGolden {
		f, err := os.OpenFile(g.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(f, "%s %x\n", name, got)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: bytes of %s = %x, want %x", g.path, name, got, want)
	}
}

func TestFormats(t *testing.T) {
	t.Run("facts are written and read as in version 1", func(t *testing.T) {
		g := openGolden(t, "facts.txt")
		for _, sample := range sampleFacts() {
			encoded := broker.AppendFact(nil, sample.fact)
			g.want(t, sample.name, encoded)
			fact, n, err := broker.NewDecoder().Fact(encoded)
			if err != nil || n != len(encoded) {
				t.Fatalf("%s: decode took %d of %d bytes: %v", sample.name, n, len(encoded), err)
			}
			if diff := cmp.Diff(sample.fact, fact); diff != "" {
				t.Errorf("%s: decoded fact (-want +got):\n%s", sample.name, diff)
			}
		}
	})
	t.Run("messages are written and read as in version 1", func(t *testing.T) {
		g := openGolden(t, "messages.txt")
		samples := sampleMessages()
		for _, name := range slices.Sorted(maps.Keys(samples)) {
			encoded := broker.AppendMessage(nil, samples[name])
			g.want(t, name, encoded)
			message, err := broker.DecodeMessage(encoded)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if diff := cmp.Diff(samples[name], message); diff != "" {
				t.Errorf("%s: decoded message (-want +got):\n%s", name, diff)
			}
		}
	})
	t.Run("records are written and restored as in version 1", func(t *testing.T) {
		testRecords(t, "records.txt", sampleState(), goldenDigest)
	})
	t.Run("records of exclusive queues are written and restored as in version 1", func(t *testing.T) {
		testRecords(t, "records_exclusive.txt", sampleExclusive(), goldenExclusiveDigest)
	})
}

// testRecords compares the records of a state with a golden file, and restores them from it.
func testRecords(t *testing.T, file string, s *broker.State, digest string) {
	t.Helper()
	g := openGolden(t, file)
	for key, value := range s.Records() {
		g.want(t, fmt.Sprintf("%x", key), value)
	}
	restored, err := broker.Restore(broker.DefaultLimits(), func(yield func(key, value []byte) bool) {
		for _, name := range slices.Sorted(maps.Keys(g.lines)) {
			key, err := hex.DecodeString(name)
			if err != nil {
				t.Fatal(err)
			}
			if !yield(key, g.lines[name]) {
				return
			}
		}
	})
	if err != nil && !*addGolden {
		t.Fatalf("restore golden records: %v", err)
	}
	if *addGolden {
		return
	}
	if got, want := restored.Digest(), s.Digest(); got != want {
		t.Errorf("digest of golden records = %x, want %x", got, want)
	}
	// The hash is part of the format: nodes of different releases compare digests.
	if got, want := fmt.Sprintf("%016x", s.Digest()), digest; got != want {
		t.Errorf("digest = %s, want %s", got, want)
	}
}
