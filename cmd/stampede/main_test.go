package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// binaryVersion is what the linker writes into the binary that the tests run.
const binaryVersion = "v0.0.0-test"

// builtCommand is the built command, made once for all tests.
var builtCommand string

func TestMain(m *testing.M) {
	if order, ok := os.LookupEnv(consumerEnv); ok {
		os.Exit(consumeHere(order))
	}
	os.Exit(buildAndTest(m))
}

func buildAndTest(m *testing.M) int {
	dir, err := os.MkdirTemp("", "stampede-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	builtCommand = filepath.Join(dir, "stampede")
	build := exec.Command("go", "build", "-ldflags", "-X main.version="+binaryVersion, "-o", builtCommand, ".")
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the command: %v\n%s", err, output)
		return 1
	}
	return m.Run()
}

// command is the binary with an environment of its own: none of the test's variables but those given.
func command(ctx context.Context, env []string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, builtCommand, args...)
	c.Env = append(ownEnv(), env...)
	return c
}

// commandIn is a line of a shell, run in a folder.
func commandIn(ctx context.Context, dir, line string) *exec.Cmd {
	c := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	c.Dir, c.Env = dir, ownEnv()
	return c
}

func ownEnv() []string { return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir()} }

// result is how a command ended.
type result struct {
	code           int
	stdout, stderr string
}

// stderrLines are the lines of standard error, none if it is empty.
func (r result) stderrLines() []string {
	if r.stderr == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(r.stderr, "\n"), "\n")
}

func runBinary(t *testing.T, env []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var stdout, stderr bytes.Buffer
	c := command(ctx, env, args...)
	c.Dir, c.Stdout, c.Stderr = t.TempDir(), &stdout, &stderr
	err := c.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatalf("run %q: %v", args, err)
	}
	return result{code: c.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
}

func TestExitCodes(t *testing.T) {
	config := filepath.Join(t.TempDir(), "bad.yaml")
	writeTestFile(t, config, "http-adr: x\n")
	for _, c := range []struct {
		name string
		env  []string
		args []string
		code int
		want string // in the only line of standard error; "" for none
	}{
		{"no_command", nil, nil, 2, "expected one of"},
		{"unknown_command", nil, []string{"sevre"}, 2, "unexpected argument sevre"},
		{"unknown_flag", nil, []string{"serve", "--sotmp-addr=x"}, 2, "unknown flag --sotmp-addr"},
		{"half_of_the_seeds", nil, []string{"serve", "--cluster-seeds=127.0.0.1:7400,127.0.0.1:7401", "--cluster-expect=1"}, 2, "--cluster-expect: got 1 of 2 seeds, want more than half"},
		{"unknown_variable", []string{"STAMPEDE_CLUSTER_SEED=a:1"}, []string{"serve"}, 2, "STAMPEDE_CLUSTER_SEED: unknown variable"},
		{"unknown_key", nil, []string{"serve", "--config=" + config}, 2, config + ":1: unknown key \"http-adr\""},
		{"bad_value", nil, []string{"serve", "--raft-timeout=soon"}, 2, "--raft-timeout: got \"soon\""},
		{"jwt", nil, []string{"serve", "--auth=jwt"}, 2, "--auth: got \"jwt\", supported are: none, users"},
		{"beyond_loopback_without_auth", nil, []string{"serve", "--stomp-addr=:61613"}, 2, "--stomp-addr: :61613 is reachable from other machines and nothing says who may come in: set --auth"},
		{"check_config_bad", nil, []string{"check-config", "--max-connections=none"}, 2, "--max-connections: got \"none\""},
		{"check_config_good", nil, []string{"check-config"}, 0, ""},
		{"version", nil, []string{"version"}, 0, ""},
		{"help", nil, []string{"serve", "--help"}, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := runBinary(t, c.env, c.args...)
			if got.code != c.code {
				t.Errorf("%q: exit code = %d, want %d (stderr: %s)", c.args, got.code, c.code, got.stderr)
			}
			lines := got.stderrLines()
			if c.want == "" && len(lines) > 0 || c.want != "" && (len(lines) != 1 || !strings.Contains(lines[0], c.want) || !strings.HasPrefix(lines[0], "stampede: ")) {
				t.Errorf("%q: stderr = %q, want one line with %q", c.args, lines, c.want)
			}
			if c.code == 0 && got.stdout == "" {
				t.Errorf("%q: nothing on stdout", c.args)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	got := runBinary(t, nil, "version").stdout
	for _, want := range []string{binaryVersion, "commit", "go1.", "fold version 1", "log format   1"} {
		if !strings.Contains(got, want) {
			t.Errorf("version has no %q:\n%s", want, got)
		}
	}
}

func writeTestFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatalf("write %s: %v", path, err)
	}
}
