package main

// signals.go: what SIGTERM and Ctrl-C mean to a node.

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// signals turns signals into two wishes: to drain and end, and to end at once. The first SIGTERM asks for a drain; a second signal, or
// Ctrl-C of a person at a terminal, ends at once; one more ends the process where it stands.
//
// Goroutines: run, from catchSignals to end.
type signals struct {
	asked  chan struct{} // closed when a drain was asked for
	caught chan os.Signal
	ended  chan struct{} // closed by end
}

// catchSignals gives a context that ends when the node has to end at once.
func catchSignals(ctx context.Context) (context.Context, *signals) {
	ctx, atOnce := context.WithCancel(ctx)
	s := &signals{asked: make(chan struct{}), caught: make(chan os.Signal, 3), ended: make(chan struct{})}
	signal.Notify(s.caught, os.Interrupt, syscall.SIGTERM)
	go s.run(atOnce, isAttended(os.Stdin) && isAttended(os.Stderr), os.Exit)
	return ctx, s
}

func (s *signals) end() {
	signal.Stop(s.caught)
	close(s.ended)
}

func (s *signals) run(atOnce context.CancelFunc, attended bool, exit func(code int)) {
	defer atOnce()
	asked, hurried := false, false
	for {
		select {
		case <-s.ended:
			return
		case caught := <-s.caught:
			switch {
			case hurried:
				exit(exitFailure)
			case asked || attended && caught == os.Interrupt:
				hurried = true
				atOnce()
			default:
				asked = true
				close(s.asked)
			}
		}
	}
}
