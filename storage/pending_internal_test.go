package storage

import (
	"context"
	"io"
	"log/slog"
	"runtime"
	"testing"
)

// TestPendingLetsGo writes large messages and sees that what is durable is not kept in memory.
func TestPendingLetsGo(t *testing.T) {
	const messages, size = 48, 1 << 20
	s, err := Open(t.TempDir(), Options{
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Fatal: func(err error) { t.Errorf("store failed: %v", err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	before := heapInUse()
	for seq := uint64(1); seq <= messages; seq++ {
		s.Append(1, seq, 1, make([]byte, size))
		s.Commit(Position{Seq: seq, Index: seq}, nil)
	}
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.PendingBytes(); got != 0 {
		t.Fatalf("%d bytes are pending after Sync", got)
	}
	if kept := heapInUse() - before; kept > messages*size/2 {
		t.Errorf("with nothing pending the store keeps %d of %d bytes in memory", kept, messages*size)
	}
	if data, ok, err := s.Get(messages); err != nil || !ok || len(data) != size {
		t.Errorf("Get(%d) = %d bytes, %v, %v", messages, len(data), ok, err)
	}
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
