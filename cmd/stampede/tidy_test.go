package main

import (
	"testing"

	"stampede/stomp/server"
)

func TestTidier(t *testing.T) {
	var stats server.Stats
	collected := 0
	tidy := newTidier(&stats)
	tidy.collect = func() { collected++ }
	look := func(what string, opened, frames int64, want int) {
		t.Helper()
		stats.ConnectionsTotal.Add(opened)
		stats.FramesReceived.Add(frames)
		collected = 0
		if tidy.look(); collected != want {
			t.Errorf("%s: collected %d times, want %d", what, collected, want)
		}
	}
	look("few sessions", 10, 20, 0)
	look("many sessions while busy", 5000, 10_000, 0)
	look("many sessions, quiet now", 0, 0, 1)
	look("nothing new", 0, 0, 0)
	look("few new ones", 100, 200, 0)
	look("enough new ones in sum", 400, 800, 1)
}
