package server_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stampede/stomp"
)

// One subtest for each duty of the specification that the server honours; the transcripts of testdata/wire show the bytes.

// spec runs a subtest over both transports.
func spec(t *testing.T, name string, test func(t *testing.T, h *house, transport string)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		for _, transport := range transports {
			t.Run(transport, func(t *testing.T) {
				test(t, newHouse(t, testConfig(), newBackend(), false), transport)
			})
		}
	})
}

func TestSpecConnecting(t *testing.T) {
	spec(t, "[STOMP12 §CONNECT or STOMP Frame] STOMP is handled as CONNECT is", func(t *testing.T, h *house, transport string) {
		for _, command := range []string{"CONNECT", "STOMP"} {
			c := h.open(t, transport)
			c.send(command + "\naccept-version:1.2\nhost:stomp.test\n\n\x00")
			f := c.want(stomp.CommandConnected)
			for _, header := range []string{"version", "session", "server", "heart-beat"} {
				if !f.Has(header) {
					t.Errorf("CONNECTED after %s has no %s", command, header)
				}
			}
		}
	})
	spec(t, "[STOMP12 §Protocol Negotiation] the highest common version is spoken", func(t *testing.T, h *house, transport string) {
		for accept, want := range map[string]string{"1.0": "1.0", "1.1,1.0": "1.1", "1.0,1.1,1.2": "1.2", "1.2,9.9": "1.2"} {
			c := h.open(t, transport)
			c.send("CONNECT\naccept-version:" + accept + "\n\n\x00")
			if got := c.want(stomp.CommandConnected).Value("version"); got != want {
				t.Errorf("accept-version %s: version = %q, want %q", accept, got, want)
			}
		}
	})
	spec(t, "[STOMP12 §Protocol Negotiation] without a common version comes ERROR with the versions, and the end", func(t *testing.T, h *house, transport string) {
		c := h.open(t, transport)
		c.send("CONNECT\naccept-version:3.0\n\n\x00")
		if got, want := c.wantError(stomp.CodeUnsupportedVersion).Value("version"), "1.0,1.1,1.2"; got != want {
			t.Errorf("version = %q, want %q", got, want)
		}
		c.wantEnd()
	})
	spec(t, "[STOMP12 §Connecting] nothing is handled before CONNECT", func(t *testing.T, h *house, transport string) {
		c := h.open(t, transport)
		c.send("SEND\ndestination:/queue/a\n\n\x00")
		c.wantError(stomp.CodeNotConnected)
		c.wantEnd()
		if len(h.backend.links) != 0 {
			t.Error("a session was opened")
		}
	})
}

func TestSpecHeartBeating(t *testing.T) {
	const name = "[STOMP12 §Heart-beating] "
	t.Run(name+"each side sends as often as both agreed, the slower wish counts", func(t *testing.T) {
		cases := []struct {
			asked string
			want  time.Duration // between two EOLs of the server; 0 none
		}{{"0,20000", 20 * time.Second}, {"0,1", 10 * time.Second}, {"0,0", 0}, {"10000,0", 0}}
		for _, c := range cases {
			bubble(t, testConfig(), func(t *testing.T, h *house, transport string) {
				client, _ := h.connect(t, transport, "heart-beat:"+c.asked)
				_ = client.stream.SetReadDeadline(time.Time{})
				go sendEOLs(client)
				got := make(chan byte, 1000)
				go readBytes(client, got)
				time.Sleep(100*time.Second + 500*time.Millisecond)
				synctest.Wait()
				eols, want := len(got), 0
				if c.want > 0 {
					want = int(100 * time.Second / c.want)
				}
				if eols < want || eols > want+1 {
					t.Errorf("heart-beat %s: %d EOLs in 100 s, want %d", c.asked, eols, want)
				}
				_ = client.stream.Close()
				time.Sleep(time.Minute) // for sendEOLs to notice
			})
		}
	})
	t.Run(name+"without the header nobody has to send", func(t *testing.T) {
		bubble(t, testConfig(), func(t *testing.T, h *house, transport string) {
			c, _ := h.connect(t, transport)
			time.Sleep(24 * time.Hour)
			c.wantOpen()
		})
	})
	t.Run(name+"a silent client is given up, with some tolerance", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, testConfig(), newBackend(), true)
			c, _ := h.connect(t, "tcp", "heart-beat:10000,0")
			time.Sleep(19 * time.Second)
			c.wantOpen()
			began := time.Now()
			_ = c.stream.SetReadDeadline(time.Time{})
			f, err := c.reader.ReadFrame()
			if err != nil || f.Value("error-code") != stomp.CodeHeartBeatTimeout {
				t.Fatalf("got %v and %v, want ERROR", f, err)
			}
			if got := time.Since(began); got < 20*time.Second || got > 21*time.Second {
				t.Errorf("given up after %v, want twice the interval", got)
			}
		})
	})
}

// sendEOLs is a client that lives, until its connection ends.
func sendEOLs(c *client) {
	for {
		time.Sleep(5 * time.Second)
		if _, err := c.stream.Write([]byte{'\n'}); err != nil {
			return
		}
	}
}

// readBytes gives each byte that comes, until the stream ends.
func readBytes(c *client, to chan<- byte) {
	b := make([]byte, 1)
	for {
		if _, err := c.stream.Read(b); err != nil {
			return
		}
		to <- b[0]
	}
}

func TestSpecFramesOfTheClient(t *testing.T) {
	spec(t, "[STOMP12 §Header receipt] every frame but CONNECT is answered with its receipt", func(t *testing.T, h *house, transport string) {
		c, _ := h.connect(t, transport)
		c.send("SUBSCRIBE\nid:0\ndestination:/queue/a\nack:client\nreceipt:1\n\n\x00")
		c.wantReceipt("1")
		c.send("SEND\ndestination:/queue/a\nreceipt:2\n\n\x00")
		c.want(stomp.CommandMessage)
		c.wantReceipt("2")
		c.send("ACK\nid:1\nreceipt:3\n\n\x00")
		c.wantReceipt("3")
		c.send("SEND\ndestination:/queue/a\n\n\x00")
		c.want(stomp.CommandMessage)
		c.send("NACK\nid:2\nreceipt:4\n\n\x00")
		c.wantReceipt("4")
		c.send("UNSUBSCRIBE\nid:0\nreceipt:5\n\n\x00BEGIN\ntransaction:t\nreceipt:6\n\n\x00SEND\ndestination:/queue/a\ntransaction:t\nreceipt:7\n\n\x00")
		c.send("COMMIT\ntransaction:t\nreceipt:8\n\n\x00BEGIN\ntransaction:t\nreceipt:9\n\n\x00ABORT\ntransaction:t\nreceipt:10\n\n\x00DISCONNECT\nreceipt:11\n\n\x00")
		for _, id := range []string{"5", "6", "7", "8", "9", "10", "11"} {
			c.wantReceipt(id)
		}
		c.wantEnd()
	})
	spec(t, "[STOMP12 §SUBSCRIBE id Header] ids are unique in a connection, and only there", func(t *testing.T, h *house, transport string) {
		a, _ := h.connect(t, transport)
		b, _ := h.connect(t, transport)
		for _, c := range []*client{a, b} {
			c.send("SUBSCRIBE\nid:0\ndestination:/queue/a\nreceipt:r\n\n\x00")
			c.wantReceipt("r")
		}
		a.send("SUBSCRIBE\nid:0\ndestination:/queue/b\n\n\x00")
		a.wantError(stomp.CodeDuplicateSubscription)
		a.wantEnd()
		b.wantOpen()
	})
	spec(t, "[STOMP12 §BEGIN] transactions are unique in a connection, and aborted when it ends", func(t *testing.T, h *house, transport string) {
		a, l := h.connect(t, transport)
		b, _ := h.connect(t, transport)
		for _, c := range []*client{a, b} {
			c.send("BEGIN\ntransaction:t\nreceipt:r\n\n\x00")
			c.wantReceipt("r")
		}
		a.send("SEND\ndestination:/queue/a\ntransaction:t\n\n\x00BEGIN\ntransaction:t\n\n\x00")
		a.wantError(stomp.CodeDuplicateTransaction)
		a.wantEnd()
		b.wantOpen()
		if got := l.noted(); strings.Contains(got, "commit") || strings.Contains(got, "send") {
			t.Errorf("the link saw %q, want nothing of the transaction", got)
		}
	})
	spec(t, "[STOMP12 §COMMIT] actions are done in their order, all after COMMIT", func(t *testing.T, h *house, transport string) {
		c, _ := h.connect(t, transport)
		c.send("SUBSCRIBE\nid:0\ndestination:/queue/a\n\n\x00BEGIN\ntransaction:t\n\n\x00")
		for _, body := range []string{"1", "2", "3"} {
			c.send("SEND\ndestination:/queue/a\ntransaction:t\n\n" + body + "\x00")
		}
		c.send("SEND\ndestination:/queue/a\n\noutside\x00COMMIT\ntransaction:t\n\n\x00")
		for _, want := range []string{"outside", "1", "2", "3"} {
			if got := string(c.want(stomp.CommandMessage).Body); got != want {
				t.Errorf("body = %q, want %q", got, want)
			}
		}
	})
	spec(t, "[STOMP12 §ABORT] rolls back", func(t *testing.T, h *house, transport string) {
		c, l := h.connect(t, transport)
		c.send("BEGIN\ntransaction:t\n\n\x00SEND\ndestination:/queue/a\ntransaction:t\n\n\x00ABORT\ntransaction:t\nreceipt:r\n\n\x00")
		c.wantReceipt("r")
		if got := l.noted(); got != "" {
			t.Errorf("the link saw %q, want nothing", got)
		}
	})
	spec(t, "[STOMP12 §DISCONNECT] the receipt comes behind all that was sent before, then the end", func(t *testing.T, h *house, transport string) {
		c, _ := h.connect(t, transport)
		var sent strings.Builder
		for range 100 {
			sent.WriteString("SEND\ndestination:/queue/a\nreceipt:r\n\n\x00")
		}
		c.send(sent.String() + "DISCONNECT\nreceipt:77\n\n\x00")
		for range 100 {
			c.wantReceipt("r")
		}
		c.wantReceipt("77")
		c.wantEnd()
	})
}

func TestSpecErrors(t *testing.T) {
	spec(t, "[STOMP12 §ERROR] names the frame by its receipt, and the connection is closed", func(t *testing.T, h *house, transport string) {
		c, _ := h.connect(t, transport)
		c.send("SEND\ndestination:/error/queue-full\nreceipt:m-1\n\n\x00")
		f := c.wantError(stomp.CodeQueueFull)
		if got := f.Value("receipt-id"); got != "m-1" {
			t.Errorf("receipt-id = %q, want m-1", got)
		}
		if f.Value("message") == "" || f.Value("content-type") != "text/plain" || len(f.Body) == 0 {
			t.Errorf("ERROR has %q and body %q, want message, content-type and a body", f.Headers, f.Body)
		}
		c.wantEnd()
	})
	spec(t, "[STOMP12 §Connection Lingering] what the client still sends is read, so that ERROR arrives", func(t *testing.T, h *house, transport string) {
		c, _ := h.connect(t, transport)
		c.send("SENDX\n\n\x00")
		for range 8 {
			if _, err := c.stream.Write(make([]byte, 1<<20)); err != nil {
				t.Fatalf("write after the fault: %v", err)
			}
		}
		c.wantError(stomp.CodeUnknownCommand)
		c.wantEnd()
	})
	spec(t, "[STOMP12 §Size Limits] a frame past a limit is answered with ERROR and the end", func(t *testing.T, h *house, transport string) {
		long := map[string]string{
			stomp.CodeTooManyHeaders: "SEND\n" + strings.Repeat("a:b\n", 1000) + "\n\x00",
			stomp.CodeHeaderTooLarge: "SEND\na:" + strings.Repeat("b", 70_000) + "\n\n\x00",
			stomp.CodeBodyTooLarge:   "SEND\ndestination:/queue/a\n\n" + strings.Repeat("b", testConfig().BodyBytesMax+1) + "\x00",
		}
		for code, text := range long {
			c, _ := h.connect(t, transport)
			c.send(text)
			c.wantError(code)
			c.wantEnd()
		}
	})
	spec(t, "[STOMP12 §Value Encoding] an undefined escape is an ERROR", func(t *testing.T, h *house, transport string) {
		c, _ := h.connect(t, transport)
		c.send("SEND\ndestination:/queue/a\\t\n\n\x00")
		c.wantError(stomp.CodeInvalidEscape)
		c.wantEnd()
	})
}
