package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// This file reads and obeys the commands.

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	nodes := flag.Int("nodes", 3, "how many nodes")
	binary := flag.String("stampede", "bin/stampede", "the broker's binary")
	dir := flag.String("dir", "", "where data and logs go, kept; a temporary folder by default, removed at the end")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: cluster [flags] [flags of stampede serve, after --]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *dir == "" {
		if *dir, err = os.MkdirTemp("", "stampede-cluster-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(*dir)) }()
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	c, err := newCluster(*binary, *dir, *nodes, flag.Args())
	if err != nil {
		return err
	}
	defer c.end()
	if err := c.startAll(ctx); err != nil {
		return err
	}
	answers := json.NewEncoder(os.Stdout)
	if err := answers.Encode(c.status()); err != nil {
		return err
	}
	lines := make(chan string)
	go readLines(lines)
	for {
		select {
		case <-ctx.Done():
			return nil
		case line, ok := <-lines:
			if !ok {
				return nil
			}
			answer, err := c.obey(ctx, strings.Fields(line))
			if err != nil {
				answer = map[string]string{"error": err.Error()}
			}
			if err := answers.Encode(answer); err != nil {
				return err
			}
		}
	}
}

// readLines hands over standard input line by line and closes lines at its end.
func readLines(lines chan<- string) {
	defer close(lines)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		lines <- in.Text()
	}
}

// obey does what one line of standard input says.
func (c *cluster) obey(ctx context.Context, words []string) (any, error) {
	switch {
	case len(words) == 1 && words[0] == "status":
		return c.status(), nil
	case len(words) == 1 && words[0] == "leader":
		n, err := c.leader(ctx)
		if err != nil {
			return nil, err
		}
		return map[string]int{"leader": n.Number}, nil
	}
	if len(words) != 2 {
		return nil, fmt.Errorf("not a command: %q", strings.Join(words, " "))
	}
	if words[1] == "all" {
		return c.obeyAll(ctx, words[0])
	}
	n, err := c.named(ctx, words[1])
	if err != nil {
		return nil, err
	}
	switch words[0] {
	case "kill":
		n.signal(syscall.SIGKILL)
		_, err = n.awaitExit(ctx, killWait)
		return map[string]int{"killed": n.Number}, err
	case "stop":
		n.signal(syscall.SIGTERM)
		code, err := n.awaitExit(ctx, stopWait)
		return map[string]int{"stopped": n.Number, "exitCode": code}, err
	case "start":
		if err := n.start(); err != nil {
			return nil, err
		}
		err := n.awaitReady(ctx)
		return map[string]any{"started": n.Number, "node": n.view()}, err
	case "pause":
		n.signal(syscall.SIGSTOP)
		return map[string]int{"paused": n.Number}, nil
	case "resume":
		n.signal(syscall.SIGCONT)
		return map[string]int{"resumed": n.Number}, nil
	}
	return nil, fmt.Errorf("not a command: %q", words[0])
}

// obeyAll does to all nodes at once what one at a time cannot: no node is ready as long as a majority is down.
func (c *cluster) obeyAll(ctx context.Context, command string) (any, error) {
	switch command {
	case "kill":
		for _, n := range c.nodes {
			n.signal(syscall.SIGKILL)
		}
		for _, n := range c.nodes {
			if _, err := n.awaitExit(ctx, killWait); err != nil {
				return nil, err
			}
		}
		return map[string]string{"killed": "all"}, nil
	case "start":
		if err := c.startAll(ctx); err != nil {
			return nil, err
		}
		return map[string]any{"started": "all", "nodes": c.status()["nodes"]}, nil
	}
	return nil, fmt.Errorf("not a command for all nodes: %q", command)
}

// named gives the node that a word means: a number, or the leader.
func (c *cluster) named(ctx context.Context, word string) (*node, error) {
	if word == "leader" {
		return c.leader(ctx)
	}
	number, err := strconv.Atoi(word)
	if err != nil || number < 1 || number > len(c.nodes) {
		return nil, fmt.Errorf("no node %q: they are 1 to %d, and leader", word, len(c.nodes))
	}
	return c.nodes[number-1], nil
}

// How long a node may take.
const (
	readyWait  = 60 * time.Second // a machine that is busy with other suites takes its time
	leaderWait = 30 * time.Second
	stopWait   = 40 * time.Second
	killWait   = 10 * time.Second
)
