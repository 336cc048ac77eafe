package gostomp_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
)

// This file tells the stories of what is in a frame and who it reaches.

func tellConnected(t *testing.T, w way, _ func(string) string) {
	c := dial(t, w)
	if got, want := c.Version(), w.version; got != want {
		t.Errorf("version = %s, want %s", got, want)
	}
	if c.Session() == "" || c.Server() == "" {
		t.Errorf("CONNECTED has session %q and server %q, want both", c.Session(), c.Server())
	}
	c.close()
}

// tellHeaders sends what each version can say. go-stomp escapes in 1.0 too, and undoes it: the broker passes it on as it is.
func tellHeaders(t *testing.T, w way, name func(string) string) {
	c := dial(t, w)
	s := c.subscribe("/topic/"+name("t"), stomp.AckAuto)
	for _, want := range []string{"plain", "grüße, 世界 🐃", "a:b", `C:\new`, "line\nend", `\n is no line end`, "carriage\rreturn", ""} {
		c.send("/topic/"+name("t"), "x", "x-odd", want)
		if got := next(t, s).Header.Get("x-odd"); got != want {
			t.Errorf("header x-odd = %q, want %q", got, want)
		}
	}
}

func tellShared(t *testing.T, w way, name func(string) string) {
	subscriptions := map[way]*stomp.Subscription{}
	for _, other := range ways() {
		subscriptions[other] = dial(t, other).subscribe("/topic/"+name("t"), stomp.AckAuto)
	}
	const want = "to all: grüße"
	dial(t, w).send("/topic/"+name("t"), want)
	for other, s := range subscriptions {
		if got := string(next(t, s).Body); got != want {
			t.Errorf("over %v: body = %q, want %q", other, got, want)
		}
	}
}

// tellReceipts has many receipts outstanding at once.
func tellReceipts(t *testing.T, w way, name func(string) string) {
	const count = 50
	c := dial(t, w)
	results := make(chan error, count)
	for i := range count {
		go func() {
			results <- c.Send("/queue/"+name("q"), "text/plain", fmt.Append(nil, i), stomp.SendOpt.Receipt)
		}()
	}
	for range count {
		if err := <-results; err != nil {
			t.Errorf("SEND: %v", err)
		}
	}
	s, err := c.Subscribe("/queue/"+name("q"), stomp.AckAuto) // not waited for: go-stomp reads no receipt while messages wait to be taken
	if err != nil {
		t.Fatalf("SUBSCRIBE: %v", err)
	}
	got := map[string]bool{}
	for _, body := range bodies(t, s, count) {
		got[body] = true
	}
	if len(got) != count {
		t.Errorf("%d different messages, want %d", len(got), count)
	}
}

func tellUser(t *testing.T, w way, name func(string) string) {
	login := stomp.ConnOpt.Login(name("user"), "x")
	one, two := dial(t, w, login), dial(t, w, login)
	subscriptions := []*stomp.Subscription{one.subscribe("/user/queue/notes", stomp.AckAuto), two.subscribe("/user/queue/notes", stomp.AckAuto)}
	one.send("/user/"+name("user")+"/queue/notes", "hello")
	for _, s := range subscriptions {
		if got, want := string(next(t, s).Body), "hello"; got != want {
			t.Errorf("body = %q, want %q", got, want)
		}
	}
}

func tellClose(t *testing.T, w way, name func(string) string) {
	c := dial(t, w)
	s := c.subscribe("/queue/"+name("other"), stomp.AckAuto)
	err := c.Send("/queue/"+name("q"), "text/plain", nil, stomp.SendOpt.Receipt, stomp.SendOpt.Header(frame.Transaction, "never-begun"))
	var answer stomp.Error
	if !errors.As(err, &answer) || answer.Frame == nil {
		t.Fatalf("SEND in a transaction that was not begun: %v, want an ERROR frame", err)
	}
	if got, want := answer.Frame.Header.Get("error-code"), "unknown-transaction"; got != want {
		t.Errorf("error-code = %q, want %q", got, want)
	}
	for message := range s.C { // to its end
		if message.Err == nil {
			t.Errorf("a message after the ERROR: %q", message.Body)
		}
	}
}
