package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

func TestSubFlags(t *testing.T) {
	cases := []struct {
		args string
		bad  string
	}{
		{"/topic/a /topic/b --from first", ""},
		{"/topic/a --from offset=12 --ack client --count 3 --json", ""},
		{"/topic/a --from timestamp=1700000000000", ""},
		{"/topic/a --from offset=", "want first"},
		{"/topic/a --from offset=-1", "want first"},
		{"/topic/a --from yesterday", "want first"},
		{"/topic/a --ack never", "must be one of"},
		{"/topic/a -H x", "want name:value"},
		{"", "expected"},
	}
	for _, c := range cases {
		err := parseCommand(t, &SubCmd{}, strings.Fields(c.args)...)
		if (err == nil) != (c.bad == "") || err != nil && !strings.Contains(err.Error(), c.bad) {
			t.Errorf("sub %s: error %v, want %q", c.args, err, c.bad)
		}
	}
}

const scriptMessage = "MESSAGE\nsubscription:0\nmessage-id:1-0-7\ndestination:/queue/a\nx-stream-offset:7\ntimestamp:1700000000000\nack:tag-7\nnote:a\\nb\nnote:second\ncontent-length:"

func TestSub(t *testing.T) {
	checkLeaks(t)
	t.Run("asks for a position and acknowledges what it printed", func(t *testing.T) {
		frames := make(chan string, 3)
		url := startScript(t, func(s *scriptConn) {
			s.accept()
			frame := s.expect("SUBSCRIBE")
			frames <- frame
			s.say("RECEIPT\nreceipt-id:" + header(frame, "receipt") + "\n\n\x00" + scriptMessage + "5\n\nhello\x00" + scriptMessage + "6\n\nunread\x00")
			frames <- s.expect("ACK")
			frames <- s.expect("DISCONNECT")
		})
		out, notes := &lockedBuffer{}, &lockedBuffer{}
		c := &SubCmd{ClientFlags: ClientFlags{URL: url}, Destinations: []string{"/queue/a"}, From: "offset=7", Count: 1, Header: []string{"selector:a = 1"}, stdio: stdio{out: out, err: notes}}
		if err := c.Run(t.Context()); err != nil {
			t.Fatalf("sub: %v", err)
		}
		subscribe, ack, disconnect := <-frames, <-frames, <-frames
		if got, want := header(subscribe, "x-stream-offset")+"|"+header(subscribe, "ack")+"|"+header(subscribe, "selector"), "offset=7|client-individual|a = 1"; got != want {
			t.Errorf("position, ack and selector %q, want %q", got, want)
		}
		if got, want := header(ack, "id"), "tag-7"; got != want {
			t.Errorf("acknowledged %q, want %q", got, want)
		}
		if disconnect == "" {
			t.Error("hung up, want DISCONNECT")
		}
		if out.String() != "hello\n" || notes.String() != "subscribed to /queue/a\n" {
			t.Errorf("printed %q and noted %q, want the first body and one note", out.String(), notes.String())
		}
	})
	t.Run("prints JSON", subPrintsJSON)
	t.Run("ends well when it is interrupted", func(t *testing.T) {
		for _, scheme := range []string{"tcp", "ws"} {
			ctx, cancel := context.WithCancel(t.Context())
			notes := &lockedBuffer{}
			c := &SubCmd{ClientFlags: ClientFlags{URL: startTestBroker(t, scheme)}, Destinations: []string{"/topic/a", "/topic/b"}, stdio: stdio{out: &lockedBuffer{}, err: notes}}
			ended := make(chan error, 1)
			go func() { ended <- c.Run(ctx) }()
			notes.await(t, "subscribed to /topic/b\n")
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("%s: error %v, want none", scheme, err)
			}
		}
	})
	t.Run("fails with the broker's words", func(t *testing.T) {
		url := startScript(t, func(s *scriptConn) {
			s.accept()
			s.expect("SUBSCRIBE")
			s.say("ERROR\nmessage:not yours\nerror-code:forbidden-destination\n\n\x00")
		})
		err := (&SubCmd{ClientFlags: ClientFlags{URL: url}, Destinations: []string{"/user/b/queue/a"}, stdio: stdio{out: &lockedBuffer{}, err: &lockedBuffer{}}}).Run(t.Context())
		if want := "the broker answered ERROR: not yours [forbidden-destination]"; err == nil || err.Error() != want {
			t.Errorf("error %v, want %q", err, want)
		}
	})
	t.Run("gives up on a broker that keeps no heart-beat", func(t *testing.T) {
		url := startScript(t, func(s *scriptConn) {
			s.expect("CONNECT")
			s.say("CONNECTED\nversion:1.2\nheart-beat:100,100\n\n\x00")
			s.expect("nothing more")
		})
		c := &SubCmd{ClientFlags: ClientFlags{URL: url}, Destinations: []string{"/topic/a"}, heartBeat: heartBeat(50e6), stdio: stdio{out: &lockedBuffer{}, err: &lockedBuffer{}}}
		if err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "200ms") {
			t.Errorf("error %v, want one about 200ms of silence", err)
		}
	})
}

func subPrintsJSON(t *testing.T) {
	url := startScript(t, func(s *scriptConn) {
		s.accept()
		s.expect("SUBSCRIBE")
		s.say(scriptMessage + "5\n\nhello\x00" + scriptMessage + "2\n\n\xff\xfe\x00")
		s.expect("DISCONNECT")
	})
	out := &lockedBuffer{}
	c := &SubCmd{ClientFlags: ClientFlags{URL: url}, Destinations: []string{"/queue/a"}, Count: 2, JSON: true, stdio: stdio{out: out, err: &lockedBuffer{}}}
	if err := c.Run(t.Context()); err != nil {
		t.Fatalf("sub: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("printed %q, want two lines", out.String())
	}
	var text, binary struct {
		Destination string            `json:"destination"`
		MessageID   string            `json:"message-id"`
		Offset      uint64            `json:"offset"`
		Timestamp   int64             `json:"timestamp"`
		Headers     map[string]string `json:"headers"`
		Body        *string           `json:"body"`
		BodyBase64  string            `json:"body_base64"`
	}
	for i, into := range []any{&text, &binary} {
		if err := json.Unmarshal([]byte(lines[i]), into); err != nil {
			t.Fatalf("line %d is not JSON: %v", i+1, err)
		}
	}
	if text.Destination != "/queue/a" || text.MessageID != "1-0-7" || text.Offset != 7 || text.Timestamp != 1700000000000 || text.Body == nil || *text.Body != "hello" {
		t.Errorf("first line %s, want its fields filled", lines[0])
	}
	if got, want := text.Headers["note"], "a\nb"; got != want {
		t.Errorf("header note is %q, want %q: the first one, unescaped", got, want)
	}
	if want := base64.StdEncoding.EncodeToString([]byte("\xff\xfe")); binary.Body != nil || binary.BodyBase64 != want {
		t.Errorf("second line %s, want body_base64 %s alone", lines[1], want)
	}
}
