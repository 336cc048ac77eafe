package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"stampede/stomp"
)

// messageOf is a MESSAGE as a backend hands it over: a head for each subscriber, a tail for all.
func messageOf(body int) (head, tail []byte) {
	head = []byte("MESSAGE\nsubscription:sub-0\nmessage-id:01HZY-1234567\n")
	tail = fmt.Appendf(nil, "destination:/topic/prices\ncontent-type:application/json\ncontent-length:%d\n\n", body)
	tail = append(tail, bytes.Repeat([]byte{'x'}, body)...)
	return head, append(tail, 0)
}

// discard reads all that comes, below the transport.
func discard(c *client) {
	var raw net.Conn
	if conn, ok := c.stream.(net.Conn); ok {
		raw = conn
	} else {
		raw = c.webSocket().NetConn()
	}
	_ = raw.SetReadDeadline(time.Time{})
	_, _ = io.Copy(io.Discard, raw)
}

// BenchmarkWrite is the way of a message through the outbox of one session and its socket, as fast as the client reads.
func BenchmarkWrite(b *testing.B) {
	for _, transport := range transports {
		for _, body := range []int{128, 16 << 10} {
			b.Run(fmt.Sprintf("transport=%s/body=%d", transport, body), func(b *testing.B) {
				h := newHouse(b, testConfig(), newBackend(), false)
				c, l := h.connect(b, transport)
				go discard(c)
				head, tail := messageOf(body)
				b.SetBytes(int64(len(head) + len(tail)))
				b.ReportAllocs()
				for b.Loop() {
					for l.session.Full() {
						l.session.AwaitSpace(patience)
					}
					if _, wake := l.session.Write(head, tail, true, true); wake {
						l.session.Wake()
					}
				}
			})
		}
	}
}

// BenchmarkReceipt is a RECEIPT through the outbox.
func BenchmarkReceipt(b *testing.B) {
	for _, transport := range transports {
		b.Run("transport="+transport, func(b *testing.B) {
			h := newHouse(b, testConfig(), newBackend(), false)
			c, l := h.connect(b, transport)
			go discard(c)
			b.ReportAllocs()
			for b.Loop() {
				for l.session.Full() {
					l.session.AwaitSpace(patience)
				}
				if l.session.Receipt("message-12345") {
					l.session.Wake()
				}
			}
		})
	}
}

// BenchmarkFanOut writes one message to each of 100 sessions over loopback; an operation is one round of all.
func BenchmarkFanOut(b *testing.B) {
	const sessions = 100
	for _, transport := range transports {
		for _, batch := range []int{1, 10} {
			b.Run(fmt.Sprintf("transport=%s/sessions=%d/batch=%d", transport, sessions, batch), func(b *testing.B) {
				h := newHouse(b, testConfig(), newBackend(), false)
				var links [sessions]*echoLink
				for i := range links {
					c, l := h.connect(b, transport)
					go discard(c)
					links[i] = l
				}
				head, tail := messageOf(128)
				b.ReportAllocs()
				rounds := 0
				for b.Loop() {
					rounds++
					for _, l := range links {
						for l.session.Full() {
							l.session.AwaitSpace(patience)
						}
						l.session.Write(head, tail, true, true)
					}
					if rounds%batch == 0 {
						for _, l := range links {
							l.session.Wake()
						}
					}
				}
				b.ReportMetric(float64(rounds*sessions)/b.Elapsed().Seconds(), "deliveries/s")
			})
		}
	}
}

// BenchmarkRead is the way of a SEND from the socket to the link, many in flight.
func BenchmarkRead(b *testing.B) {
	for _, transport := range transports {
		b.Run("transport="+transport+"/body=128", func(b *testing.B) {
			backend := newBackend()
			backend.quiet = true
			taken := make(chan struct{}, 1)
			var got, want int // of the reading goroutine; want is set before anything is sent
			backend.hooks.send = func(*echoLink, *stomp.Frame) *stomp.ProtocolError {
				if got++; got%want == 0 {
					taken <- struct{}{}
				}
				return nil
			}
			h := newHouse(b, testConfig(), backend, false)
			c, _ := h.connect(b, transport)
			const burst = 100
			want = burst
			frames := bytes.Repeat([]byte("SEND\ndestination:/topic/prices\ncontent-length:128\n\n"+string(make([]byte, 128))+"\x00"), burst)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.stream.Write(frames); err != nil {
					b.Fatal(err)
				}
				<-taken
			}
			b.ReportMetric(float64(b.N*burst)/b.Elapsed().Seconds(), "frames/s")
		})
	}
}
