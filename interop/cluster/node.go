package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"stampede/internal/loopback"
)

// This file runs the processes.

// cluster is a number of nodes that found one cluster, or one node that is alone.
type cluster struct {
	nodes    []*node
	reserved *loopback.Reserved // the ports of all of them, also of those that do not run
}

// node is one process of stampede serve, or several one after the other.
type node struct {
	Number int    `json:"number"`
	STOMP  string `json:"stomp"` // host:port of STOMP over TCP
	HTTP   string `json:"http"`  // host:port of WebSocket (/ws) and health
	Admin  string `json:"admin"` // host:port of metrics and the admin API
	Log    string `json:"log"`   // the file that has what it printed
	state

	binary string
	args   []string
	mu     sync.Mutex // guards state and process
	exited chan struct{}
	proc   *os.Process
}

// state is what has become of a node's process.
type state struct {
	PID      int  `json:"pid"`
	Running  bool `json:"running"`
	Starts   int  `json:"starts"`
	ExitCode int  `json:"exitCode"` // of the last that ended; -1 killed by a signal
	Crashes  int  `json:"crashes"`  // how often it ended without being told to
	told     bool // it was told to end
}

// newCluster chooses addresses for the nodes; none is started.
func newCluster(binary, dir string, count int, args []string) (*cluster, error) {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return nil, err
	}
	reserved, err := loopback.Reserve(4 * count)
	if err != nil {
		return nil, err
	}
	ports := reserved.Addrs
	var seeds []string
	for i := range count {
		seeds = append(seeds, ports[4*i])
	}
	c := &cluster{reserved: reserved}
	for i := range count {
		n := &node{
			Number: i + 1, STOMP: ports[4*i+1], HTTP: ports[4*i+2], Admin: ports[4*i+3],
			Log: filepath.Join(dir, "node"+strconv.Itoa(i+1)+".log"), binary: binary,
		}
		n.args = []string{
			"serve", "--data-dir=" + filepath.Join(dir, "node"+strconv.Itoa(i+1)), "--stomp-addr=" + n.STOMP, "--http-addr=" + n.HTTP,
			"--admin-addr=" + n.Admin, "--cluster-addr=" + seeds[i], "--drain-timeout=2s",
		}
		if count > 1 {
			n.args = append(n.args, "--cluster-seeds="+strings.Join(seeds, ","))
		}
		n.args = append(n.args, args...)
		c.nodes = append(c.nodes, n)
	}
	return c, nil
}

// startAll starts all nodes that do not run and waits until all are ready.
func (c *cluster) startAll(ctx context.Context) error {
	for _, n := range c.nodes {
		if n.view().Running {
			continue
		}
		if err := n.start(); err != nil {
			return err
		}
	}
	for _, n := range c.nodes {
		if err := n.awaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// end ends all nodes: politely, then not.
func (c *cluster) end() {
	for _, n := range c.nodes {
		n.signal(syscall.SIGCONT)
		n.signal(syscall.SIGTERM)
	}
	for _, n := range c.nodes {
		if _, err := n.awaitExit(context.Background(), stopWait); err != nil {
			n.signal(syscall.SIGKILL)
			_, _ = n.awaitExit(context.Background(), killWait) // nothing more can be done
		}
	}
	c.reserved.Close()
}

// leader waits for a node that leads and gives it.
func (c *cluster) leader(ctx context.Context) (*node, error) {
	for deadline := time.Now().Add(leaderWait); time.Now().Before(deadline) && ctx.Err() == nil; pause() {
		for _, n := range c.nodes {
			var s struct{ Role string }
			if n.view().Running && n.ask("/api/v1/status", &s) == nil && s.Role == "leader" {
				return n, nil
			}
		}
	}
	return nil, errors.New("no node leads")
}

// status gives all nodes as they are.
func (c *cluster) status() map[string]any {
	views := make([]view, 0, len(c.nodes))
	for _, n := range c.nodes {
		views = append(views, n.view())
	}
	return map[string]any{"nodes": views}
}

// view is what is told of a node.
type view struct {
	Number int    `json:"number"`
	STOMP  string `json:"stomp"`
	HTTP   string `json:"http"`
	Admin  string `json:"admin"`
	Log    string `json:"log"`
	state
}

func (n *node) view() view {
	n.mu.Lock()
	defer n.mu.Unlock()
	return view{Number: n.Number, STOMP: n.STOMP, HTTP: n.HTTP, Admin: n.Admin, Log: n.Log, state: n.state}
}

// start runs the process; it goes on in the background.
func (n *node) start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.Running {
		return fmt.Errorf("node %d runs already", n.Number)
	}
	log, err := os.OpenFile(n.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	cmd := exec.Command(n.binary, n.args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	n.proc, n.exited = cmd.Process, make(chan struct{})
	n.PID, n.Running, n.told = cmd.Process.Pid, true, false
	n.Starts++
	go n.reap(cmd, n.exited)
	return nil
}

// reap waits for the end of a process and notes how it ended.
func (n *node) reap(cmd *exec.Cmd, exited chan struct{}) {
	_ = cmd.Wait() // the state says how it ended
	n.mu.Lock()
	defer n.mu.Unlock()
	n.Running, n.ExitCode = false, cmd.ProcessState.ExitCode()
	if !n.told {
		n.Crashes++
	}
	close(exited)
}

func (n *node) signal(sig syscall.Signal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.Running {
		return
	}
	if sig == syscall.SIGKILL || sig == syscall.SIGTERM {
		n.told = true
	}
	_ = n.proc.Signal(sig) // it may have ended meanwhile
}

func (n *node) awaitExit(ctx context.Context, wait time.Duration) (code int, err error) {
	n.mu.Lock()
	exited := n.exited
	n.mu.Unlock()
	if exited == nil {
		return 0, nil
	}
	select {
	case <-exited:
		return n.view().ExitCode, nil
	case <-time.After(wait):
		return 0, fmt.Errorf("node %d did not end in %v", n.Number, wait)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// awaitReady waits until the node answers that it is ready.
func (n *node) awaitReady(ctx context.Context) error {
	for deadline := time.Now().Add(readyWait); time.Now().Before(deadline) && ctx.Err() == nil; pause() {
		if v := n.view(); !v.Running {
			return fmt.Errorf("node %d ended with exit code %d; its last words: %s", n.Number, v.ExitCode, n.lastWords())
		}
		var s struct{ Ready bool }
		if n.ask("/api/v1/status", &s) == nil && s.Ready {
			return nil
		}
	}
	return fmt.Errorf("node %d is not ready after %v; its last words: %s", n.Number, readyWait, n.lastWords())
}

// ask reads JSON from the node's admin address.
func (n *node) ask(path string, into any) error {
	client := http.Client{Timeout: 2 * time.Second}
	answer, err := client.Get("http://" + n.Admin + path)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return json.NewDecoder(answer.Body).Decode(into)
}

// lastWords gives the end of the node's log.
func (n *node) lastWords() string {
	const most = 2000
	b, err := os.ReadFile(n.Log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-most):])
}

// pause is the time between two questions.
func pause() { time.Sleep(20 * time.Millisecond) }
