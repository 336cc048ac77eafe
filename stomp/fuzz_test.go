package stomp_test

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"testing"

	"stampede/stomp"
)

// fuzzLimits are small, so that the fuzzer reaches them.
var fuzzLimits = stomp.Limits{HeaderLineBytesMax: 64, HeadersMax: 8, HeaderBytesMax: 256, BodyBytesMax: 1024}

// FuzzReader feeds any bytes, in pieces of any sizes, and checks: no panic, invariants 2, 4, 8 and 9 of the package, and that
// nothing past the limits is given.
func FuzzReader(f *testing.F) {
	f.Add([]byte("CONNECT\naccept-version:1.2\nhost:a\n\n\x00\nSEND\ndestination:/queue/a\\c\ncontent-length:3\n\na\x00b\x00\r\n"), []byte{1, 7}, byte(3))
	f.Fuzz(func(t *testing.T, wire, sizes []byte, version byte) {
		v := stomp.Version(version % 4)
		whole, wholeErr := fuzzRead(t, bytes.NewReader(wire), v)
		cuts := make([]int, len(sizes))
		for i := range sizes {
			cuts[i] = int(sizes[i])
		}
		cut, cutErr := fuzzRead(t, &pieces{data: bytes.Clone(wire), sizes: cuts}, v)
		if len(whole) != len(cut) || outcome(wholeErr) != outcome(cutErr) {
			t.Fatalf("whole: %d frames and %q, in pieces: %d and %q", len(whole), outcome(wholeErr), len(cut), outcome(cutErr))
		}
		for i := range whole {
			if got, want := show(cut[i]), show(whole[i]); got != want {
				t.Fatalf("frame %d in pieces: %s, whole: %s", i, got, want)
			}
			checkLimits(t, whole[i])
			checkRoundTrip(t, v, whole[i])
			checkTranscoding(t, whole[i])
		}
	})
}

func fuzzRead(t *testing.T, src io.Reader, v stomp.Version) ([]*stomp.Frame, error) {
	t.Helper()
	r, w := watch(src, fuzzLimits)
	r.SetVersion(v)
	frames, err := readAll(r)
	if w.overgrown != "" {
		t.Fatal(w.overgrown)
	}
	var fault *stomp.ProtocolError
	if errors.As(err, &fault) {
		checkText(t, fault)
	}
	return frames, err
}

// outcome is the error code of a fault, and the text of any other error.
func outcome(err error) string {
	var fault *stomp.ProtocolError
	if errors.As(err, &fault) {
		return fault.Code
	}
	return err.Error()
}

func checkLimits(t *testing.T, f *stomp.Frame) {
	t.Helper()
	if len(f.Headers) > fuzzLimits.HeadersMax || len(f.Body) > fuzzLimits.BodyBytesMax ||
		f.Size()-len(f.Body) > fuzzLimits.HeaderBytesMax {
		t.Fatalf("past the limits: %s", show(f))
	}
	for _, h := range f.Headers {
		if len(h.Name) == 0 || len(h.Name)+1+len(h.Value) > fuzzLimits.HeaderLineBytesMax ||
			bytes.IndexByte(h.Name, 0) >= 0 || bytes.IndexByte(h.Value, 0) >= 0 {
			t.Fatalf("a bad header: %s", show(f))
		}
	}
}

// checkRoundTrip writes f and reads it again: all must be there but a content-length that lied and what v cannot express.
func checkRoundTrip(t *testing.T, v stomp.Version, f *stomp.Frame) {
	t.Helper()
	wire := stomp.AppendFrame(nil, v, f)
	r := stomp.NewReader(bytes.NewReader(wire), stomp.DefaultLimits())
	r.SetVersion(v)
	again, err := r.ReadFrame()
	if err != nil {
		t.Fatalf("%s is written as %q, which is refused: %v", show(f), wire, err)
	}
	opening := f.Command == stomp.CommandConnect || f.Command == stomp.CommandStomp || f.Command == stomp.CommandConnected
	want := &stomp.Frame{Command: f.Command, Body: f.Body}
	for _, h := range f.Headers {
		if string(h.Name) == stomp.HeaderContentLength {
			continue
		}
		if v <= stomp.V10 || opening {
			h.Name, h.Value = spaceForCR(h.Name), spaceForCR(h.Value)
		}
		want.Headers = append(want.Headers, h)
	}
	got := &stomp.Frame{Command: again.Command, Body: again.Body}
	for _, h := range again.Headers {
		if string(h.Name) != stomp.HeaderContentLength {
			got.Headers = append(got.Headers, h)
			continue
		}
		if n, _ := strconv.Atoi(string(h.Value)); n != len(f.Body) {
			t.Fatalf("%s is written with content-length %s", show(f), h.Value)
		}
	}
	if show(got) != show(want) {
		t.Fatalf("%s is written as %q, which is read as %s", show(f), wire, show(again))
	}
}

func spaceForCR(b []byte) []byte { return bytes.ReplaceAll(b, []byte{'\r'}, []byte{' '}) }

// checkTranscoding compares the way over the form of 1.2 with the direct one, for all versions.
func checkTranscoding(t *testing.T, f *stomp.Frame) {
	t.Helper()
	var encoded12 []byte
	for _, h := range f.Headers {
		encoded12 = stomp.AppendHeaderBytes(encoded12, stomp.V12, h.Name, h.Value)
	}
	for _, v := range versions {
		var want []byte
		for _, h := range f.Headers {
			want = stomp.AppendHeaderBytes(want, v, h.Name, h.Value)
		}
		if got := stomp.TranscodeHeaders(nil, v, encoded12); !bytes.Equal(got, want) {
			t.Fatalf("%q in version %v is %q, want %q", encoded12, v, got, want)
		}
	}
}

// FuzzNegotiation feeds any text to what reads the headers of CONNECT.
func FuzzNegotiation(f *testing.F) {
	f.Add("1.0,1.1,1.2", "10000,10000")
	f.Add(" 1.1 , 2", "0, 99999999999999999999")
	f.Fuzz(func(t *testing.T, accept, heartBeat string) {
		if v, e := stomp.NegotiateVersion(accept, true); (v == stomp.VersionNone) != (e != nil) {
			t.Errorf("accept-version %q: version %v and fault %v", accept, v, e)
		}
		send, want, e := stomp.ParseHeartBeat(heartBeat)
		if send < 0 || want < 0 || send > 1<<31-1 || want > 1<<31-1 || e != nil && (send != 0 || want != 0) {
			t.Errorf("heart-beat %q: %d and %d and fault %v", heartBeat, send, want, e)
		}
	})
}
