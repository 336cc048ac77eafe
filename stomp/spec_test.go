package stomp_test

import (
	"strings"
	"testing"

	"stampede/stomp"
)

// One subtest for each duty of the specifications that this package can honour, tagged with the clause.

func TestSpecFrames(t *testing.T) {
	t.Run("[STOMP12 §STOMP Frames] a frame is command, headers, blank line, body and NUL", func(t *testing.T) {
		got := show(readOne(t, stomp.V12, "SEND\ndestination:/queue/a\ncontent-type:text/plain\n\nhello queue a\x00"))
		if want := `SEND destination=/queue/a content-type=text/plain body=hello\20queue\20a`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
	t.Run("[STOMP12 §STOMP Frames] an EOL is an optional CR and an LF", func(t *testing.T) {
		got := show(readOne(t, stomp.V12, "SEND\r\ndestination:/queue/a\r\n\r\nb\x00"))
		if want := "SEND destination=/queue/a body=b"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
	t.Run("[STOMP12 §STOMP Frames] the NUL can be followed by several EOLs", func(t *testing.T) {
		frames, _ := readAll(newReader("SEND\n\na\x00\n\r\n\nSEND\n\nb\x00\n", stomp.V12))
		if len(frames) != 2 {
			t.Fatalf("got %d frames, want 2", len(frames))
		}
	})
	t.Run("[STOMP12 §Augmented BNF] commands are case sensitive and no others exist", func(t *testing.T) {
		for _, command := range []string{"Send", "SEN", "SENDS", "PING"} {
			e := readFault(t, stomp.V12, stomp.DefaultLimits(), command+"\n\n\x00")
			wantCode(t, e, stomp.CodeUnknownCommand)
		}
	})
	t.Run("[STOMP12 §Augmented BNF] every command of client and server is read and written", func(t *testing.T) {
		for c := stomp.CommandConnect; c <= stomp.CommandError; c++ {
			wire := string(stomp.AppendFrame(nil, stomp.V12, stomp.NewFrame(c, "a", "b")))
			if got, want := wire, c.String()+"\na:b\n\n\x00"; got != want {
				t.Errorf("%v is written %q, want %q", c, got, want)
			}
			if got := readOne(t, stomp.V12, wire).Command; got != c {
				t.Errorf("%q is read as %v, want %v", wire, got, c)
			}
		}
	})
	t.Run("[STOMP12 §Body] only SEND, MESSAGE and ERROR have a body", func(t *testing.T) {
		for c := stomp.CommandConnect; c <= stomp.CommandError; c++ {
			body := readOne(t, stomp.V12, c.String()+"\n\nx\x00").Body
			may := c == stomp.CommandSend || c == stomp.CommandMessage || c == stomp.CommandError
			if got, want := len(body) > 0, may; got != want {
				t.Errorf("%v has a body = %v, want %v", c, got, want)
			}
		}
	})
	t.Run("[STOMP12 §Standard Headers] content-length counts the octets to read, NULs included", func(t *testing.T) {
		got := show(readOne(t, stomp.V12, "MESSAGE\ncontent-length:5\n\n\x00a\x00b\x00\x00"))
		if want := `MESSAGE content-length=5 body=\00a\00b\00`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
	t.Run("[STOMP12 §Standard Headers] a counted body still ends with NUL", func(t *testing.T) {
		e := readFault(t, stomp.V12, stomp.DefaultLimits(), "SEND\ncontent-length:1\n\nab\x00")
		wantCode(t, e, stomp.CodeMalformedFrame)
	})
	t.Run("[STOMP12 §Standard Headers] frames with a body are written with content-length", func(t *testing.T) {
		for _, c := range []stomp.Command{stomp.CommandSend, stomp.CommandMessage, stomp.CommandError} {
			f := stomp.NewFrame(c)
			f.Body = []byte("a\x00b")
			got := string(stomp.AppendFrame(nil, stomp.V12, f))
			if want := c.String() + "\ncontent-length:3\n\na\x00b\x00"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
	t.Run("[STOMP12 §Repeated Header Entries] the first entry counts", func(t *testing.T) {
		f := readOne(t, stomp.V12, "MESSAGE\nfoo:World\nfoo:Hello\ncontent-length:1\ncontent-length:9\n\na\x00")
		if got, want := f.Value("foo"), "World"; got != want {
			t.Errorf("foo = %q, want %q", got, want)
		}
		if got, want := string(f.Body), "a"; got != want {
			t.Errorf("body = %q, want %q", got, want)
		}
	})
	t.Run("[STOMP12 §Size Limits] headers, lines and bodies are limited", func(t *testing.T) {
		limits := stomp.Limits{HeaderLineBytesMax: 30, HeadersMax: 2, HeaderBytesMax: 100, BodyBytesMax: 4}
		wantCode(t, readFault(t, stomp.V12, limits, "SEND\na:1\nb:2\nc:3\n\n\x00"), stomp.CodeTooManyHeaders)
		wantCode(t, readFault(t, stomp.V12, limits, "SEND\na:"+strings.Repeat("1", 30)+"\n\n\x00"), stomp.CodeHeaderTooLarge)
		wantCode(t, readFault(t, stomp.V12, limits, "SEND\n\n12345\x00"), stomp.CodeBodyTooLarge)
	})
}

func TestSpecValueEncoding(t *testing.T) {
	t.Run(`[STOMP12 §Value Encoding] \r \n \c and \\ are undone in names and values`, func(t *testing.T) {
		f := readOne(t, stomp.V12, `SEND`+"\n"+`n\c\\\n\r:v\c\\\n\r`+"\n\n\x00")
		if got, want := string(f.Headers[0].Name), "n:\\\n\r"; got != want {
			t.Errorf("name = %q, want %q", got, want)
		}
		if got, want := string(f.Headers[0].Value), "v:\\\n\r"; got != want {
			t.Errorf("value = %q, want %q", got, want)
		}
	})
	t.Run(`[STOMP12 §Value Encoding] an escaped backslash before n is no LF`, func(t *testing.T) {
		if got, want := readOne(t, stomp.V12, "SEND\na:\\\\n\n\n\x00").Value("a"), `\n`; got != want {
			t.Errorf("a = %q, want %q", got, want)
		}
	})
	t.Run(`[STOMP12 §Value Encoding] CR, LF, colon and backslash are escaped`, func(t *testing.T) {
		got := string(stomp.AppendFrame(nil, stomp.V12, stomp.NewFrame(stomp.CommandMessage, "n:\\\n\r", "v:\\\n\r")))
		if want := "MESSAGE\n" + `n\c\\\n\r:v\c\\\n\r` + "\n\n\x00"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run(`[STOMP12 §Value Encoding] undefined escapes are fatal`, func(t *testing.T) {
		for _, v := range []stomp.Version{stomp.V11, stomp.V12} {
			for _, line := range []string{`a:\t`, `a:b\`, `a\x:b`, `a:\N`, `a:\\\`} {
				e := readFault(t, v, stomp.DefaultLimits(), "SEND\n"+line+"\n\n\x00")
				wantCode(t, e, stomp.CodeInvalidEscape)
				if e.Severity != stomp.Fatal {
					t.Errorf("severity of %q = %v, want fatal", line, e.Severity)
				}
			}
		}
	})
	t.Run(`[STOMP12 §Value Encoding] CONNECT and CONNECTED are not escaped`, func(t *testing.T) {
		for _, c := range []stomp.Command{stomp.CommandConnect, stomp.CommandStomp, stomp.CommandConnected} {
			for _, v := range []stomp.Version{stomp.VersionNone, stomp.V10, stomp.V11, stomp.V12} {
				wire := c.String() + "\npasscode:a\\nb\\t:\\\n\n\x00"
				f := readOne(t, v, wire)
				if got, want := f.Value("passcode"), `a\nb\t:\`; got != want {
					t.Errorf("%v in %v: passcode = %q, want %q", c, v, got, want)
				}
				if got := string(stomp.AppendFrame(nil, v, f)); got != wire {
					t.Errorf("%v in %v: written %q, want %q", c, v, got, wire)
				}
			}
		}
	})
	t.Run(`[STOMP12 §Value Encoding] headers are UTF-8 and go through unchanged`, func(t *testing.T) {
		wire := "SEND\ndestination:/topic/größe/价格\n\n\x00"
		f := readOne(t, stomp.V12, wire)
		if got, want := f.Value("destination"), "/topic/größe/价格"; got != want {
			t.Errorf("destination = %q, want %q", got, want)
		}
		if got := string(stomp.AppendFrame(nil, stomp.V12, f)); got != wire {
			t.Errorf("written %q, want %q", got, wire)
		}
	})
	t.Run(`[STOMP12 §Value Encoding] spaces are never trimmed nor padded`, func(t *testing.T) {
		wire := "SEND\n a : b \n\n\x00"
		f := readOne(t, stomp.V12, wire)
		if got, want := f.Value(" a "), " b "; got != want {
			t.Errorf("value = %q, want %q", got, want)
		}
		if got := string(stomp.AppendFrame(nil, stomp.V12, f)); got != wire {
			t.Errorf("written %q, want %q", got, wire)
		}
	})
	t.Run(`[STOMP11 §Value Encoding] \n \c and \\ are undone, and \r as clients send it`, func(t *testing.T) {
		if got, want := readOne(t, stomp.V11, "SEND\na:\\n\\c\\\\\\r\n\n\x00").Value("a"), "\n:\\\r"; got != want {
			t.Errorf("a = %q, want %q", got, want)
		}
	})
	t.Run(`[STOMP10 §Headers] there are no escapes`, func(t *testing.T) {
		wire := "SEND\na:\\n\\t\\\n\n\x00"
		f := readOne(t, stomp.V10, wire)
		if got, want := f.Value("a"), `\n\t\`; got != want {
			t.Errorf("a = %q, want %q", got, want)
		}
		if got := string(stomp.AppendFrame(nil, stomp.V10, f)); got != wire {
			t.Errorf("written %q, want %q", got, wire)
		}
	})
}

func TestSpecConnecting(t *testing.T) {
	t.Run("[STOMP12 §CONNECT or STOMP Frame] STOMP is taken as CONNECT is", func(t *testing.T) {
		for _, c := range []stomp.Command{stomp.CommandConnect, stomp.CommandStomp} {
			if e := stomp.Validate(stomp.NewFrame(c), stomp.VersionNone); e != nil {
				t.Errorf("%v: %v, want no fault", c, e)
			}
		}
	})
	t.Run("[STOMP12 §Protocol Negotiation] the highest common version is chosen", func(t *testing.T) {
		tests := map[string]stomp.Version{
			"1.0": stomp.V10, "1.1": stomp.V11, "1.2": stomp.V12, "1.0,1.1,1.2": stomp.V12, "1.2,1.1,1.0": stomp.V12,
			"1.1, 1.2": stomp.V12, " 1.1 ,\t1.0": stomp.V11, "2.0,1.0": stomp.V10, "1.1,,": stomp.V11, "1.1,1.1": stomp.V11,
		}
		for accept, want := range tests {
			if got, e := stomp.NegotiateVersion(accept, true); got != want || e != nil {
				t.Errorf("accept-version %q: %v and %v, want %v", accept, got, e, want)
			}
		}
	})
	t.Run("[STOMP12 §Protocol Negotiation] no accept-version is 1.0", func(t *testing.T) {
		if got, e := stomp.NegotiateVersion("", false); got != stomp.V10 || e != nil {
			t.Errorf("got %v and %v, want 1.0", got, e)
		}
	})
	t.Run("[STOMP12 §Protocol Negotiation] without a common version the ERROR lists those of the server", func(t *testing.T) {
		for _, accept := range []string{"", "1.3", "2.0,3.0", "1.2.0", "v1.2", "1.10"} {
			_, e := stomp.NegotiateVersion(accept, true)
			wantCode(t, e, stomp.CodeUnsupportedVersion)
			if got, want := stomp.ErrorFrame(e, "").Value("version"), "1.0,1.1,1.2"; got != want {
				t.Errorf("accept-version %q: version = %q, want %q", accept, got, want)
			}
		}
	})
	t.Run("[STOMP12 §Heart-beating] each interval is the longer wish, and none if one side has none", func(t *testing.T) {
		tests := []struct{ serverSend, serverWant, clientSend, clientWant, send, expect int }{
			{10000, 10000, 10000, 10000, 10000, 10000},
			{10000, 10000, 4000, 30000, 30000, 10000},
			{10000, 10000, 30000, 4000, 10000, 30000},
			{10000, 10000, 0, 5000, 10000, 0},
			{10000, 10000, 5000, 0, 0, 10000},
			{0, 0, 5000, 5000, 0, 0},
			{10000, 10000, 0, 0, 0, 0},
			{1, 1, 1, 1, stomp.HeartBeatFloorMillis, stomp.HeartBeatFloorMillis},
			{10, 10000, 7, 20, stomp.HeartBeatFloorMillis, 10000},
		}
		for _, test := range tests {
			send, expect := stomp.NegotiateHeartBeat(test.serverSend, test.serverWant, test.clientSend, test.clientWant)
			if send != test.send || expect != test.expect {
				t.Errorf("server %d,%d and client %d,%d: got %d and %d, want %d and %d", test.serverSend, test.serverWant,
					test.clientSend, test.clientWant, send, expect, test.send, test.expect)
			}
		}
	})
	t.Run("[STOMP12 §Heart-beating] the header is two numbers", func(t *testing.T) {
		good := map[string][2]int{
			"0,0": {0, 0}, "10000,20000": {10000, 20000}, " 1 , 2 ": {1, 2}, "007,1": {7, 1},
			"2147483648,99999999999999999999999999": {1<<31 - 1, 1<<31 - 1},
		}
		for value, want := range good {
			send, wanted, e := stomp.ParseHeartBeat(value)
			if got := [2]int{send, wanted}; got != want || e != nil {
				t.Errorf("%q: %v and %v, want %v", value, got, e, want)
			}
		}
		for _, value := range []string{"", ",", "1", "1,", ",1", "abc", "1,x", "-1,1", "1,2,3", "1.5,1", "+1,1", "1 0,1", "0x1,1"} {
			_, _, e := stomp.ParseHeartBeat(value)
			wantCode(t, e, stomp.CodeInvalidHeartBeat)
		}
	})
}

func TestSpecError(t *testing.T) {
	fault := stomp.NewProtocolError(stomp.CodeMissingHeader, "missing header id", "Give the header id.")
	fault.Headers = []string{"retry-after", "250"}
	t.Run("[STOMP12 §ERROR] it has a message, and a body that says more", func(t *testing.T) {
		got := string(stomp.AppendFrame(nil, stomp.V12, stomp.ErrorFrame(fault, "")))
		want := "ERROR\nmessage:missing header id\nerror-code:missing-header\ncontent-type:text/plain\nretry-after:250\n" +
			"content-length:19\n\nGive the header id.\x00"
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run("[STOMP12 §ERROR] it has the receipt of the frame as receipt-id", func(t *testing.T) {
		if got, want := stomp.ErrorFrame(fault, "message-12345").Value("receipt-id"), "message-12345"; got != want {
			t.Errorf("receipt-id = %q, want %q", got, want)
		}
	})
}
