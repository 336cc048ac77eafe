package stomp_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"stampede/stomp"
)

func TestNoAllocationPerFrame(t *testing.T) {
	const framesPerRun = 1000
	wire := stomp.AppendFrame(nil, stomp.V12, everydaySend(128))
	escaped := everydaySend(128)
	escaped.Add("trace", `a:b\c`)
	sources := []struct {
		name   string
		src    io.Reader
		pooled bool // takes blocks of the pool
	}{
		{"one_frame_a_read", &frameSource{data: wire}, false},
		{"all_that_fits", &loopSource{data: wire}, true},
		{"pieces_of_100", &loopSource{data: wire, piece: 100}, false},
		{"escaped", &frameSource{data: stomp.AppendFrame(nil, stomp.V12, escaped)}, false},
	}
	for _, source := range sources {
		t.Run(source.name, func(t *testing.T) {
			if source.pooled && raceEnabled {
				t.Skip("pools are not kept under the race detector")
			}
			r := stomp.NewReader(source.src, stomp.DefaultLimits())
			r.SetVersion(stomp.V12)
			allocs := testing.AllocsPerRun(10, func() {
				for range framesPerRun {
					f, err := r.ReadFrame()
					if err != nil {
						t.Fatalf("read: %v", err)
					}
					if _, ok := f.Get(stomp.HeaderDestination); !ok || stomp.Validate(f, stomp.V12) != nil {
						t.Fatalf("got %s", show(f))
					}
				}
			})
			if allocs/framesPerRun >= 0.01 {
				t.Errorf("%v allocations for %d frames, want 0", allocs, framesPerRun)
			}
		})
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	f := everydaySend(128)
	f.Add("trace", `a:b\c`)
	headers := stomp.AppendHeader(nil, stomp.V12, "trace", `a:b\c`)
	dst := make([]byte, 0, 1024)
	allocs := testing.AllocsPerRun(100, func() {
		dst = stomp.AppendFrame(dst[:0], stomp.V12, f)
		dst = stomp.TranscodeHeaders(dst, stomp.V10, headers)
		dst = stomp.AppendHeader(dst, stomp.V11, "message-id", "1-0-7")
		dst = stomp.AppendHeaderInt(dst, "x-stream-offset", 7)
	})
	if allocs != 0 {
		t.Errorf("%v allocations a run, want 0", allocs)
	}
}

// watcher notes how large the Reader's buffer is whenever it asks for more, and how much it has got by then.
type watcher struct {
	src       io.Reader
	reader    *stomp.Reader
	got       int
	largest   int
	idleBytes []int // buffer sizes at reads with nothing unread
	overgrown string
}

func (w *watcher) Read(p []byte) (int, error) {
	size := w.reader.BufferBytes()
	w.largest = max(w.largest, size)
	if w.reader.Buffered() == 0 {
		w.idleBytes = append(w.idleBytes, size)
	}
	if allowed := max(stomp.FirstBlockBytes, 2*w.got); size > allowed {
		w.overgrown = fmt.Sprintf("%d bytes of buffer after %d bytes came, want at most %d", size, w.got, allowed)
	}
	n, err := w.src.Read(p)
	w.got += n
	return n, err
}

func watch(src io.Reader, l stomp.Limits) (*stomp.Reader, *watcher) {
	w := &watcher{src: src}
	w.reader = stomp.NewReader(w, l)
	w.reader.SetVersion(stomp.V12)
	return w.reader, w
}

func TestMemoryIsBounded(t *testing.T) {
	limits := stomp.DefaultLimits()
	endless := func(head, tail string) io.Reader {
		return io.MultiReader(strings.NewReader(head), &loopSource{data: []byte(tail)})
	}
	tests := []struct {
		name, code string
		src        io.Reader
		largest    int
	}{
		{"body_that_never_ends", stomp.CodeBodyTooLarge, endless("SEND\n\n", "x"), 2 * limits.BodyBytesMax},
		{"stray_body_that_never_ends", stomp.CodeBodyTooLarge, endless("ACK\n\n", "x"), stomp.FirstBlockBytes},
		{"line_that_never_ends", stomp.CodeHeaderTooLarge, endless("SEND\na:", "x"), 2 * limits.HeaderLineBytesMax},
		{"headers_that_never_end", stomp.CodeTooManyHeaders, endless("SEND\n", "a:b\n"), stomp.FirstBlockBytes},
		{"long_headers_that_never_end", stomp.CodeHeaderTooLarge, endless("SEND\n", "a:"+strings.Repeat("x", 10_000)+"\n"), 2 * limits.HeaderBytesMax},
		{"command_that_never_ends", stomp.CodeUnknownCommand, endless("", "A"), stomp.SmallBufferBytes},
		{"announced_body_past_the_limit", stomp.CodeBodyTooLarge, endless("SEND\ncontent-length:1048577\n\n", "x"), stomp.SmallBufferBytes},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, w := watch(test.src, limits)
			_, err := r.ReadFrame()
			var fault *stomp.ProtocolError
			if !errors.As(err, &fault) {
				t.Fatalf("error %v, want a ProtocolError", err)
			}
			wantCode(t, fault, test.code)
			if w.largest > test.largest {
				t.Errorf("largest buffer = %d, want at most %d", w.largest, test.largest)
			}
			if w.overgrown != "" {
				t.Error(w.overgrown)
			}
			if got, want := r.BufferBytes(), stomp.SmallBufferBytes; got != want {
				t.Errorf("buffer after the fault = %d, want %d", got, want)
			}
		})
	}
}

func TestAnnouncedLengthTakesNoMemory(t *testing.T) {
	// Given a body of 1 GiB that is allowed and announced, when only 100 KB of it come, then memory follows what came.
	const came = 100_000
	head := "SEND\ncontent-length:1073741824\n\n"
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, w := watch(io.MultiReader(strings.NewReader(head), io.LimitReader(&loopSource{data: []byte("x")}, came)),
		stomp.Limits{BodyBytesMax: 1 << 30})
	_, err := r.ReadFrame()
	runtime.ReadMemStats(&after)
	if err != io.ErrUnexpectedEOF {
		t.Fatalf("error %v, want unexpected EOF", err)
	}
	if got, want := after.TotalAlloc-before.TotalAlloc, uint64(4*came); got > want {
		t.Errorf("%d bytes allocated for %d that came, want at most %d", got, came, want)
	}
	if w.overgrown != "" {
		t.Error(w.overgrown)
	}
}

func TestGrowthStopsAtTheAnnouncedLength(t *testing.T) {
	// Given a body larger than any pooled buffer, then the last buffer is no larger than the frame.
	f := everydaySend(5 << 20)
	wire := stomp.AppendFrame(nil, stomp.V12, f)
	r, w := watch(bytes.NewReader(wire), stomp.Limits{BodyBytesMax: 16 << 20})
	got, err := r.ReadFrame()
	if err != nil || !bytes.Equal(got.Body, f.Body) {
		t.Fatalf("error %v or another body", err)
	}
	if w.largest != len(wire) {
		t.Errorf("largest buffer = %d, want the frame's %d", w.largest, len(wire))
	}
	if w.overgrown != "" {
		t.Error(w.overgrown)
	}
}

func TestIdleReaderHoldsItsSmallBuffer(t *testing.T) {
	wire := stomp.AppendFrame(nil, stomp.V12, everydaySend(100_000))
	wire = stomp.AppendFrame(wire, stomp.V12, everydaySend(100))
	r, w := watch(bytes.NewReader(wire), stomp.DefaultLimits())
	frames, err := readAll(r)
	if len(frames) != 2 || err != io.EOF {
		t.Fatalf("%d frames and error %v, want 2 and EOF", len(frames), err)
	}
	if w.largest < len(frames[0].Body) {
		t.Fatalf("largest buffer = %d: the frame never needed one", w.largest)
	}
	for _, size := range w.idleBytes {
		if size != stomp.SmallBufferBytes {
			t.Errorf("buffer = %d while nothing is unread, want %d", size, stomp.SmallBufferBytes)
		}
	}
	if len(w.idleBytes) < 2 {
		t.Errorf("idle reads = %d, want the first and the last at least", len(w.idleBytes))
	}
}

func TestIdleReaderForgetsALongHeaderList(t *testing.T) {
	f := everydaySend(100)
	for i := range 150 {
		f.Add(fmt.Sprintf("x-%d", i), "value")
	}
	r, _ := watch(bytes.NewReader(stomp.AppendFrame(nil, stomp.V12, f)), stomp.DefaultLimits())
	got, err := r.ReadFrame()
	if err != nil || len(got.Headers) != len(f.Headers) {
		t.Fatalf("error %v, or not all headers came", err)
	}
	if _, err = r.ReadFrame(); err != io.EOF {
		t.Fatalf("error %v, want EOF", err)
	}
	if got := r.HeadersKept(); got > stomp.HeadersKeptMax {
		t.Errorf("room for %d headers kept, want at most %d", got, stomp.HeadersKeptMax)
	}
}

func TestFilledSmallBufferMakesTheNextReadLarge(t *testing.T) {
	// Given frames that fill the small buffer to the last byte, then the next read has room for many.
	f := everydaySend(100)
	short := stomp.SmallBufferBytes - len(stomp.AppendFrame(nil, stomp.V12, f))
	f.Add("pad", strings.Repeat("p", short-len("pad:\n")))
	wire := stomp.AppendFrame(nil, stomp.V12, f)
	if len(wire) != stomp.SmallBufferBytes {
		t.Fatalf("frame of %d bytes, want %d", len(wire), stomp.SmallBufferBytes)
	}
	r, w := watch(bytes.NewReader(bytes.Repeat(wire, 50)), stomp.DefaultLimits())
	frames, err := readAll(r)
	if len(frames) != 50 || err != io.EOF {
		t.Fatalf("%d frames and error %v, want 50 and EOF", len(frames), err)
	}
	if got, want := w.largest, stomp.FirstBlockBytes; got != want {
		t.Errorf("largest buffer = %d, want %d", got, want)
	}
}

func TestOneByteAtATimeIsLinear(t *testing.T) {
	// A search or a copy that began anew at each byte would go over 8 TB here, which takes minutes; once over each takes under
	// a second. The bound between is wide enough for any machine.
	const bodyBytes, bound = 4 << 20, 30 * time.Second
	limits := stomp.Limits{HeaderLineBytesMax: bodyBytes, HeaderBytesMax: 2 * bodyBytes, BodyBytesMax: bodyBytes}
	x := strings.Repeat("x", bodyBytes-2)
	wires := map[string]string{
		"counted_body":   fmt.Sprintf("SEND\ncontent-length:%d\n\n%s\x00", len(x), x),
		"uncounted_body": "SEND\n\n" + x + "\x00",
		"header_line":    "SEND\na:" + x + "\n\n\x00",
	}
	for name, wire := range wires {
		t.Run(name, func(t *testing.T) {
			src := &pieces{data: []byte("ACK\n\n\x00" + wire), sizes: []int{1}}
			r := stomp.NewReader(src, limits)
			began := time.Now()
			for range 2 {
				if _, err := r.ReadFrame(); err != nil {
					t.Fatalf("read: %v", err)
				}
			}
			if took := time.Since(began); took > bound {
				t.Errorf("took %v, want less than %v", took, bound)
			}
		})
	}
}
