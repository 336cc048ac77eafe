package storage_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"runtime"
	"testing"

	"go.uber.org/goleak"

	"stampede/storage"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		childMain(dir) // never returns
	}
	goleak.VerifyTestMain(m)
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// openStore opens a store that reports a failed write as a failed test, and closes it at the end.
func openStore(tb testing.TB, dir string, o storage.Options) *storage.Store {
	tb.Helper()
	if o.Logger == nil {
		o.Logger = quiet()
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) { tb.Errorf("store failed: %v", err) }
	}
	s, err := storage.Open(dir, o)
	if err != nil {
		tb.Fatalf("Open: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return s
}

// run starts the flusher; stop ends it and returns when it has ended. Calling stop again does nothing.
func run(tb testing.TB, s *storage.Store) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stopped := false
	return func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			tb.Errorf("Run: %v", err)
		}
	}
}

// mustSync waits until everything is durable.
func mustSync(tb testing.TB, s *storage.Store) {
	tb.Helper()
	if err := s.Sync(tb.Context()); err != nil {
		tb.Fatalf("Sync: %v", err)
	}
}

// awaitSealed waits until no closed segment waits for its files.
func awaitSealed(tb testing.TB, s *storage.Store) {
	tb.Helper()
	for s.Stats().SegmentsUnsealed > 1 {
		if tb.Context().Err() != nil {
			tb.Fatal("segments were not sealed in time")
		}
		runtime.Gosched()
	}
}
