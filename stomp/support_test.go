package stomp_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"stampede/stomp"
)

// pieces gives data in pieces of the given sizes, in turn and over again, then err, or io.EOF if that is nil.
type pieces struct {
	data  []byte
	sizes []int
	err   error
	reads int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		if p.err != nil {
			return 0, p.err
		}
		return 0, io.EOF
	}
	size := len(p.data)
	if len(p.sizes) > 0 {
		size = min(size, max(1, p.sizes[p.reads%len(p.sizes)]))
	}
	p.reads++
	n := copy(b, p.data[:size])
	p.data = p.data[n:]
	return n, nil
}

// readAll reads frames until there is an error. The frames are copies.
func readAll(r *stomp.Reader) ([]*stomp.Frame, error) {
	var frames []*stomp.Frame
	for {
		f, err := r.ReadFrame()
		if err != nil {
			return frames, err
		}
		frames = append(frames, f.Clone())
	}
}

func newReader(wire string, v stomp.Version, sizes ...int) *stomp.Reader {
	r := stomp.NewReader(&pieces{data: []byte(wire), sizes: sizes}, stomp.DefaultLimits())
	r.SetVersion(v)
	return r
}

// readOne reads the single frame of wire, in pieces of several sizes, and fails the test if it differs between them.
func readOne(t *testing.T, v stomp.Version, wire string) *stomp.Frame {
	t.Helper()
	var first *stomp.Frame
	for _, size := range []int{len(wire), 1, 2, 7} {
		frames, err := readAll(newReader(wire, v, size))
		if err != io.EOF || len(frames) != 1 {
			t.Fatalf("read %q in pieces of %d: %d frames and error %v, want 1 frame and EOF", wire, size, len(frames), err)
		}
		if first == nil {
			first = frames[0]
		}
		if got, want := show(frames[0]), show(first); got != want {
			t.Fatalf("read %q in pieces of %d: got %s, want %s", wire, size, got, want)
		}
	}
	return first
}

// readFault reads wire, in pieces of several sizes, and gives the fault that ends it.
func readFault(t *testing.T, v stomp.Version, l stomp.Limits, wire string) *stomp.ProtocolError {
	t.Helper()
	var fault *stomp.ProtocolError
	for _, size := range []int{1, 5, len(wire)} {
		r := stomp.NewReader(&pieces{data: []byte(wire), sizes: []int{size}}, l)
		r.SetVersion(v)
		_, err := readAll(r)
		if !errors.As(err, &fault) {
			t.Fatalf("read %.80q in pieces of %d: error %v, want a ProtocolError", wire, size, err)
		}
		checkText(t, fault)
	}
	return fault
}

func wantCode(t *testing.T, e *stomp.ProtocolError, code string) {
	t.Helper()
	if e == nil {
		t.Errorf("no fault, want %s", code)
		return
	}
	if e.Code != code {
		t.Errorf("code = %s (%s), want %s", e.Code, e.Detail, code)
	}
}

// checkText fails the test if the texts of a fault hold what a log or a client must not get.
func checkText(t *testing.T, e *stomp.ProtocolError) {
	t.Helper()
	for _, text := range []string{e.Code, e.Message, e.Detail, e.Error()} {
		if i := strings.IndexFunc(text, func(c rune) bool { return c < ' ' || c > '~' }); i >= 0 {
			t.Errorf("text %q has a byte at %d that is not printable", text, i)
		}
		if len(text) > 400 {
			t.Errorf("text %.80q... has %d bytes, want at most 400", text, len(text))
		}
	}
}

// show gives a frame in one line.
func show(f *stomp.Frame) string {
	var b strings.Builder
	b.WriteString(f.Command.String())
	for _, h := range f.Headers {
		b.WriteString(" " + quote(h.Name) + "=" + quote(h.Value))
	}
	b.WriteString(" body=" + quote(f.Body))
	return b.String()
}

func quote(b []byte) string {
	const hex = "0123456789abcdef"
	var out bytes.Buffer
	for _, c := range b {
		if c > ' ' && c <= '~' && c != '\\' {
			out.WriteByte(c)
			continue
		}
		out.Write([]byte{'\\', hex[c>>4], hex[c&15]})
	}
	return out.String()
}
