package storage_test

import (
	"fmt"
	"testing"

	"github.com/hashicorp/raft"

	"stampede/storage"
	"stampede/storage/storagetest"
)

// BenchmarkAppend is the fold's side alone: its budget is a few tens of ns and no allocation a message (a chunk of 512
// of them is amortised). Nothing reaches the disk: a store is thrown away before it holds much.
func BenchmarkAppend(b *testing.B) {
	const most = 1 << 16
	for _, streams := range []uint32{1, 1000} {
		b.Run(fmt.Sprintf("streams=%d/size=250", streams), func(b *testing.B) {
			dir := b.TempDir()
			s := open(b, dir)
			body := make([]byte, 250)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			var seq uint64
			for b.Loop() {
				if seq++; seq%most == 0 {
					b.StopTimer()
					_ = s.Close() // empty
					s = open(b, dir)
					b.StartTimer()
				}
				s.Append(uint32(seq)%streams, seq, int64(seq/150), body)
				if seq%4096 == 0 {
					s.Commit(storage.Position{Seq: seq, Index: seq}, nil)
				}
			}
			_ = s.Close() // empty
		})
	}
}

func open(b *testing.B, dir string) *storage.Store {
	s, err := storage.Open(dir, storage.Options{Logger: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkFlush is all of it: appended, flushed, sealed. One operation is 4096 messages of 250 bytes and 256 records.
func BenchmarkFlush(b *testing.B) {
	for _, streams := range []uint32{1, 1000, 1_000_000} {
		b.Run(fmt.Sprintf("streams=%d/size=250/messages=4096", streams), func(b *testing.B) {
			s := openStore(b, b.TempDir(), storage.Options{})
			stop := run(b, s)
			defer stop()
			body := make([]byte, 250)
			b.SetBytes(4096 * int64(len(body)))
			b.ReportAllocs()
			var seq uint64
			for b.Loop() {
				for range 4096 {
					seq++
					s.Append(uint32(seq*2654435761)%streams, seq, int64(seq/150), body)
				}
				var changes []byte
				for i := range 256 {
					changes = storagetest.AppendChange(changes, fmt.Sprintf("record-%d", i), "a value of some forty bytes, as they are")
				}
				s.Commit(storage.Position{Seq: seq, Index: seq}, changes)
				if s.Full() {
					mustSync(b, s)
				}
			}
			mustSync(b, s)
		})
	}
}

func BenchmarkGet(b *testing.B) {
	for _, where := range []string{"pending", "state", "sealed"} {
		b.Run("where="+where, func(b *testing.B) {
			s, n := filled(b, where)
			b.ReportAllocs()
			var seq uint64
			for b.Loop() {
				seq = seq*6364136223846793005 + 1442695040888963407
				if _, ok, err := s.Get(1 + seq>>33%n); !ok || err != nil {
					b.Fatalf("Get = %v, %v", ok, err)
				}
			}
		})
	}
}

func BenchmarkScanStream(b *testing.B) {
	for _, where := range []string{"pending", "state", "sealed"} {
		b.Run("where="+where+"/streams=1000", func(b *testing.B) {
			s, n := filled(b, where)
			b.ReportAllocs()
			read := 0
			for b.Loop() {
				left := 64
				if err := s.ScanStream(7, n/2, func(uint64, []byte) bool { left--; return left > 0 }); err != nil {
					b.Fatal(err)
				}
				read += 64 - left
			}
			b.ReportMetric(float64(read)/float64(b.N), "messages/op")
		})
	}
}

// filled has 100,000 messages of 250 bytes in 1000 streams, all of them in one place.
func filled(b *testing.B, where string) (*storage.Store, uint64) {
	const n = 100_000
	o := storage.Options{}
	if where == "sealed" {
		o.SegmentBytes = (250 + 32) * n
	}
	s := openStore(b, b.TempDir(), o)
	stop := run(b, s)
	b.Cleanup(stop)
	for seq := uint64(1); seq <= n; seq++ {
		s.Append(uint32(seq)%1000, seq, int64(seq), make([]byte, 250))
	}
	if where == "pending" {
		return s, n
	}
	s.Commit(storage.Position{Seq: n}, nil)
	mustSync(b, s)
	if where == "sealed" {
		s.Append(1, n+1, n+1, nil)
		s.Commit(storage.Position{Seq: n + 1}, nil)
		awaitSealed(b, s)
	}
	return s, n
}

func BenchmarkLogAppend(b *testing.B) {
	for _, batch := range []int{1, 64} {
		b.Run(fmt.Sprintf("batch=%d/size=1k", batch), func(b *testing.B) {
			l, err := storage.OpenLog(b.TempDir(), storage.LogOptions{})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			entries := make([]*raft.Log, batch)
			for i := range entries {
				entries[i] = &raft.Log{Term: 1, Data: make([]byte, 1024)}
			}
			b.SetBytes(int64(batch) * 1024)
			b.ReportAllocs()
			var index uint64
			for b.Loop() {
				for _, e := range entries {
					index++
					e.Index = index
				}
				if err := l.StoreLogs(entries); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
