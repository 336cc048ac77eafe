package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	gostomp "github.com/go-stomp/stomp/v3"
	"github.com/gorilla/websocket"
)

// TestWSReader feeds a server's frames in one piece, byte by byte and in halves: the payload must not depend on it.
func TestWSReader(t *testing.T) {
	frame := func(first byte, payload string) string {
		return string(appendFrameHeader(nil, first&0x0F, len(payload), 0)) + payload
	}
	long, longer := strings.Repeat("m", 300), strings.Repeat("l", 70_000)
	unfinished := "\x01\x03abc" + "\x80\x03def" // a message in two frames
	cases := []struct {
		name, stream, want string
		control            string // opcode and payload of what came, as "9:ping "
		err                string // "": io.EOF of the stream
	}{
		{name: "joins messages", stream: frame(opText, "one") + frame(opBinary, "two"), want: "onetwo"},
		{name: "joins the frames of one message", stream: unfinished, want: "abcdef"},
		{name: "takes every length form", stream: frame(opText, "") + frame(opText, long) + frame(opBinary, longer), want: long + longer},
		{name: "answers a ping between frames", stream: "\x01\x03abc" + frame(opPing, "hello") + "\x80\x03def", want: "abcdef", control: "9:hello "},
		{name: "answers an empty ping at the end", stream: frame(opText, "a") + frame(opPing, ""), want: "a", control: "9: "},
		{name: "ends with a close", stream: frame(opText, "a") + frame(opClose, "\x03\xf4bye") + frame(opText, "never"), want: "a", control: "8:\x03\xf4bye ", err: "closed"},
		{name: "refuses a masked frame", stream: "\x81\x81abcdx", err: "masked"},
		{name: "refuses an extension", stream: "\xc1\x01x", err: "extension"},
		{name: "refuses an unknown opcode", stream: "\x83\x01x", err: "opcode 3"},
		{name: "refuses a long control frame", stream: "\x89\x7e\x00\x7ex", err: "126 bytes"},
	}
	pieces := []struct {
		name string
		cut  func(io.Reader) io.Reader
	}{
		{"whole", func(r io.Reader) io.Reader { return r }},
		{"bytes", iotest.OneByteReader},
		{"halves", iotest.HalfReader},
		{"error with the data", iotest.DataErrReader},
	}
	for _, c := range cases {
		for _, p := range pieces {
			t.Run(c.name+"/"+p.name, func(t *testing.T) {
				var control strings.Builder
				r := &wsReader{src: p.cut(strings.NewReader(c.stream)), control: func(opcode byte, payload []byte) error {
					control.WriteString(string('0'+rune(opcode)) + ":" + string(payload) + " ")
					if opcode == opClose {
						return errors.New("closed")
					}
					return nil
				}}
				got, err := io.ReadAll(r)
				if string(got) != c.want {
					t.Errorf("payload of %d bytes %.40q, want %d bytes %.40q", len(got), got, len(c.want), c.want)
				}
				if control.String() != c.control {
					t.Errorf("control frames %q, want %q", control.String(), c.control)
				}
				if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
			})
		}
	}
}

// TestMaskedFrame lets another implementation read what we write.
func TestMaskedFrame(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 65535, 65536, 100_000} {
		payload := bytes.Repeat([]byte("abc"), size/3+1)[:size]
		frame := appendMessage(nil, payload)
		client, server := net.Pipe()
		go func() { _, _ = client.Write(frame) }()
		ws := websocketOver(t, server)
		kind, got, err := ws.ReadMessage()
		if err != nil || kind != websocket.TextMessage || !bytes.Equal(got, payload) {
			t.Errorf("%d bytes came as kind %d, %d bytes, error %v; want text, the same", size, kind, len(got), err)
		}
		_ = client.Close()
		_ = server.Close()
	}
}

// websocketOver gives gorilla's server side of a connection that has shaken hands already.
func websocketOver(t *testing.T, conn net.Conn) *websocket.Conn {
	t.Helper()
	ws, err := (&websocket.Upgrader{}).Upgrade(&hijacked{conn: conn}, &http.Request{
		Method: http.MethodGet, ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Connection": {"upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}},
	}, nil)
	if err != nil {
		t.Fatalf("upgrade: %v", err)
	}
	return ws
}

// TestHandshakeConn: what a server sends right behind its answer belongs to the WebSocket, not to HTTP.
func TestHandshakeConn(t *testing.T) {
	const head, behind = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", "\x81\x03abc"
	for name, cut := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader} {
		t.Run(name, func(t *testing.T) {
			src := cut(strings.NewReader(head + behind))
			h := &handshakeConn{Conn: readerConn{src: src}}
			got, err := io.ReadAll(h)
			if string(got) != head || err != nil {
				t.Errorf("HTTP got %q, error %v; want the head alone", got, err)
			}
			rest, _ := io.ReadAll(src) // a strings.Reader has no errors
			if all := string(h.rest) + string(rest); all != behind {
				t.Errorf("left over %q, want %q", all, behind)
			}
		})
	}
	t.Run("refuses a head without end", func(t *testing.T) {
		h := &handshakeConn{Conn: readerConn{src: strings.NewReader(strings.Repeat("x", 2*handshakeBytesMax))}}
		if n, err := io.Copy(io.Discard, h); err == nil || n > 2*handshakeBytesMax {
			t.Errorf("read %d bytes, error %v; want an error", n, err)
		}
	})
}

// TestDialCarriesAnotherClient runs an independent client library over the connections that dial makes.
func TestDialCarriesAnotherClient(t *testing.T) {
	checkLeaks(t)
	for _, scheme := range []string{"tcp", "ws"} {
		t.Run(scheme, func(t *testing.T) {
			conn, err := ClientFlags{URL: startTestBroker(t, scheme)}.dial(t.Context(), nil)
			if err != nil {
				t.Fatalf("dial: %v", err)
			}
			session, err := gostomp.Connect(conn, gostomp.ConnOpt.HeartBeat(0, 0))
			if err != nil {
				t.Fatalf("connect: %v", err)
			}
			subscription, err := session.Subscribe("/topic/a", gostomp.AckAuto)
			if err != nil {
				t.Fatalf("subscribe: %v", err)
			}
			if err := session.Send("/topic/a", "text/plain", []byte("hello"), gostomp.SendOpt.Receipt); err != nil {
				t.Fatalf("send: %v", err)
			}
			if m := <-subscription.C; m.Err != nil || string(m.Body) != "hello" {
				t.Errorf("got %q, error %v; want hello", m.Body, m.Err)
			}
			if err := session.Disconnect(); err != nil {
				t.Errorf("disconnect: %v", err)
			}
		})
	}
}

// startTestBroker starts a bare fan-out that ends with the test, and gives its URL.
func startTestBroker(t *testing.T, scheme string) string {
	t.Helper()
	bare, err := startBare(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatalf("start the bare fan-out: %v", err)
	}
	t.Cleanup(bare.close)
	return scheme + "://" + bare.listener.Addr().String()
}
