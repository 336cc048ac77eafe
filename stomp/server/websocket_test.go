package server_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"stampede/stomp"
	"stampede/stomp/server"
)

// wsFrame is a WebSocket frame as it is on the wire.
type wsFrame struct {
	first   byte // FIN, RSV and opcode
	payload []byte
}

// readFrame reads a server's frame from below the library.
func readFrame(t *testing.T, r *bufio.Reader) wsFrame {
	t.Helper()
	read := func(n int) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			t.Fatalf("read frame: %v", err)
		}
		return b
	}
	head := read(2)
	if head[1]&0x80 != 0 {
		t.Fatal("the server masks a frame")
	}
	n := uint64(head[1])
	switch n {
	case 126:
		n = uint64(binary.BigEndian.Uint16(read(2)))
	case 127:
		n = binary.BigEndian.Uint64(read(8))
	}
	return wsFrame{head[0], read(int(n))}
}

// below gives what the server sends as frames; the library must not read any more.
func below(t *testing.T, c *client) *bufio.Reader {
	t.Helper()
	raw := c.webSocket().NetConn()
	_ = raw.SetReadDeadline(time.Now().Add(patience))
	return bufio.NewReader(raw)
}

func TestWebSocketFrames(t *testing.T) {
	t.Run("a message goes out in frames of at most 64 KiB, as text or binary", func(t *testing.T) {
		h := newHouse(t, testConfig(), newBackend(), false)
		c, l := h.connect(t, "ws")
		r := below(t, c)
		sizes := []int{0, 1, 125, 126, 8 << 10, server.WSFrameBytesMax - 1, server.WSFrameBytesMax, server.WSFrameBytesMax + 1, 64 << 10, 300_000}
		for i, size := range sizes {
			text, shared := i%2 == 0, i%3 == 0
			head := []byte("MESSAGE\n\n")
			tail := append(bytes.Repeat([]byte{'x'}, size), 0)
			l.session.Write(head, tail, text, shared)
			l.session.Wake()
			var got []byte
			for number := 0; ; number++ {
				f := readFrame(t, r)
				if len(f.payload) > 64<<10 {
					t.Fatalf("body of %d: a frame of %d bytes, want at most 64 KiB", size, len(f.payload))
				}
				opcode := byte(0)
				if number == 0 {
					opcode = map[bool]byte{true: 1, false: 2}[text]
				}
				if got := f.first & 0x7f; got != opcode {
					t.Fatalf("body of %d, frame %d: opcode and bits %#x, want %#x", size, number, got, opcode)
				}
				got = append(got, f.payload...)
				if f.first&0x80 != 0 {
					break
				}
			}
			if want := string(head) + string(tail); string(got) != want {
				t.Errorf("body of %d: got %d bytes that begin with %.30q, want %d", size, len(got), got, len(want))
			}
		}
	})
	t.Run("a frame of STOMP that is not UTF-8 is a binary message", func(t *testing.T) {
		h := newHouse(t, testConfig(), newBackend(), false)
		c, _ := h.connect(t, "ws")
		for receipt, want := range map[string]int{"r\xffr": websocket.BinaryMessage, "grüß": websocket.TextMessage} {
			if err := c.webSocket().WriteMessage(websocket.BinaryMessage, []byte("BEGIN\ntransaction:"+receipt+"\nreceipt:"+receipt+"\n\n\x00")); err != nil {
				t.Fatal(err)
			}
			kind, message, err := c.webSocket().ReadMessage()
			if err != nil || kind != want || !strings.Contains(string(message), "receipt-id:"+receipt+"\n") {
				t.Errorf("receipt %q: kind %d, %q and %v, want kind %d", receipt, kind, message, err, want)
			}
		}
	})
	t.Run("a small message is compressed only if it is worth it", func(t *testing.T) {
		config := testConfig()
		config.WSCompression = true
		h := newHouse(t, config, newBackend(), false)
		c, l := h.connectCompressed(t)
		r := below(t, c)
		for size, compressed := range map[int]bool{10: false, 5000: true} {
			l.session.Write([]byte("MESSAGE\n\n"), append(bytes.Repeat([]byte{'x'}, size), 0), true, false)
			l.session.Wake()
			f := readFrame(t, r)
			if got := f.first&0x40 != 0; got != compressed {
				t.Errorf("body of %d: compressed is %v, want %v", size, got, compressed)
			}
			if compressed && len(f.payload) > size/10 {
				t.Errorf("body of %d bytes became %d", size, len(f.payload))
			}
		}
	})
	t.Run("without compression in the configuration none is agreed to", func(t *testing.T) {
		h := newHouse(t, testConfig(), newBackend(), false)
		_, response := h.dialWebSocket(t, true, nil)
		if got := response.Header.Get("Sec-Websocket-Extensions"); got != "" {
			t.Errorf("extensions = %q, want none", got)
		}
	})
}

func TestWebSocketReading(t *testing.T) {
	text := "SUBSCRIBE\nid:0\ndestination:/queue/a\n\n\x00SEND\ndestination:/queue/a\nreceipt:r\n\n" + strings.Repeat("y", 40_000) + "\x00"
	for _, piece := range []int{1, 7, 1000, 8 << 10, 1 << 20} {
		if testing.Short() && piece == 1 {
			continue
		}
		for _, kind := range []int{websocket.TextMessage, websocket.BinaryMessage} {
			h := newHouse(t, testConfig(), newBackend(), false)
			c, _ := h.connect(t, "ws")
			for rest := text; rest != ""; {
				n := min(piece, len(rest))
				if err := c.webSocket().WriteMessage(kind, []byte(rest[:n])); err != nil {
					t.Fatalf("pieces of %d: %v", piece, err)
				}
				rest = rest[n:]
			}
			if got := len(c.want(stomp.CommandMessage).Body); got != 40_000 {
				t.Errorf("pieces of %d: a body of %d bytes, want 40000", piece, got)
			}
			c.wantReceipt("r")
		}
	}
	t.Run("compressed", func(t *testing.T) {
		config := testConfig()
		config.WSCompression = true
		h := newHouse(t, config, newBackend(), false)
		c, _ := h.connectCompressed(t)
		c.send(text)
		if got := len(c.want(stomp.CommandMessage).Body); got != 40_000 {
			t.Errorf("a body of %d bytes, want 40000", got)
		}
	})
	t.Run("a compressed message that unpacks to too much is refused", func(t *testing.T) {
		config := testConfig()
		config.WSCompression = true
		h := newHouse(t, config, newBackend(), false)
		c, _ := h.connectCompressed(t)
		c.send("SEND\ndestination:/queue/a\n\n" + strings.Repeat("\x01", 32<<20) + "\x00")
		c.wantError(stomp.CodeBodyTooLarge)
		c.wantEnd()
	})
}

func TestPing(t *testing.T) {
	for _, payload := range []string{"", "hello", strings.Repeat("p", 125)} {
		h := newHouse(t, testConfig(), newBackend(), false)
		c, l := h.connect(t, "ws")
		pongs := make(chan string, 1)
		c.webSocket().SetPongHandler(func(data string) error { pongs <- data; return nil })
		heard := l.heards.Load()
		if err := c.webSocket().WriteControl(websocket.PingMessage, []byte(payload), time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		c.wantOpen()
		if got := receive(t, pongs, "a pong"); got != payload {
			t.Errorf("pong = %q, want %q", got, payload)
		}
		if l.heards.Load() == heard {
			t.Error("a ping is no sign of life")
		}
	}
}

// TestWebSocketBreach: what breaks RFC 6455 ends the session with a close frame of the session's own, behind what was written.
func TestWebSocketBreach(t *testing.T) {
	breaches := map[string][]byte{
		"no mask":           {0x81, 0x01, 'x'},
		"reserved bits":     {0xf1, 0x80, 0, 0, 0, 0},
		"unknown opcode":    {0x83, 0x80, 0, 0, 0, 0},
		"lone continuation": {0x80, 0x80, 0, 0, 0, 0},
		"long ping":         append([]byte{0x89, 0xfe, 0, 126, 0, 0, 0, 0}, make([]byte, 126)...),
		"bad close code":    {0x88, 0x82, 0, 0, 0, 0, 0, 1},
	}
	for name, wire := range breaches {
		t.Run(name, func(t *testing.T) {
			b := newBackend()
			closed := make(chan struct{})
			b.hooks.closed = func(*echoLink) { close(closed) }
			h := newHouse(t, testConfig(), b, false)
			c, l := h.connect(t, "ws")
			l.session.Receipt("before")
			r := below(t, c)
			if _, err := c.webSocket().NetConn().Write(wire); err != nil {
				t.Fatal(err)
			}
			if f := readFrame(t, r); f.first != 0x81 || !strings.HasPrefix(string(f.payload), "RECEIPT") {
				t.Fatalf("got %#x %q, want the RECEIPT", f.first, f.payload)
			}
			if f := readFrame(t, r); f.first != 0x88 || len(f.payload) < 2 || binary.BigEndian.Uint16(f.payload) != 1002 {
				t.Errorf("got %#x %q, want a close frame of 1002", f.first, f.payload)
			}
			_ = c.stream.Close()
			receive(t, closed, "the link's Close")
		})
	}
}

func TestHandshake(t *testing.T) {
	t.Run("the newest subprotocol that both know is taken", func(t *testing.T) {
		h := newHouse(t, testConfig(), newBackend(), false)
		c := h.open(t, "ws")
		if got, want := c.webSocket().Subprotocol(), "v12.stomp"; got != want {
			t.Errorf("subprotocol = %q, want %q", got, want)
		}
	})
	t.Run("a plain request is told to upgrade", func(t *testing.T) {
		h := newHouse(t, testConfig(), newBackend(), false)
		response, err := http.Get("http://" + h.http + "/ws")
		if err != nil {
			t.Fatal(err)
		}
		defer http.DefaultClient.CloseIdleConnections()
		_ = response.Body.Close()
		if got, upgrade := response.StatusCode, response.Header.Get("Upgrade"); got != http.StatusUpgradeRequired || upgrade != "websocket" {
			t.Errorf("status = %d and Upgrade = %q, want %d and websocket", got, upgrade, http.StatusUpgradeRequired)
		}
	})
	t.Run("a request that is none of WebSocket's leaves nothing behind", func(t *testing.T) {
		h := newHouse(t, testConfig(), newBackend(), false)
		request, err := http.NewRequest(http.MethodGet, "http://"+h.http+"/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Connection", "upgrade")
		request.Header.Set("Upgrade", "websocket")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer http.DefaultClient.CloseIdleConnections()
		_ = response.Body.Close()
		if got := response.StatusCode; got != http.StatusBadRequest {
			t.Errorf("status = %d, want %d", got, http.StatusBadRequest)
		}
		if got := h.server.Stats().ConnectionsActive.Load(); got != 0 {
			t.Errorf("active connections = %d, want none", got)
		}
	})
}
