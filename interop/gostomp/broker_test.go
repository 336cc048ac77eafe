package gostomp_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	readyTimeout = 15 * time.Second // a node is ready in under a second; a machine that is busy building may need more
	stopTimeout  = 30 * time.Second // a drain takes 20 s at most by default
	startsMax    = 3                // another program may take a port between its choice and its use
)

// shared is the broker of all tests of this package; TestMain starts it, nil with -short. Tests keep apart by destination.
var shared *broker

// TestMain builds and starts the broker, runs the tests, stops the broker and looks at how it ended.
func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		os.Exit(m.Run())
	}
	os.Exit(runWithBroker(m))
}

func runWithBroker(m *testing.M) int {
	dir, err := os.MkdirTemp("", "stampede-gostomp-")
	if err != nil {
		return complain(err)
	}
	defer os.RemoveAll(dir)
	binary, err := build(dir)
	if err != nil {
		return complain(err)
	}
	if shared, err = startBroker(binary, dir); err != nil {
		return complain(err)
	}
	code := m.Run()
	if err := shared.stop(); err != nil {
		return complain(err)
	}
	if bytes.Contains(shared.output.Bytes(), []byte("WARNING: DATA RACE")) {
		return complain(fmt.Errorf("the broker has a data race:\n%s", shared.output.Bytes()))
	}
	return code
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// build compiles cmd/stampede as it stands in the working tree.
func build(dir string) (string, error) {
	binary := filepath.Join(dir, "stampede")
	args := []string{"build", "-o", binary}
	if raceEnabled {
		args = append(args, "-race")
	}
	output, err := exec.Command("go", append(args, "stampede/cmd/stampede")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the broker: %w\n%s", err, output)
	}
	return binary, nil
}

// broker is a running node with a data directory and ports of its own.
//
// Goroutines: the one of os/exec that copies the output, and wait; both end with the process.
type broker struct {
	httpAddr, stompAddr string
	command             *exec.Cmd
	output              *lockedBuffer
	exited              chan error // gets the result of the process, once
}

func startBroker(binary, dir string) (*broker, error) {
	for attempt := 1; ; attempt++ {
		b, err := launch(binary, filepath.Join(dir, fmt.Sprintf("data-%d", attempt)))
		if err != nil {
			return nil, err
		}
		err = b.awaitReady()
		if err == nil {
			return b, nil
		}
		stopErr := b.stop()
		if attempt == startsMax {
			return nil, errors.Join(fmt.Errorf("start the broker: %w\n%s", err, b.output.Bytes()), stopErr)
		}
	}
}

func launch(binary, dataDir string) (*broker, error) {
	addrs, err := freeAddrs(3)
	if err != nil {
		return nil, err
	}
	b := &broker{httpAddr: addrs[0], stompAddr: addrs[1], output: &lockedBuffer{}, exited: make(chan error, 1)}
	b.command = exec.Command(binary, "serve", "--data-dir", dataDir,
		"--http-addr", addrs[0], "--stomp-addr", addrs[1], "--admin-addr", addrs[2])
	b.command.Stdout, b.command.Stderr = b.output, b.output
	if err := b.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	go b.wait()
	return b, nil
}

func (b *broker) wait() { b.exited <- b.command.Wait() }

// awaitReady asks the health endpoint until it answers 200, the process ends or the time is up.
func (b *broker) awaitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		response, err := http.Get("http://" + b.httpAddr + "/health")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case err := <-b.exited:
			b.exited <- err // for stop
			return fmt.Errorf("the broker ended before it was ready: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("not ready after %v (last answer: %w)", readyTimeout, err)
		}
	}
}

// stop asks for a drain and expects exit code 0.
func (b *broker) stop() error {
	if err := b.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the broker: %w", err)
	}
	timer := time.AfterFunc(stopTimeout, func() { _ = b.command.Process.Kill() }) // it may have ended in between
	defer timer.Stop()
	if err := <-b.exited; err != nil {
		return fmt.Errorf("the broker did not end well after SIGTERM: %w\n%s", err, b.output.Bytes())
	}
	return nil
}

// freeAddrs gives loopback addresses that were free a moment ago; all are held until the last is known, so that they differ.
func freeAddrs(count int) ([]string, error) {
	var addrs []string
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer listener.Close()
		addrs = append(addrs, listener.Addr().String())
	}
	return addrs, nil
}

// lockedBuffer keeps what the broker printed. mu guards buffer: os/exec writes while a test may read.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.Write(p)
}

// Bytes is a copy of what was written so far.
func (l *lockedBuffer) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.buffer.Bytes())
}
