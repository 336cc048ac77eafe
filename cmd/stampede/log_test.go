package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"stampede/cluster/admin"
)

// stopNode ends a node as an operator does.
func stopNode(t *testing.T, node *running) {
	t.Helper()
	node.signal(t, syscall.SIGTERM)
	node.rest()
	if code := node.wait(t); code != 0 {
		t.Fatalf("exit code = %d, want 0", code)
	}
}

// succeed runs the binary, which has to end well, and gives its standard output.
func succeed(t *testing.T, args ...string) string {
	t.Helper()
	got := runBinary(t, nil, args...)
	if got.code != 0 {
		t.Fatalf("%q: exit code %d, %s", args, got.code, got.stderr)
	}
	return got.stdout
}

// events decodes what --json printed.
func events(t *testing.T, stdout string) []admin.LogEvent {
	t.Helper()
	var all []admin.LogEvent
	for line := range strings.Lines(stdout) {
		var e admin.LogEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		all = append(all, e)
	}
	return all
}

func kindsOf(all []admin.LogEvent) string {
	kinds := make([]string, 0, len(all))
	for _, e := range all {
		kinds = append(kinds, e.Kind)
	}
	return strings.Join(kinds, " ")
}

func TestLog(t *testing.T) {
	dir := t.TempDir()
	node := startNode(t, dir)
	live := "--admin=" + strings.TrimPrefix(node.url["admin"], "http://")
	offline := "--data-dir=" + filepath.Join(dir, "data")
	succeed(t, "pub", "--url="+node.url["stomp"], "--login=ada", "/topic/news", "hello")
	succeed(t, "pub", "--url="+node.url["stomp"], "/queue/orders", "first order")

	t.Run("prints_the_events_of_a_live_node", func(t *testing.T) {
		got := succeed(t, "log", live)
		for _, want := range []string{
			"members-changed (", "node-started", "session-opened session=1 user=ada (from 127.0.0.1", "message-sent /topic/news body=5B session=1",
			"session-closed session=1", "message-sent /queue/orders body=11B session=2",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("log has no %q:\n%s", want, got)
			}
		}
	})
	t.Run("filters", func(t *testing.T) {
		all := events(t, succeed(t, "log", live, "--json"))
		first := all[len(all)-1]
		for _, e := range all {
			if e.Kind == "message-sent" {
				first = e
				break
			}
		}
		for _, c := range []struct{ args, want string }{
			{"--kind=message-sent", "message-sent message-sent"},
			{"--kind=message-sent --count=1", "message-sent"},
			{"--destination=/queue/*", "message-sent"},
			{"--destination=/topic/**", "message-sent"},
			{"--destination=/topic/other", ""},
			{"--count=2", "members-changed node-started"},
			{"--count=1 --from=" + jsonNumber(t, first.Seq), "message-sent"},
			{"--from=1000000", ""},
		} {
			args := append([]string{"log", live, "--json"}, strings.Fields(c.args)...)
			if got := kindsOf(events(t, succeed(t, args...))); got != c.want {
				t.Errorf("log %s = %q, want %q", c.args, got, c.want)
			}
		}
	})
	t.Run("verifies_a_live_node", func(t *testing.T) {
		var report admin.VerifyAnswer
		if err := json.Unmarshal([]byte(succeed(t, "log", "verify", live, "--json")), &report); err != nil {
			t.Fatal(err)
		}
		if !report.OK || report.Digest != report.DigestOnDisk || len(report.Faults) > 0 {
			t.Errorf("report = %+v, want no faults", report)
		}
	})
	t.Run("refuses_the_directory_of_a_running_node", func(t *testing.T) {
		for _, args := range [][]string{{"log", offline}, {"log", "verify", offline}} {
			if got := runBinary(t, nil, args...); got.code != 1 || !strings.Contains(got.stderr, "--admin") || len(got.stderrLines()) != 1 {
				t.Errorf("%q: exit code %d, %q, want 1 and a word of --admin", args, got.code, got.stderr)
			}
		}
	})
	online := succeed(t, "log", live, "--json")
	stopNode(t, node)
	t.Run("prints_the_same_events_offline", func(t *testing.T) {
		if got := succeed(t, "log", offline, "--json"); !strings.HasPrefix(got, online) {
			t.Errorf("offline:\n%s\nwant what the node said:\n%s", got, online)
		}
		if got, want := kindsOf(events(t, succeed(t, "log", offline, "--json", "--kind=message-sent", "--count=1"))), "message-sent"; got != want {
			t.Errorf("log = %q, want %q", got, want)
		}
	})
	t.Run("verifies_a_directory", func(t *testing.T) {
		got := succeed(t, "log", "verify", offline)
		for _, want := range []string{"appliedSeq", "digest", "chain", "entries", "messages    2 compared", "verified"} {
			if !strings.Contains(got, want) {
				t.Errorf("verify has no %q:\n%s", want, got)
			}
		}
	})
	t.Run("tells_the_faults_of_a_damaged_directory", func(t *testing.T) {
		other := filepath.Join(t.TempDir(), "other")
		stopNode(t, startNode(t, other))
		damaged := filepath.Join(t.TempDir(), "damaged")
		copyTree(t, filepath.Join(dir, "data"), damaged)
		if err := os.RemoveAll(filepath.Join(damaged, "state")); err != nil {
			t.Fatal(err)
		}
		copyTree(t, filepath.Join(other, "data", "state"), filepath.Join(damaged, "state"))
		got := runBinary(t, nil, "log", "verify", "--data-dir="+damaged)
		if got.code != 1 || !strings.Contains(got.stdout, "fault ") || !strings.Contains(got.stderr, "do not agree") {
			t.Errorf("verify = %d\n%s%s, want 1 and its faults", got.code, got.stdout, got.stderr)
		}
	})
}

func TestLogFlags(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"unknown_kind", []string{"log", "--kind=sent"}, 2, "want one of message-sent"},
		{"bad_count", []string{"log", "--count=-1"}, 2, "--count"},
		{"no_node", []string{"log", "--admin=127.0.0.1:1"}, 1, "--data-dir"},
		{"no_node_to_verify", []string{"log", "verify", "--admin=127.0.0.1:1"}, 1, "--data-dir"},
		{"no_directory", []string{"log", "--data-dir=" + filepath.Join(t.TempDir(), "none")}, 1, "is no data directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := runBinary(t, nil, c.args...)
			if got.code != c.code || !strings.Contains(got.stderr, c.want) || len(got.stderrLines()) != 1 {
				t.Errorf("%q: exit code %d, %q, want %d and one line with %q", c.args, got.code, got.stderr, c.code, c.want)
			}
		})
	}
}

func TestEventLine(t *testing.T) {
	for _, c := range []struct {
		event admin.LogEvent
		want  string
	}{
		{
			admin.LogEvent{Seq: 7, Time: "T", Node: "N", Incarnation: 1, N: 3, Kind: "message-sent", Destinations: []string{"/queue/a"}, Messages: 1, BodyBytes: 9, Refused: "queue-full"},
			"       7  T  N/1/3  message-sent /queue/a body=9B REFUSED: queue-full",
		},
		{
			admin.LogEvent{Time: "T", Node: "N", Incarnation: 1, N: 3, Kind: "session-opened", Session: 4, User: "a\x1b[2Jb", Repeated: true},
			`       -  T  N/1/3  session-opened session=4 user="a\x1b[2Jb" REPEATED: changed nothing`,
		},
		{
			admin.LogEvent{Seq: 9, Time: "T", Kind: "time-advanced"},
			"       9  T  -  time-advanced",
		},
	} {
		if got := eventLine(c.event); got != c.want {
			t.Errorf("line of %+v\n got %q\nwant %q", c.event, got, c.want)
		}
	}
}

func jsonNumber(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatalf("copy %s: %v", from, err)
	}
}
