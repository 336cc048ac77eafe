package stomptest_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stampede/stomp/stomptest"
)

const conversation = `# What an echo that adds a bang says.
set policy strict

> hello^@
< hello^@
< !^@

> {3*ab}^$
@+2s
< ababab!^@

> ^x80^'^M^?
< ^x80^'^M^?
< !^@
closed
`

// echo answers each read with the same and a bang, and closes after the third.
func echo(conn net.Conn) {
	buf := make([]byte, 100)
	for range 3 {
		n, err := conn.Read(buf)
		if err != nil {
			break
		}
		if n > 5 && buf[0] == 'a' {
			time.Sleep(time.Second)
		}
		_, _ = conn.Write(append(buf[:n:n], "!\x00"...))
	}
	_ = conn.Close()
}

func play(t *testing.T, text string) (string, error) {
	t.Helper()
	transcript, err := stomptest.Parse(text)
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	var played *stomptest.Transcript
	synctest.Test(t, func(*testing.T) {
		client, server := net.Pipe()
		go echo(server)
		p := stomptest.Player{Settle: synctest.Wait, Pass: time.Sleep}
		played, err = p.Play(transcript, client)
	})
	return played.String(), err
}

func TestPlay(t *testing.T) {
	t.Run("gives back a transcript that fits", func(t *testing.T) {
		got, err := play(t, conversation)
		if err != nil || got != conversation {
			t.Errorf("got %v and\n%s\nwant\n%s", err, got, conversation)
		}
	})
	t.Run("writes down what differs, is missing and is too much", func(t *testing.T) {
		wrong := strings.NewReplacer("< !^@\n\n> {", "\n> {", "< ababab!^@", "< abab!^@", "closed\n", "closed 1000\n").Replace(conversation)
		got, err := play(t, wrong)
		want := strings.Replace(conversation, "closed\n", "closed 1000\n", 1) // a stream without close codes keeps the one it finds
		if err != nil || got != want {
			t.Errorf("got %v and\n%s\nwant\n%s", err, got, want)
		}
	})
	t.Run("writes down what comes between two steps of the client", func(t *testing.T) {
		got, err := play(t, "> a^@\n\n> b^@\n< b^@\n< !^@\n")
		if want := "> a^@\n\n< a^@\n< !^@\n> b^@\n< b^@\n< !^@\n"; err != nil || got != want {
			t.Errorf("got %v and\n%s\nwant\n%s", err, got, want)
		}
	})
	t.Run("tells when a server does not close", func(t *testing.T) {
		if _, err := play(t, "> a^@\n< a^@\n< !^@\nclosed\n"); err == nil || !strings.Contains(err.Error(), "did not close") {
			t.Errorf("error = %v, want one that says so", err)
		}
	})
}

func TestParse(t *testing.T) {
	t.Run("reads settings, bytes and time", func(t *testing.T) {
		tr, err := stomptest.Parse(conversation)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := tr.Settings["policy"], "strict"; got != want {
			t.Errorf("policy = %q, want %q", got, want)
		}
		if !tr.NeedsClock() {
			t.Error("NeedsClock is false for a transcript with @+2s")
		}
		var sent strings.Builder
		for _, step := range tr.Steps {
			if step.Kind == stomptest.StepSend {
				sent.Write(step.Bytes)
			}
		}
		if got, want := sent.String(), "hello\x00ababab\x80^\r\x7f\n"; got != want {
			t.Errorf("sent %q, want %q", got, want)
		}
		if got := tr.String(); got != conversation {
			t.Errorf("written again:\n%s\nwant\n%s", got, conversation)
		}
	})
	for _, text := range []string{"", "# nothing", "hello", "> ^", "> ^x8", "> ^a", "> a\nset b c", "set a", "@+soon", "closed soon", "> {99999999999*a}", "> {2*^a}"} {
		if _, err := stomptest.Parse(text); err == nil {
			t.Errorf("%q was read without an error", text)
		}
	}
}

func TestPipes(t *testing.T) {
	p := stomptest.NewPipes()
	go func() {
		conn, err := p.Accept()
		if err == nil {
			_, _ = io.WriteString(conn, "hi")
			_ = conn.Close()
		}
	}()
	conn, err := p.Dial()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); err != nil || string(got) != "hi" {
		t.Errorf("read %q and %v, want hi", got, err)
	}
	_ = p.Close()
	if _, err := p.Dial(); err == nil {
		t.Error("a closed listener was dialled")
	}
	if _, err := p.Accept(); err == nil {
		t.Error("a closed listener accepted")
	}
}
