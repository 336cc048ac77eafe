package stomp_test

import (
	"strings"
	"testing"

	"stampede/stomp"
)

var versions = []stomp.Version{stomp.VersionNone, stomp.V10, stomp.V11, stomp.V12}

func TestAppendHeader(t *testing.T) {
	tests := []struct {
		v                 stomp.Version
		name, value, want string
	}{
		{stomp.V12, "a", "b", "a:b\n"},
		{stomp.V12, "a", "", "a:\n"},
		{stomp.V12, "a:b", "c\\d\r\n:", `a\cb:c\\d\r\n\c` + "\n"},
		{stomp.V11, "a:b", "c\\d\r\n:", `a\cb:c\\d\r\n\c` + "\n"},
		{stomp.V10, "a:b", "c\\d\r\n:", `a b:c\d  :` + "\n"},
		{stomp.VersionNone, "a:b", "c\\d\r\n:", `a b:c\d  :` + "\n"},
		{stomp.V12, "a\x00", "\x00b", "a : b\n"},
		{stomp.V10, "a\x00", "\x00b", "a : b\n"},
	}
	for _, test := range tests {
		got := string(stomp.AppendHeader([]byte("x"), test.v, test.name, test.value))
		if want := "x" + test.want; got != want {
			t.Errorf("version %v, %q and %q: got %q, want %q", test.v, test.name, test.value, got, want)
		}
		if same := string(stomp.AppendHeaderBytes([]byte("x"), test.v, []byte(test.name), []byte(test.value))); same != got {
			t.Errorf("AppendHeaderBytes gives %q, AppendHeader %q", same, got)
		}
	}
	mixed := stomp.AppendHeader(nil, stomp.V12, "destination", []byte("/a:b"))
	if got, want := string(mixed), "destination:/a\\cb\n"; got != want {
		t.Errorf("name as string and value as bytes: got %q, want %q", got, want)
	}
	if got, want := string(stomp.AppendHeaderInt(nil, "timestamp", -12)), "timestamp:-12\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAppendFrameWritesTheTrueLength(t *testing.T) {
	tests := []struct {
		name   string
		header []string
		body   string
		want   string
	}{
		{"no_body", nil, "", "SEND\n\n\x00"},
		{"no_body_and_zero", []string{"content-length", "0"}, "", "SEND\ncontent-length:0\n\n\x00"},
		{"no_body_and_a_wrong_one", []string{"content-length", "3"}, "", "SEND\n\n\x00"},
		{"missing", []string{"a", "b"}, "hi", "SEND\na:b\ncontent-length:2\n\nhi\x00"},
		{"right_one_stays_in_place", []string{"content-length", "2", "a", "b"}, "hi", "SEND\ncontent-length:2\na:b\n\nhi\x00"},
		{"wrong_one_is_replaced", []string{"content-length", "9", "a", "b"}, "hi", "SEND\na:b\ncontent-length:2\n\nhi\x00"},
		{"first_wrong_second_right", []string{"content-length", "9", "content-length", "2"}, "hi", "SEND\ncontent-length:2\n\nhi\x00"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := stomp.NewFrame(stomp.CommandSend, test.header...)
			f.Body = []byte(test.body)
			if got := string(stomp.AppendFrame(nil, stomp.V12, f)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestTranscodeHeaders(t *testing.T) {
	headers := []string{"destination", "/topic/a", "na:me", "va:lue", "path", `c:\new`, "text", "a\r\nb", "empty", "", `back\slash`, `\`}
	var encoded12 []byte
	for i := 0; i < len(headers); i += 2 {
		encoded12 = stomp.AppendHeader(encoded12, stomp.V12, headers[i], headers[i+1])
	}
	for _, v := range versions {
		want := []byte("x")
		for i := 0; i < len(headers); i += 2 {
			want = stomp.AppendHeader(want, v, headers[i], headers[i+1])
		}
		if got := stomp.TranscodeHeaders([]byte("x"), v, encoded12); string(got) != string(want) {
			t.Errorf("version %v: got %q, want %q", v, got, want)
		}
	}
	t.Run("bad_escapes_stay", func(t *testing.T) {
		if got, want := string(stomp.TranscodeHeaders(nil, stomp.V10, []byte(`a:\t\`))), `a:\t\`; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestClone(t *testing.T) {
	wire := "SEND\ndestination:/queue/a\nb:\n\nbody\x00"
	r := newReader(wire+"ABORT\n\n\x00", stomp.V12, len(wire))
	f, err := r.ReadFrame()
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	want := show(f)
	if got, want := f.Size(), len("destination/queue/ab")+len("body"); got != want {
		t.Errorf("size = %d, want %d", got, want)
	}
	clone := f.Clone()
	if _, err = r.ReadFrame(); err != nil {
		t.Fatalf("read the next: %v", err)
	}
	if got := show(clone); got != want {
		t.Errorf("clone after the next read = %s, want %s", got, want)
	}
	_ = append(clone.Headers[0].Name, "XXXX"...)
	if got := show(clone); got != want {
		t.Errorf("clone after an append to one of its names = %s, want %s", got, want)
	}
}

func TestFrameLookups(t *testing.T) {
	f := stomp.NewFrame(stomp.CommandSend, "a", "1", "a", "2", "empty", "")
	if got, want := f.Value("a"), "1"; got != want {
		t.Errorf("a = %q, want the first, %q", got, want)
	}
	if value, ok := f.Get("empty"); !ok || len(value) != 0 {
		t.Errorf("empty = %q, %v, want an empty value that is there", value, ok)
	}
	if _, ok := f.Get("A"); ok || f.Has("b") || !f.Has("empty") || f.Value("b") != "" {
		t.Error("names are found that are not there, or not found that are")
	}
	defer func() {
		if recover() == nil {
			t.Error("NewFrame with a name without a value does not panic")
		}
	}()
	odd := strings.Fields("a")
	stomp.NewFrame(stomp.CommandSend, odd...)
}

func TestNames(t *testing.T) {
	for v, want := range map[stomp.Version]string{stomp.VersionNone: "", stomp.V10: "1.0", stomp.V11: "1.1", stomp.V12: "1.2", 9: ""} {
		if got := v.String(); got != want {
			t.Errorf("version %d = %q, want %q", v, got, want)
		}
		parsed, ok := stomp.ParseVersion(want)
		if ok != (want != "") || ok && parsed != v {
			t.Errorf("ParseVersion(%q) = %v, %v", want, parsed, ok)
		}
	}
	if got := stomp.Command(99).String() + stomp.CommandNone.String(); got != "" {
		t.Errorf("name of no command = %q, want none", got)
	}
	if got, want := (stomp.Fatal.String() + stomp.Refused.String() + stomp.Transient.String()), "fatalrefusedtransient"; got != want {
		t.Errorf("severities = %q, want %q", got, want)
	}
}
