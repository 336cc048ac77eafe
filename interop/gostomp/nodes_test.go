package gostomp_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// This file runs nodes of the broker, through interop/cluster.

const (
	answerTimeout = 2 * time.Minute // a command waits 60 s at most; longer than that, the tool itself hangs
	endTimeout    = time.Minute
)

// binaries are what TestMain built.
var binaries struct{ stampede, cluster string }

// build compiles the broker and the tool that runs it as they stand in the working tree.
func build(dir string) error {
	binaries.stampede, binaries.cluster = filepath.Join(dir, "stampede"), filepath.Join(dir, "cluster")
	for binary, pkg := range map[string]string{binaries.stampede: "stampede/cmd/stampede", binaries.cluster: "stampede/interop/cluster"} {
		args := []string{"build", "-o", binary}
		if raceEnabled {
			args = append(args, "-race")
		}
		if output, err := exec.Command("go", append(args, pkg)...).CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", pkg, err, output)
		}
	}
	return nil
}

// address is where one node is.
type address struct {
	Number      int
	STOMP, HTTP string
	Log         string
	Crashes     int
}

// nodes are a cluster, of one node or more. Its answers are read by who asks; os/exec has no goroutine, as all pipes are files.
type nodes struct {
	all     []address
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

// startNodes returns when all nodes are ready.
func startNodes(dir string, count int) (*nodes, error) {
	n := &nodes{command: exec.Command(binaries.cluster, "--nodes", strconv.Itoa(count), "--stampede", binaries.stampede, "--dir", dir)}
	n.command.Stderr = os.Stderr
	in, err := n.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := n.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	n.in, n.out = in, bufio.NewReader(out)
	if err := n.command.Start(); err != nil {
		return nil, err
	}
	var first struct{ Nodes []address }
	if err := n.answer(&first); err != nil {
		return nil, errors.Join(err, n.end())
	}
	n.all = first.Nodes
	return n, nil
}

// ask has one command obeyed and reads the answer.
func (n *nodes) ask(line string, answer any) error {
	if _, err := fmt.Fprintln(n.in, line); err != nil {
		return err
	}
	return n.answer(answer)
}

func (n *nodes) answer(into any) error {
	timer := time.AfterFunc(answerTimeout, func() { _ = n.command.Process.Kill() }) // it may have ended in between
	defer timer.Stop()
	line, err := n.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("interop/cluster: %w", err)
	}
	var fault struct{ Error string }
	if err := errors.Join(json.Unmarshal(line, &fault), json.Unmarshal(line, into)); err != nil {
		return err
	}
	if fault.Error != "" {
		return errors.New(fault.Error)
	}
	return nil
}

// stopAll stops each node politely and expects exit code 0 of all, and nothing but silence of the race detector.
func (n *nodes) stopAll() error {
	for _, node := range n.all {
		var stopped struct{ ExitCode int }
		if err := n.ask(fmt.Sprintf("stop %d", node.Number), &stopped); err != nil {
			return err
		}
		log, err := os.ReadFile(node.Log)
		if err != nil {
			return err
		}
		if stopped.ExitCode != 0 {
			return fmt.Errorf("node %d ended with exit code %d after SIGTERM:\n%s", node.Number, stopped.ExitCode, log)
		}
	}
	return n.quiet()
}

// quiet looks for data races in all that the nodes printed.
func (n *nodes) quiet() error {
	for _, node := range n.all {
		log, err := os.ReadFile(node.Log)
		if err != nil {
			return err
		}
		if bytes.Contains(log, []byte("WARNING: DATA RACE")) {
			return fmt.Errorf("node %d has a data race:\n%s", node.Number, log)
		}
	}
	return nil
}

// end ends all that still runs.
func (n *nodes) end() error {
	timer := time.AfterFunc(endTimeout, func() { _ = n.command.Process.Kill() }) // it may have ended in between
	defer timer.Stop()
	return errors.Join(n.in.Close(), n.command.Wait())
}
