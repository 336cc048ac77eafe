package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadResults(t *testing.T) {
	for _, c := range []struct {
		name, file, text string
		want             []story
	}{
		{
			"of Node's test runner, with groups within groups", "suite.log",
			"TAP version 13\n# Subtest: a client\n    # Subtest: over TCP\n        ok 1 - sends\n        ok 2 - gets \\#1\n    ok 1 - over TCP\n" +
				"    ok 2 - ends\n    ok 3 - needs root # SKIP not root\nok 1 - a client\nok 2 - alone\n",
			[]story{{"a client", []string{"ends"}}, {"a client, over TCP", []string{"gets #1", "sends"}}, {"by itself", []string{"alone"}}},
		},
		{
			"of go test -v", "suite.log",
			"=== RUN   TestQueues\n--- PASS: TestQueues (0.1s)\n    --- PASS: TestQueues/give_back#01 (0.0s)\n    --- SKIP: TestQueues/never (0.0s)\n",
			[]story{{"Queues", []string{"give back"}}},
		},
		{
			"of lines of JSON", "clients/suite.jsonl",
			"{\"test\":\"queues: give back\",\"passed\":true}\n{\"test\":\"queues: keep\",\"passed\":true}\n",
			[]story{{"queues", []string{"give back", "keep"}}},
		},
		{"with a failure in TAP", "suite.log", "not ok 1 - sends\n", nil},
		{"with a failure in Go", "suite.log", "--- FAIL: TestQueues (0.1s)\n", nil},
		{"with a failure in JSON", "clients/suite.jsonl", "{\"test\":\"a: b\",\"passed\":false}\n", nil},
		{"without a test", "suite.log", "nothing\n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, c.file)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := readResults(dir, "suite")
			if c.want == nil && err == nil {
				t.Fatalf("read %v, want an error", got)
			}
			if c.want != nil && err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(story{})); diff != "" {
				t.Errorf("stories (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := readResults(t.TempDir(), "suite"); err == nil {
		t.Error("a suite that left nothing is no error")
	}
}
