package server_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/gorilla/websocket"

	"stampede/stomp"
	"stampede/stomp/stomptest"
)

const outboxWriters = 4

// pattern is the body of a message: anybody can tell whether it is whole.
func pattern(writer, number, size int) []byte {
	b := make([]byte, 12, 12+size)
	binary.BigEndian.PutUint32(b, uint32(writer))
	binary.BigEndian.PutUint32(b[4:], uint32(number))
	binary.BigEndian.PutUint32(b[8:], uint32(size))
	for i := range size {
		b = append(b, byte(writer+number+i))
	}
	return b
}

// writeMessages writes as many messages of random sizes as it is told, some by reference.
func writeMessages(l *echoLink, writer, count int, seed uint64, done *sync.WaitGroup) {
	defer done.Done()
	random := rand.New(rand.NewPCG(seed, uint64(writer)))
	for number := range count {
		size := random.IntN(200)
		switch random.IntN(10) {
		case 0:
			size = random.IntN(200_000)
		case 1:
			size = random.IntN(20_000)
		}
		m := stomp.NewFrame(stomp.CommandMessage, "destination", "/topic/a")
		m.Body = pattern(writer, number, size)
		wire := stomp.AppendFrame(nil, stomp.V12, m)
		cut := random.IntN(len(wire))
		_, wake := l.session.Write(wire[:cut], wire[cut:], false, random.IntN(2) == 0)
		if wake || random.IntN(3) == 0 {
			l.session.Wake()
		}
	}
	l.session.Wake()
}

// checkMessages reads messages until the stream ends or all have come, and gives how many came of each writer.
func checkMessages(t *testing.T, c *client, all int) (next [outboxWriters]int) {
	t.Helper()
	for range all {
		f, err := c.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		if len(f.Body) < 12 {
			t.Fatalf("a body of %d bytes, want at least 12", len(f.Body))
		}
		writer, size := int(binary.BigEndian.Uint32(f.Body)), int(binary.BigEndian.Uint32(f.Body[8:]))
		if writer >= outboxWriters {
			t.Fatalf("a message of writer %d, of which there is none", writer)
		}
		if want := pattern(writer, next[writer], size); !bytes.Equal(f.Body, want) {
			t.Fatalf("message %d of writer %d is not whole or not in order: %.40x, want %.40x", next[writer], writer, f.Body, want)
		}
		next[writer]++
	}
	return next
}

// dialWebSocket connects with what only some clients ask for.
func (h *house) dialWebSocket(t testing.TB, compressed bool, header http.Header) (*client, *http.Response) {
	t.Helper()
	d := websocket.Dialer{
		NetDialContext:    func(context.Context, string, string) (net.Conn, error) { return net.Dial("tcp", h.http) },
		EnableCompression: compressed,
		Subprotocols:      []string{"v12.stomp"},
	}
	conn, response, err := d.Dial("ws://stomp.test/ws", header)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	_ = response.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	stream := stomptest.NewWebSocketStream(conn)
	limits := stomp.DefaultLimits()
	limits.BodyBytesMax = 64 << 20
	return &client{t: t, stream: stream, reader: stomp.NewReader(stream, limits)}, response
}

func (h *house) connectCompressed(t testing.TB) (*client, *echoLink) {
	t.Helper()
	c, response := h.dialWebSocket(t, true, nil)
	if got := response.Header.Get("Sec-Websocket-Extensions"); got == "" {
		t.Fatal("compression was not agreed to")
	}
	c.send("CONNECT\naccept-version:1.2\n\n\x00")
	c.want(stomp.CommandConnected)
	return c, receive(t, h.backend.links, "a session")
}

// TestOutbox: what several goroutines write arrives whole and, of each, in order.
func TestOutbox(t *testing.T) {
	const count = 150
	for _, transport := range []string{"tcp", "ws", "compressed ws"} {
		for _, seed := range []uint64{1, 2} {
			t.Run(fmt.Sprintf("messages arrive whole and in order over %s, seed %d", transport, seed), func(t *testing.T) {
				config := testConfig()
				config.WSCompression = true
				h := newHouse(t, config, newBackend(), false)
				c, l := connectOver(t, h, transport)
				var done sync.WaitGroup
				for writer := range outboxWriters {
					done.Add(1)
					go writeMessages(l, writer, count, seed, &done)
				}
				got := checkMessages(t, c, outboxWriters*count)
				done.Wait()
				for writer, n := range got {
					if n != count {
						t.Errorf("%d messages of writer %d came, want %d", n, writer, count)
					}
				}
				c.wantOpen()
			})
		}
		t.Run("what comes before the end is whole over "+transport, func(t *testing.T) {
			config := testConfig()
			config.WSCompression = true
			h := newHouse(t, config, newBackend(), false)
			c, l := connectOver(t, h, transport)
			var done sync.WaitGroup
			for writer := range outboxWriters {
				done.Add(1)
				go writeMessages(l, writer, count, 3, &done)
			}
			next := checkMessages(t, c, 10)
			l.session.Finish()
			got := 0
			for {
				f, err := c.next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatalf("after %d messages: %v, want the end", got, err)
				}
				if f.Command != stomp.CommandMessage {
					t.Fatalf("got %v, want messages and the end", f.Command)
				}
				got++
			}
			done.Wait()
			if total := got + next[0] + next[1] + next[2] + next[3]; total < 10 || total > outboxWriters*count {
				t.Errorf("%d messages came, want between 10 and all", total)
			}
		})
	}
}

func connectOver(t *testing.T, h *house, transport string) (*client, *echoLink) {
	t.Helper()
	if transport == "compressed ws" {
		return h.connectCompressed(t)
	}
	return h.connect(t, transport)
}

// TestNothingAfterTheEnd: RECEIPT of DISCONNECT and an ERROR that closes are the last.
func TestNothingAfterTheEnd(t *testing.T) {
	for _, transport := range transports {
		b := newBackend()
		b.hooks.disconnect = func(l *echoLink, receipt string) {
			l.session.Receipt(receipt)
			l.session.Finish()
			if _, wake := l.session.Write(nil, []byte("MESSAGE\n\n\x00"), true, false); wake {
				t.Error("a finished session takes a frame")
			}
		}
		b.hooks.send = func(l *echoLink, _ *stomp.Frame) *stomp.ProtocolError {
			l.session.Error(stomp.NewProtocolError(stomp.CodeInternalError, "first", ""), "")
			l.session.Receipt("late")
			return stomp.NewProtocolError(stomp.CodeInternalError, "second", "")
		}
		h := newHouse(t, testConfig(), b, false)
		c, _ := h.connect(t, transport)
		c.send("DISCONNECT\nreceipt:bye\n\n\x00")
		c.wantReceipt("bye")
		c.wantEnd()
		c, _ = h.connect(t, transport)
		c.send("SEND\ndestination:/queue/a\n\n\x00")
		if got, want := c.wantError(stomp.CodeInternalError).Value("message"), "first"; got != want {
			t.Errorf("message = %q, want %q", got, want)
		}
		c.wantEnd()
	}
}
