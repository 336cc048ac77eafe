package stomp_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"stampede/stomp"
)

// loopSource gives the same bytes over and over, as much at a time as is asked for, at most piece bytes if that is not zero.
type loopSource struct {
	data  []byte
	at    int
	piece int
}

func (s *loopSource) Read(p []byte) (int, error) {
	if s.piece > 0 && len(p) > s.piece {
		p = p[:s.piece]
	}
	n := 0
	for n < len(p) {
		c := copy(p[n:], s.data[s.at:])
		n += c
		s.at = (s.at + c) % len(s.data)
	}
	return n, nil
}

// everydaySend is what a service sends: five headers and a body of that many bytes.
func everydaySend(bodyBytes int) *stomp.Frame {
	f := stomp.NewFrame(stomp.CommandSend,
		"destination", "/topic/prices.eur.usd",
		"content-type", "application/json",
		"content-length", fmt.Sprint(bodyBytes),
		"correlation-id", "5f0c5a4e-91d2",
		"receipt", "r-123456")
	f.Body = []byte(strings.Repeat("x", bodyBytes))
	return f
}

// Budget: 0 allocations a frame for all sizes.
func BenchmarkRead(b *testing.B) {
	for _, bodyBytes := range []int{0, 128, 1 << 10, 16 << 10, 256 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("body=%d", bodyBytes), func(b *testing.B) {
			wire := stomp.AppendFrame(nil, stomp.V12, everydaySend(bodyBytes))
			benchmarkRead(b, &loopSource{data: wire}, len(wire))
		})
	}
}

// Budget: 0 allocations a frame. One frame a read is how request and reply, and WebSocket, look.
func BenchmarkReadOneByOne(b *testing.B) {
	for _, bodyBytes := range []int{128, 1 << 10} {
		b.Run(fmt.Sprintf("body=%d", bodyBytes), func(b *testing.B) {
			wire := stomp.AppendFrame(nil, stomp.V12, everydaySend(bodyBytes))
			benchmarkRead(b, &frameSource{data: wire}, len(wire))
		})
	}
}

// Budget: 0 allocations a frame.
func BenchmarkReadEscaped(b *testing.B) {
	f := everydaySend(128)
	f.Add("trace", `a:b\c`)
	wire := stomp.AppendFrame(nil, stomp.V12, f)
	benchmarkRead(b, &loopSource{data: wire}, len(wire))
}

// frameSource gives at most the rest of one frame a read.
type frameSource struct {
	data []byte
	at   int
}

func (s *frameSource) Read(p []byte) (int, error) {
	n := copy(p, s.data[s.at:])
	s.at = (s.at + n) % len(s.data)
	return n, nil
}

func benchmarkRead(b *testing.B, src io.Reader, frameBytes int) {
	r := stomp.NewReader(src, stomp.Limits{BodyBytesMax: 4 << 20})
	r.SetVersion(stomp.V12)
	b.SetBytes(int64(frameBytes))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.ReadFrame(); err != nil {
			b.Fatal(err)
		}
	}
}

// Budget: 0 allocations a frame.
func BenchmarkAppendFrame(b *testing.B) {
	for _, bodyBytes := range []int{128, 16 << 10} {
		for _, v := range []stomp.Version{stomp.V10, stomp.V12} {
			b.Run(fmt.Sprintf("body=%d/version=%v", bodyBytes, v), func(b *testing.B) {
				f := everydaySend(bodyBytes)
				dst := stomp.AppendFrame(nil, v, f)
				b.SetBytes(int64(len(dst)))
				b.ReportAllocs()
				for b.Loop() {
					dst = stomp.AppendFrame(dst[:0], v, f)
				}
			})
		}
	}
}

// Budget: 0 allocations a message.
func BenchmarkTranscodeHeaders(b *testing.B) {
	plain := []byte("destination:/topic/prices.eur.usd\ncontent-type:application/json\ncorrelation-id:5f0c5a4e-91d2\n")
	forms := map[string][]byte{"none": plain, "some": append([]byte("trace:a\\cb\n"), plain...)}
	for _, escapes := range []string{"none", "some"} {
		for _, v := range []stomp.Version{stomp.V10, stomp.V12} {
			b.Run(fmt.Sprintf("escapes=%s/version=%v", escapes, v), func(b *testing.B) {
				dst := stomp.TranscodeHeaders(nil, v, forms[escapes])
				b.ReportAllocs()
				for b.Loop() {
					dst = stomp.TranscodeHeaders(dst[:0], v, forms[escapes])
				}
			})
		}
	}
}

// Budget: 0 allocations a frame.
func BenchmarkValidate(b *testing.B) {
	subscribe := stomp.NewFrame(stomp.CommandSubscribe, "id", "sub-0", "destination", "/topic/a", "ack", "client-individual")
	for _, f := range []*stomp.Frame{everydaySend(128), subscribe} {
		b.Run(fmt.Sprintf("command=%v", f.Command), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if e := stomp.Validate(f, stomp.V12); e != nil {
					b.Fatal(e)
				}
			}
		})
	}
}

// Budget: 3 allocations: the frame, its headers, all of its bytes.
func BenchmarkClone(b *testing.B) {
	f := everydaySend(128)
	b.ReportAllocs()
	for b.Loop() {
		_ = f.Clone()
	}
}
