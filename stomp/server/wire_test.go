package server_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stampede/stomp/server"
	"stampede/stomp/stomptest"
)

// TestWire plays the transcripts of testdata/wire: over TCP and WebSocket on loopback, and over both on pipes in fake time,
// where nothing can come unnoticed. With -rewrite it writes down what it got.
func TestWire(t *testing.T) {
	files, err := filepath.Glob("testdata/wire/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("transcripts: %d and %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			for _, transport := range transports {
				t.Run(transport+" in fake time", func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						playWire(t, file, transport, &stomptest.Player{Settle: synctest.Wait, Pass: time.Sleep})
					})
				})
				t.Run(transport, func(t *testing.T) {
					t.Parallel() // most of it is waiting
					playWire(t, file, transport, &stomptest.Player{})
				})
			}
		})
	}
}

func playWire(t *testing.T, file, transport string, player *stomptest.Player) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	transcript, err := stomptest.Parse(string(text))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if only := transcript.Settings["transport"]; only != "" && only != transport {
		t.Skipf("for %s only", only)
	}
	if transcript.NeedsClock() && player.Pass == nil {
		t.Skip("needs fake time")
	}
	h := newHouse(t, wireConfig(t, transcript.Settings), newBackend(), player.Pass != nil)
	stream, err := h.dial[transport]()
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	played, err := player.Play(transcript, stream)
	got := played.String()
	switch {
	case got == string(text) && err == nil:
	case *rewrite && player.Settle != nil && err == nil:
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s over %s: error %v, got\n%s", file, transport, err, firstDifference(got, string(text)))
	}
}

// firstDifference shows where two texts part.
func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			return "line " + strconv.Itoa(i+1) + ":\n" + strings.Join(g[i:min(len(g), i+12)], "\n") +
				"\nwant:\n" + strings.Join(w[min(len(w), i):min(len(w), i+12)], "\n")
		}
	}
	return "all, but not the rest of the transcript"
}

// wireConfig is the configuration that a transcript asks for.
func wireConfig(t *testing.T, settings map[string]string) server.Config {
	c := testConfig()
	c.ErrorPolicy = server.PolicyStrict
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("setting: %v", err)
		}
		return n
	}
	for name, value := range settings {
		switch name {
		case "transport":
		case "policy":
			c.ErrorPolicy = value
		case "heart-beat":
			c.HeartBeatSendMillis, c.HeartBeatWantMillis = number(value), number(value)
		case "body-bytes-max":
			c.BodyBytesMax = number(value)
		case "subscriptions-max":
			c.SubscriptionsMax = number(value)
		case "transactions-max":
			c.TransactionsMax = number(value)
		case "transaction-actions-max":
			c.TransactionActionsMax = number(value)
		case "transaction-bytes-max":
			c.TransactionBytesMax = number(value)
		default:
			t.Fatalf("unknown setting %q", name)
		}
	}
	return c
}
