package main

// tidy.go: a node that has become quiet after many sessions came or went gives the memory of their beginnings back.

import (
	"context"
	"runtime/debug"
	"time"

	"stampede/stomp/server"
)

const (
	tidyEvery       = 10 * time.Second
	tidyFramesMax   = 1000 // in one interval: with more the node is not quiet, and the collector runs by itself
	tidySessionsMin = 500  // opened since the last time: for fewer it is not worth a collection
)

// tidier collects once the node is quiet. The collector alone would wait until the heap has doubled, which an idle node does not reach for
// minutes: ten thousand handshakes leave about 6 KB a session behind.
type tidier struct {
	stats          *server.Stats
	frames, opened int64 // as of the last look, and of the last collection
	collect        func()
}

func newTidier(stats *server.Stats) *tidier {
	return &tidier{stats: stats, collect: debug.FreeOSMemory}
}

// run looks every tidyEvery until ctx ends.
func (t *tidier) run(ctx context.Context) error {
	ticker := time.NewTicker(tidyEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			t.look()
		}
	}
}

func (t *tidier) look() {
	frames := t.stats.FramesReceived.Load()
	quiet := frames-t.frames <= tidyFramesMax
	t.frames = frames
	opened := t.stats.ConnectionsTotal.Load()
	if quiet && opened-t.opened >= tidySessionsMin {
		t.opened = opened
		t.collect()
	}
}
