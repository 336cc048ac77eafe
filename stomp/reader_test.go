package stomp_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"stampede/stomp"
)

func TestReadFrame(t *testing.T) {
	tests := []struct{ name, wire, want string }{
		{"takes_lf", "SEND\na:1\nb:2\n\nhi\x00", "SEND a=1 b=2 body=hi"},
		{"takes_crlf", "SEND\r\na:1\r\nb:2\r\n\r\nhi\x00", "SEND a=1 b=2 body=hi"},
		{"takes_both_in_one_frame", "SEND\r\na:1\nb:2\r\n\nhi\x00", "SEND a=1 b=2 body=hi"},
		{"strips_one_cr_only", "SEND\na:1\r\r\n\n\x00", `SEND a=1\0d body=`},
		{"skips_eols_before", "\n\r\n\n\nSEND\n\n\x00", "SEND body="},
		{"skips_eols_after", "SEND\n\n\x00\n\r\n\n", "SEND body="},
		{"takes_no_headers_and_no_body", "DISCONNECT\n\n\x00", "DISCONNECT body="},
		{"takes_empty_value", "SEND\na:\n\n\x00", "SEND a= body="},
		{"keeps_colons_in_value", "SEND\na:b:c:\n\n\x00", "SEND a=b:c: body="},
		{"keeps_nul_in_counted_body", "SEND\ncontent-length:3\n\na\x00b\x00", `SEND content-length=3 body=a\00b`},
		{"keeps_eols_in_body", "SEND\n\n\n\r\n\x00", `SEND body=\0a\0d\0a`},
		{"takes_spaces_around_content_length", "SEND\ncontent-length: 2 \n\nab\x00", `SEND content-length=\202\20 body=ab`},
		{"takes_content_length_zero", "SEND\ncontent-length:0\n\n\x00", "SEND content-length=0 body="},
		{"keeps_bytes_that_are_no_utf8", "SEND\na:\xff\xfe\n\n\xc0\x00", `SEND a=\ff\fe body=\c0`},
		{"drops_stray_body", "SUBSCRIBE\nid:1\n\nhello\x00", "SUBSCRIBE id=1 body="},
		{"drops_counted_stray_body", "ACK\nid:1\ncontent-length:3\n\na\x00b\x00", "ACK id=1 content-length=3 body="},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, v := range []stomp.Version{stomp.V10, stomp.V11, stomp.V12} {
				if got := show(readOne(t, v, test.wire)); got != test.want {
					t.Errorf("version %v: got %s, want %s", v, got, test.want)
				}
			}
		})
	}
}

func TestReadFrameFaults(t *testing.T) {
	small := stomp.Limits{HeaderLineBytesMax: 20, HeadersMax: 3, HeaderBytesMax: 64, BodyBytesMax: 10}
	tests := []struct{ name, wire, code string }{
		{"unknown_command", "SENDX\n\n\x00", stomp.CodeUnknownCommand},
		{"command_in_lower_case", "send\n\n\x00", stomp.CodeUnknownCommand},
		{"command_with_a_space", "SEND \n\n\x00", stomp.CodeUnknownCommand},
		{"long_command_that_never_ends", strings.Repeat("A", 50), stomp.CodeUnknownCommand},
		{"nul_in_command", "DISCONNECT\x00", stomp.CodeUnknownCommand},
		{"nul_between_frames", "SEND\n\n\x00\x00SEND\n\n\x00", stomp.CodeUnknownCommand},
		{"no_colon", "SEND\nabc\n\n\x00", stomp.CodeMalformedHeader},
		{"no_name", "SEND\n:abc\n\n\x00", stomp.CodeMalformedHeader},
		{"nul_in_header", "SEND\na:b\x00c\n\n\x00", stomp.CodeMalformedHeader},
		{"no_blank_line", "SEND\na:b\n\x00", stomp.CodeMalformedHeader},
		{"no_blank_line_and_another_frame", "SEND\na:b\n\x00SEND\n\n\x00", stomp.CodeMalformedHeader},
		{"line_too_long", "SEND\na:" + strings.Repeat("x", 19) + "\n\n\x00", stomp.CodeHeaderTooLarge},
		{"line_too_long_that_never_ends", "SEND\na:" + strings.Repeat("x", 25), stomp.CodeHeaderTooLarge},
		{"headers_too_long", "SEND\na:" + strings.Repeat("x", 18) + "\nb:" + strings.Repeat("y", 18) + "\nc:" + strings.Repeat("z", 18) + "\n\n\x00", stomp.CodeHeaderTooLarge},
		{"too_many_headers", "SEND\na:1\nb:2\nc:3\nd:4\n\n\x00", stomp.CodeTooManyHeaders},
		{"body_too_large", "SEND\n\n12345678901\x00", stomp.CodeBodyTooLarge},
		{"body_too_large_that_never_ends", "SEND\n\n123456789012345", stomp.CodeBodyTooLarge},
		{"announced_body_too_large", "SEND\ncontent-length:11\n\n", stomp.CodeBodyTooLarge},
		{"announced_body_far_too_large", "SEND\ncontent-length:99999\n\n", stomp.CodeBodyTooLarge},
		{"content_length_negative", "SEND\ncontent-length:-1\n\n\x00", stomp.CodeMalformedFrame},
		{"content_length_no_number", "SEND\ncontent-length:1a\n\n\x00", stomp.CodeMalformedFrame},
		{"content_length_empty", "SEND\ncontent-length:\n\n\x00", stomp.CodeMalformedFrame},
		{"content_length_too_small", "SEND\ncontent-length:2\n\nabc\x00", stomp.CodeMalformedFrame},
		{"content_length_too_large", "SEND\ncontent-length:4\n\nabc\x00SEND\n\n\x00", stomp.CodeMalformedFrame},
		{"stray_body_too_large", "ACK\nid:1\n\n" + strings.Repeat("x", 11) + "\x00", stomp.CodeBodyTooLarge},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := readFault(t, stomp.V12, small, test.wire)
			wantCode(t, e, test.code)
			if got, want := e.Severity, stomp.Fatal; got != want {
				t.Errorf("severity = %v, want %v", got, want)
			}
		})
	}
	t.Run("content_length_past_64_bits", func(t *testing.T) {
		wire := "SEND\ncontent-length:" + strings.Repeat("9", 40) + "\n\n"
		wantCode(t, readFault(t, stomp.V12, stomp.DefaultLimits(), wire), stomp.CodeBodyTooLarge)
	})
	t.Run("content_length_past_64_bits_without_a_limit", func(t *testing.T) {
		wire := "SEND\ncontent-length:9223372036854775807\n\nx"
		wantCode(t, readFault(t, stomp.V12, stomp.Limits{BodyBytesMax: math.MaxInt}, wire), stomp.CodeBodyTooLarge)
	})
	t.Run("stray_body_has_a_limit_of_its_own", func(t *testing.T) {
		fits := "ACK\nid:1\n\n" + strings.Repeat("x", stomp.StrayBodyBytesMax) + "\x00"
		if got, want := show(readOne(t, stomp.V12, fits)), "ACK id=1 body="; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		over := strings.Replace(fits, "x", "xx", 1)
		wantCode(t, readFault(t, stomp.V12, stomp.DefaultLimits(), over), stomp.CodeBodyTooLarge)
	})
}

func TestLimitsAreReachedExactly(t *testing.T) {
	for _, eol := range []string{"\n", "\r\n"} {
		line := "a:" + strings.Repeat("x", 18)
		head := strings.Join([]string{"SEND", line, "b:2", "", ""}, eol)
		wire := head + "1234567890\x00"
		exact := stomp.Limits{HeaderLineBytesMax: len(line), HeadersMax: 2, HeaderBytesMax: len(head), BodyBytesMax: 10}
		for _, size := range []int{1, 3, len(wire)} {
			r := stomp.NewReader(&pieces{data: []byte(wire), sizes: []int{size}}, exact)
			if _, err := r.ReadFrame(); err != nil {
				t.Errorf("EOL %q in pieces of %d: %v, want a frame", eol, size, err)
			}
		}
		tighter := []struct {
			code   string
			change func(*stomp.Limits)
		}{
			{stomp.CodeHeaderTooLarge, func(l *stomp.Limits) { l.HeaderLineBytesMax-- }},
			{stomp.CodeTooManyHeaders, func(l *stomp.Limits) { l.HeadersMax-- }},
			{stomp.CodeHeaderTooLarge, func(l *stomp.Limits) { l.HeaderBytesMax-- }},
			{stomp.CodeBodyTooLarge, func(l *stomp.Limits) { l.BodyBytesMax-- }},
		}
		for _, test := range tighter {
			limits := exact
			test.change(&limits)
			wantCode(t, readFault(t, stomp.V12, limits, wire), test.code)
		}
	}
}

func TestReadFrameErrors(t *testing.T) {
	t.Run("gives_eof_between_frames", func(t *testing.T) {
		for _, wire := range []string{"", "\n", "\r\n\n", "SEND\n\n\x00", "SEND\n\n\x00\n"} {
			if _, err := readAll(newReader(wire, stomp.V12)); err != io.EOF {
				t.Errorf("%q: error %v, want EOF", wire, err)
			}
		}
	})
	t.Run("gives_unexpected_eof_inside_a_frame", func(t *testing.T) {
		wire := "SEND\r\na:b\r\ncontent-length:2\r\n\r\nhi\x00"
		for i := 1; i < len(wire); i++ {
			frames, err := readAll(newReader(wire[:i], stomp.V12, 1))
			if err != io.ErrUnexpectedEOF || len(frames) != 0 {
				t.Errorf("%q: %d frames and error %v, want unexpected EOF", wire[:i], len(frames), err)
			}
		}
	})
	t.Run("gives_the_bytes_before_the_error_that_came_with_them", func(t *testing.T) {
		r := stomp.NewReader(iotest.DataErrReader(strings.NewReader("SEND\n\n\x00ACK\n\n\x00")), stomp.DefaultLimits())
		frames, err := readAll(r)
		if len(frames) != 2 || err != io.EOF {
			t.Errorf("%d frames and error %v, want 2 and EOF", len(frames), err)
		}
	})
	t.Run("goes_on_after_an_error_of_the_source", func(t *testing.T) {
		stalled := errors.New("stalled")
		src := &pieces{data: []byte("SEND\na:b"), err: stalled}
		r := stomp.NewReader(src, stomp.DefaultLimits())
		for range 3 {
			if _, err := r.ReadFrame(); err != stalled {
				t.Fatalf("error %v, want the source's", err)
			}
		}
		src.data = []byte("c\n\nhi\x00")
		f, err := r.ReadFrame()
		if err != nil {
			t.Fatalf("read after the source recovered: %v", err)
		}
		if got, want := show(f), "SEND a=bc body=hi"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
	t.Run("gives_a_fault_for_ever", func(t *testing.T) {
		r := newReader("BAD\n\n\x00SEND\n\n\x00", stomp.V12)
		_, first := r.ReadFrame()
		_, second := r.ReadFrame()
		if first == nil || first != second {
			t.Errorf("errors %v and %v, want the same fault twice", first, second)
		}
		if got := r.Buffered(); got != 0 {
			t.Errorf("buffered = %d after a fault, want 0", got)
		}
	})
	t.Run("gives_no_progress_for_a_source_that_gives_nothing", func(t *testing.T) {
		r := stomp.NewReader(emptySource{}, stomp.DefaultLimits())
		if _, err := r.ReadFrame(); err != io.ErrNoProgress {
			t.Errorf("error %v, want io.ErrNoProgress", err)
		}
	})
}

type emptySource struct{}

func (emptySource) Read([]byte) (int, error) { return 0, nil }

func TestReaderIsLazy(t *testing.T) {
	// Given three frames in one piece, when version and limits change between them, then the next frame obeys the new ones.
	wire := "CONNECT\nlogin:a\\nb\n\n\x00SEND\na:x\\ny\n\n\x00SEND\n\n12345\x00"
	r := newReader(wire, stomp.VersionNone)
	connect, err := r.ReadFrame()
	if err != nil {
		t.Fatalf("read CONNECT: %v", err)
	}
	if got, want := connect.Value("login"), `a\nb`; got != want {
		t.Errorf("login = %q, want %q", got, want)
	}
	if got, want := r.Buffered(), len(wire)-strings.Index(wire, "SEND"); got != want {
		t.Errorf("buffered = %d, want %d", got, want)
	}
	r.SetVersion(stomp.V12)
	send, err := r.ReadFrame()
	if err != nil {
		t.Fatalf("read SEND: %v", err)
	}
	if got, want := send.Value("a"), "x\ny"; got != want {
		t.Errorf("a = %q, want %q", got, want)
	}
	r.SetLimits(stomp.Limits{BodyBytesMax: 4})
	var fault *stomp.ProtocolError
	if _, err = r.ReadFrame(); !errors.As(err, &fault) {
		t.Fatalf("error %v, want a ProtocolError", err)
	}
	wantCode(t, fault, stomp.CodeBodyTooLarge)
}

func TestManySizes(t *testing.T) {
	// Given frames around every size where the buffer changes, when they come in pieces of many sizes, then none is harmed.
	var frames []*stomp.Frame
	var wire []byte
	for _, bodyBytes := range []int{0, 1, 100, 300, 511, 512, 513, 5000, 32700, 32768, 33000, 65536, 200_000, 1 << 20} {
		f := everydaySend(bodyBytes)
		for i := range f.Body {
			f.Body[i] = byte(i * 7)
		}
		frames = append(frames, f)
		wire = append(stomp.AppendFrame(wire, stomp.V12, f), '\n')
	}
	for _, size := range []int{1, 13, 511, 512, 513, 4096, 32767, 32768, 32769, 100_000, len(wire)} {
		r := stomp.NewReader(&pieces{data: wire, sizes: []int{size}}, stomp.DefaultLimits())
		r.SetVersion(stomp.V12)
		got, err := readAll(r)
		if err != io.EOF || len(got) != len(frames) {
			t.Fatalf("pieces of %d: %d frames and error %v, want %d and EOF", size, len(got), err, len(frames))
		}
		for i := range frames {
			if !bytes.Equal(got[i].Body, frames[i].Body) || got[i].Value("receipt") != "r-123456" {
				t.Errorf("pieces of %d: frame %d with a body of %d bytes came out different", size, i, len(frames[i].Body))
			}
		}
	}
}

func TestDialect(t *testing.T) {
	tests := []struct {
		wire string
		want stomp.Dialect
	}{
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", stomp.DialectHTTP},
		{"POST /a HTTP/1.1\r\n", stomp.DialectHTTP},
		{"CONNECT a:1 HTTP/1.1\r\n", stomp.DialectHTTP},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", stomp.DialectHTTP},
		{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdefgh", stomp.DialectTLS},
		{"\x16\x03\x01\n", stomp.DialectTLS},
		{"HELO mail.example\r\n", stomp.DialectUnknown},
		{"SEND\n\n\x00GET / HTTP/1.1\r\n", stomp.DialectUnknown},
		{"SEND\nGET /\n\n\x00", stomp.DialectUnknown},
	}
	for _, test := range tests {
		for _, size := range []int{1, len(test.wire)} {
			r := newReader(test.wire, stomp.VersionNone, size)
			_, err := readAll(r)
			var fault *stomp.ProtocolError
			if !errors.As(err, &fault) {
				t.Fatalf("%q: error %v, want a ProtocolError", test.wire, err)
			}
			if got := r.Dialect(); got != test.want {
				t.Errorf("%q in pieces of %d: dialect = %v, want %v", test.wire, size, got, test.want)
			}
		}
	}
}

func TestFaultTextsKeepSecretsAndControlBytesOut(t *testing.T) {
	wires := []string{
		"\x1b[31m\x07\x00\x01\x02\x03\x04\x05\x06\x07\x08\n",
		strings.Repeat("\xff", 10_000) + "\n",
		"CONNECT\npasscode hunter2\n\n\x00",
		"SEND\npasscode:hunter2\\t\n\n\x00",
		"SEND\ncontent-length:hunter2\n\n\x00",
	}
	for _, wire := range wires {
		e := readFault(t, stomp.V12, stomp.DefaultLimits(), wire)
		if text := e.Error() + e.Detail + fmt.Sprint(e.Headers); strings.Contains(text, "hunter2") {
			t.Errorf("the fault of %.40q repeats a value: %s", wire, text)
		}
	}
}
