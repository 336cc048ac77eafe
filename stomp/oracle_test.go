package stomp_test

import (
	"bytes"
	"strconv"
	"testing"

	"github.com/go-stomp/stomp/v3/frame"
	"pgregory.net/rapid"

	"stampede/stomp"
)

// The oracle is the reader and the writer of another project, which know 1.2 as we do.

// drawFrame draws a frame that both sides can express: no NUL among the headers, a body only where one may be, and no
// content-length, which each side adds in its own way. CONNECT and CONNECTED have nothing that would be escaped.
func drawFrame(t *rapid.T) *stomp.Frame {
	f := &stomp.Frame{Command: stomp.CommandSend}
	if rapid.Bool().Draw(t, "another") {
		f.Command = stomp.Command(rapid.IntRange(int(stomp.CommandConnect), int(stomp.CommandError)).Draw(t, "command"))
	}
	text := rapid.StringMatching("[ -~äß€\\r\\n\\t]{0,12}")
	name := rapid.StringMatching("[ -~ä\\r\\n]{1,8}")
	switch f.Command {
	case stomp.CommandConnect, stomp.CommandStomp, stomp.CommandConnected:
		text = rapid.StringMatching("[a-zA-Z0-9/ ._-]{0,12}")
		name = rapid.StringMatching("[a-z-]{1,8}")
	}
	for range rapid.IntRange(0, 6).Draw(t, "headers") {
		n := name.Draw(t, "name")
		if n == stomp.HeaderContentLength {
			continue
		}
		f.Add(n, text.Draw(t, "value"))
	}
	if f.Command == stomp.CommandSend || f.Command == stomp.CommandMessage || f.Command == stomp.CommandError {
		f.Body = rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(t, "body")
	}
	return f
}

// sameAsOracle compares names, values and body, leaving out content-length.
func sameAsOracle(t *rapid.T, ours *stomp.Frame, theirs *frame.Frame) {
	if got, want := ours.Command.String(), theirs.Command; got != want {
		t.Fatalf("command = %s, oracle has %s", got, want)
	}
	var a, b []string
	for _, h := range ours.Headers {
		if string(h.Name) != stomp.HeaderContentLength {
			a = append(a, string(h.Name)+"="+string(h.Value))
		}
	}
	for i := range theirs.Header.Len() {
		if n, v := theirs.Header.GetAt(i); n != frame.ContentLength {
			b = append(b, n+"="+v)
		}
	}
	if len(a) != len(b) {
		t.Fatalf("headers = %q, oracle has %q", a, b)
	}
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("header %d = %q, oracle has %q", i, a[i], b[i])
		}
	}
	if !bytes.Equal(ours.Body, theirs.Body) {
		t.Fatalf("body = %q, oracle has %q", ours.Body, theirs.Body)
	}
}

func TestOracleReadsWhatWeWrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFrame(t)
		wire := stomp.AppendFrame(nil, stomp.V12, f)
		theirs, err := frame.NewReaderSize(bytes.NewReader(wire), 64<<10).Read()
		if err != nil {
			t.Fatalf("oracle refuses %q: %v", wire, err)
		}
		sameAsOracle(t, f, theirs)
	})
}

func TestWeReadWhatOracleWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFrame(t)
		theirs := frame.New(f.Command.String())
		for _, h := range f.Headers {
			theirs.Header.Add(string(h.Name), string(h.Value))
		}
		theirs.Body = f.Body
		if len(f.Body) > 0 {
			theirs.Header.Add(frame.ContentLength, strconv.Itoa(len(f.Body)))
		}
		var wire bytes.Buffer
		if err := frame.NewWriter(&wire).Write(theirs); err != nil {
			t.Fatalf("oracle writes %s: %v", show(f), err)
		}
		sizes := rapid.SliceOfN(rapid.IntRange(1, 600), 1, 5).Draw(t, "sizes")
		r := stomp.NewReader(&pieces{data: wire.Bytes(), sizes: sizes}, stomp.DefaultLimits())
		r.SetVersion(stomp.V12)
		ours, err := r.ReadFrame()
		if err != nil {
			t.Fatalf("we refuse %q: %v", wire.Bytes(), err)
		}
		sameAsOracle(t, ours, theirs)
	})
}

// TestOracleAgreesOnHarmedFrames changes bytes of good frames: what both still take, both must take for the same.
func TestOracleAgreesOnHarmedFrames(t *testing.T) {
	both := 0
	rapid.Check(t, func(t *rapid.T) {
		f := drawFrame(t)
		if f.Command != stomp.CommandSend { // the oracle keeps stray bodies and unescapes CONNECT: nothing to compare there
			return
		}
		wire := stomp.AppendFrame(nil, stomp.V12, f)
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			at := rapid.IntRange(0, len(wire)-1).Draw(t, "at")
			wire[at] = rapid.SampledFrom([]byte("\n\r\x00:\\anc0")).Draw(t, "byte")
		}
		r := stomp.NewReader(bytes.NewReader(wire), stomp.DefaultLimits())
		r.SetVersion(stomp.V12)
		ours, err := r.ReadFrame()
		if err != nil {
			return
		}
		var theirs *frame.Frame
		oracle := frame.NewReaderSize(bytes.NewReader(wire), 64<<10)
		for theirs == nil { // nil is a heart-beat
			if theirs, err = oracle.Read(); err != nil {
				t.Fatalf("we take %q as %s, the oracle refuses it: %v", wire, show(ours), err)
			}
		}
		both++
		sameAsOracle(t, ours, theirs)
	})
	if both == 0 {
		t.Error("no harmed frame was taken by both: the test compared nothing")
	}
}
