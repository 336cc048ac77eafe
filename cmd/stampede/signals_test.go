package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
)

func TestSignals(t *testing.T) {
	for _, c := range []struct {
		name     string
		attended bool
		signals  []os.Signal
		want     []string
	}{
		{"first_sigterm_asks_for_a_drain", false, []os.Signal{syscall.SIGTERM}, []string{"asked"}},
		{"second_sigterm_ends_at_once", false, []os.Signal{syscall.SIGTERM, syscall.SIGTERM}, []string{"asked", "at once"}},
		{"third_ends_the_process", false, []os.Signal{syscall.SIGTERM, syscall.SIGTERM, syscall.SIGTERM}, []string{"asked", "at once", "exit 1"}},
		{"ctrl_c_at_a_terminal_ends_at_once", true, []os.Signal{os.Interrupt}, []string{"at once"}},
		{"sigint_without_a_terminal_asks_for_a_drain", false, []os.Signal{os.Interrupt}, []string{"asked"}},
		{"sigterm_at_a_terminal_asks_for_a_drain", true, []os.Signal{syscall.SIGTERM}, []string{"asked"}},
		{"ctrl_c_during_a_drain_ends_at_once", true, []os.Signal{syscall.SIGTERM, os.Interrupt}, []string{"asked", "at once"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, atOnce := context.WithCancel(t.Context())
				s := &signals{asked: make(chan struct{}), caught: make(chan os.Signal, 3), ended: make(chan struct{})}
				var got []string
				go s.run(atOnce, c.attended, func(code int) { got = append(got, fmt.Sprint("exit ", code)) })
				for _, one := range c.signals {
					s.caught <- one
					synctest.Wait()
				}
				if ctx.Err() != nil {
					got = slices.Insert(got, 0, "at once")
				}
				select {
				case <-s.asked:
					got = slices.Insert(got, 0, "asked")
				default:
				}
				close(s.ended)
				synctest.Wait()
				if !slices.Equal(got, c.want) {
					t.Errorf("signals %v: got %q, want %q", c.signals, got, c.want)
				}
			})
		})
	}
}
