package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// parseCommand parses the arguments of one command.
func parseCommand(t *testing.T, command any, args ...string) error {
	t.Helper()
	parser, err := kong.New(command, kong.Exit(func(int) {}))
	if err != nil {
		t.Fatalf("the flags of %T: %v", command, err)
	}
	_, err = parser.Parse(args)
	return err
}

func TestPubFlags(t *testing.T) {
	cases := []struct {
		args string
		bad  string
	}{
		{"/topic/a body", ""},
		{"/topic/a", ""},
		{"/topic/a --lines -H a:b -H c:d:e --url ws://h:1/x --login l --passcode p --host /", ""},
		{"/topic/a body --lines", "not both"},
		{"/topic/a -H novalue", "want name:value"},
		{"/topic/a --url http://x", "want tcp://"},
		{"", "expected"},
	}
	for _, c := range cases {
		err := parseCommand(t, &PubCmd{}, strings.Fields(c.args)...)
		if (err == nil) != (c.bad == "") || err != nil && !strings.Contains(err.Error(), c.bad) {
			t.Errorf("pub %s: error %v, want %q", c.args, err, c.bad)
		}
	}
}

func TestPub(t *testing.T) {
	checkLeaks(t)
	t.Run("publishes one message with headers", func(t *testing.T) {
		sent := make(chan string, 1)
		url := startScript(t, func(s *scriptConn) {
			s.accept()
			frame := s.expect("SEND")
			sent <- frame
			s.receipt(frame)
			s.expect("DISCONNECT")
		})
		body := "hello"
		c := &PubCmd{ClientFlags: ClientFlags{URL: url}, Destination: "/topic/a", Body: &body, Header: []string{"colour:red:blue"}}
		if err := c.Run(t.Context()); err != nil {
			t.Fatalf("pub: %v", err)
		}
		frame := <-sent
		for _, want := range []string{"\ndestination:/topic/a\n", "\ncolour:red\\cblue\n", "\n\nhello\x00"} {
			if !strings.Contains(frame, want) {
				t.Errorf("sent %q, want %q in it", frame, want)
			}
		}
	})
	for _, scheme := range []string{"tcp", "ws"} {
		t.Run("publishes each line in order over "+scheme, func(t *testing.T) { publishLinesThrough(t, startTestBroker(t, scheme)) })
	}
	t.Run("sends a line before the next one is typed", func(t *testing.T) {
		in, typed := io.Pipe()
		url := startScript(t, func(s *scriptConn) {
			s.accept()
			for _, next := range []string{"second\nhalf of the third", ""} {
				s.receipt(s.expect("SEND")) // would wait for ever, if the line was kept back
				_, _ = io.WriteString(typed, next)
			}
			_ = typed.Close()
			s.receipt(s.expect("SEND"))
			s.expect("DISCONNECT")
		})
		go func() { _, _ = io.WriteString(typed, "first\n") }()
		c := &PubCmd{ClientFlags: ClientFlags{URL: url}, Destination: "/queue/a", Lines: true, stdio: stdio{in: in}}
		if err := c.Run(t.Context()); err != nil {
			t.Errorf("pub: %v", err)
		}
	})
}

// publishLinesThrough sends more lines than the window holds to a subscriber of the same broker.
func publishLinesThrough(t *testing.T, url string) {
	const lines = 3*pubWindow + 1
	var in, want strings.Builder
	for i := range lines {
		fmt.Fprintf(&in, "line %d\r\n", i)
		fmt.Fprintf(&want, "line %d\n", i)
	}
	out, notes := &lockedBuffer{}, &lockedBuffer{}
	sub := &SubCmd{ClientFlags: ClientFlags{URL: url}, Destinations: []string{"/topic/a"}, Count: lines, Ack: "auto", stdio: stdio{out: out, err: notes}}
	received := make(chan error, 1)
	go func() { received <- sub.Run(t.Context()) }()
	notes.await(t, "subscribed to /topic/a\n")
	pub := &PubCmd{ClientFlags: ClientFlags{URL: url}, Destination: "/topic/a", Lines: true, stdio: stdio{in: strings.NewReader(in.String())}}
	if err := pub.Run(t.Context()); err != nil {
		t.Fatalf("pub: %v", err)
	}
	if err := <-received; err != nil {
		t.Fatalf("sub: %v", err)
	}
	if out.String() != want.String() {
		t.Errorf("%d bytes printed, want the %d lines in order", len(out.String()), lines)
	}
}

func TestPubFails(t *testing.T) {
	checkLeaks(t)
	const refusal = "ERROR\nmessage:queue is full\nerror-code:queue-full\nreceipt-id:message-%d\n\nSend later.\x00"
	t.Run("with the broker's words", func(t *testing.T) {
		url := startScript(t, func(s *scriptConn) { s.accept(); s.expect("SEND"); s.say(fmt.Sprintf(refusal, 1)) })
		err := (&PubCmd{ClientFlags: ClientFlags{URL: url}, Destination: "/queue/a"}).Run(t.Context())
		if want := "the broker answered ERROR: queue is full [queue-full]: Send later."; err == nil || err.Error() != want {
			t.Errorf("error %v, want %q", err, want)
		}
	})
	t.Run("with the line that was refused", func(t *testing.T) {
		url := startScript(t, func(s *scriptConn) {
			s.accept()
			s.receipt(s.expect("SEND"))
			s.expect("SEND")
			s.say(fmt.Sprintf(refusal, 2))
		})
		c := &PubCmd{ClientFlags: ClientFlags{URL: url}, Destination: "/queue/a", Lines: true, stdio: stdio{in: strings.NewReader("a\nb\nc\n")}}
		err := c.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "line 2 (1 of 3 receipted)") || !strings.Contains(err.Error(), "queue-full") {
			t.Errorf("error %v, want line 2 of 3 and its code in it", err)
		}
	})
	t.Run("when the broker hangs up before the receipt", func(t *testing.T) {
		url := startScript(t, func(s *scriptConn) { s.accept(); s.expect("SEND") })
		if err := (&PubCmd{ClientFlags: ClientFlags{URL: url}, Destination: "/queue/a"}).Run(t.Context()); err == nil {
			t.Error("no error, want one: the message may be lost")
		}
	})
	t.Run("when it is interrupted, and says how far it came", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		url := startScript(t, func(s *scriptConn) {
			s.accept()
			s.receipt(s.expect("SEND"))
			s.expect("SEND")
			cancel()
			s.expect("nothing more")
		})
		in, typed := io.Pipe()
		go func() { _, _ = io.WriteString(typed, "a\nb\n") }()
		defer typed.Close()
		err := (&PubCmd{ClientFlags: ClientFlags{URL: url}, Destination: "/queue/a", Lines: true, stdio: stdio{in: in}}).Run(ctx)
		if err == nil || !strings.Contains(err.Error(), "of 2 messages receipted") {
			t.Errorf("error %v, want how many of 2 are receipted", err)
		}
	})
	t.Run("when a line is too long", func(t *testing.T) {
		in := io.LimitReader(&endless{bytes: []byte("x")}, lineBytesMax+2)
		err := (&PubCmd{ClientFlags: ClientFlags{URL: startTestBroker(t, "tcp")}, Destination: "/topic/a", Lines: true, stdio: stdio{in: in}}).Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "longer than") {
			t.Errorf("error %v, want one about the length", err)
		}
	})
}
