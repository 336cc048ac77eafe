package gostomp_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// shared is the one node of all tests but those of clusters; TestMain starts it, nil with -short. Tests keep apart by destination.
var shared *nodes

// TestMain builds and starts the broker, runs the tests, stops the broker and looks at how it ended.
func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		os.Exit(m.Run())
	}
	code, err := runWithBroker(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runWithBroker(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "stampede-gostomp-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := build(dir); err != nil {
		return 0, err
	}
	one := filepath.Join(dir, "one")
	if err := os.Mkdir(one, 0o700); err != nil {
		return 0, err
	}
	if shared, err = startNodes(one, 1); err != nil {
		return 0, err
	}
	code = m.Run()
	return code, errors.Join(shared.stopAll(), shared.end())
}

func skipWhenShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: these tests build the broker and run it as a process")
	}
}
