package gateway_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"stampede/stomp"
)

func TestReceipt(t *testing.T) {
	r := start(t)
	t.Run("of SUBSCRIBE comes before the first message", func(t *testing.T) {
		publisher := r.connect(t)
		publisher.sendNumbers("/queue/first", 1, 200)
		publisher.sendNumbers("/topic/first", 1, 20)
		done := make(chan struct{})
		go publishNumbers(publisher, "/topic/first", 2000, done)
		for range 50 {
			c := r.connect(t, "login", "ada")
			for i, pairs := range [][]string{
				{"destination", "/topic/first"}, {"destination", "/topic/first", "x-stream-offset", "first"}, {"destination", "/topic/*"},
				{"destination", "/queue/first", "ack", "client", "prefetch-count", "1"}, {"destination", "/user/queue/first"},
			} {
				id := strconv.Itoa(i)
				c.do(stomp.CommandSubscribe, append(pairs, "id", id, "receipt", id)...)
			}
			receipted := map[string]bool{}
			for len(receipted) < 5 {
				switch f := c.read(); f.Command {
				case stomp.CommandReceipt:
					receipted[f.Value("receipt-id")] = true
				case stomp.CommandMessage:
					if !receipted[f.Value("subscription")] {
						t.Fatalf("%s came before the receipt of its SUBSCRIBE", show(f))
					}
				}
			}
			c.close()
		}
		<-done
	})
	t.Run("of SEND says that the message is in the log", func(t *testing.T) {
		c := r.connect(t)
		for i := range 50 {
			body := strconv.Itoa(i)
			c.publish("/topic/receipted", body)
			_, last := r.node.Bounds("/topic/receipted")
			if m, err := r.node.Message(last); err != nil || string(m.Body) != body {
				t.Fatalf("the last message is %v, %v, want %s", m, err, body)
			}
		}
	})
	t.Run("comes for each frame, in the order of logged commands", func(t *testing.T) {
		c := r.connect(t)
		for i := range 5000 {
			c.send("/queue/receipts", "x", "receipt", strconv.Itoa(i))
		}
		for i := range 5000 {
			c.awaitReceipt(strconv.Itoa(i))
		}
	})
	t.Run("of DISCONNECT comes after all others, then the end", func(t *testing.T) {
		c := r.connect(t)
		for i := range 500 {
			c.send("/queue/disconnect", "x", "receipt", strconv.Itoa(i))
		}
		c.do(stomp.CommandDisconnect, "receipt", "bye")
		for i := range 500 {
			c.awaitReceipt(strconv.Itoa(i))
		}
		c.awaitReceipt("bye")
		if f, err := c.tryRead(); !errors.Is(err, io.EOF) {
			t.Errorf("behind the receipt came %s, %v, want the end", show(f), err)
		}
	})
}

func TestBackPressure(t *testing.T) {
	t.Run("stops reading a session that does not read its receipts", func(t *testing.T) {
		r := start(t, smallOutbox)
		c := r.connect(t)
		shrinkReceiveBuffer(t, c)
		receipt := strings.Repeat("r", 4000)
		frame := stomp.AppendFrame(nil, stomp.V12, stomp.NewFrame(stomp.CommandSend, "destination", "/queue/x", "receipt", receipt))
		taken := 0
		for ; taken < 10_000; taken++ { // 40 MB of receipts
			if err := c.conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := c.conn.Write(frame); err != nil {
				var timeout net.Error
				if !errors.As(err, &timeout) || !timeout.Timeout() {
					t.Fatalf("write: %v", err)
				}
				break
			}
		}
		if taken == 10_000 {
			t.Errorf("all %d frames were taken while nothing was read, want the socket not to be read any more", taken)
		}
		other := r.connect(t)
		other.publish("/queue/y", "others go on")
		for range taken - 1 { // the last one may have come in part
			if f := c.expect(stomp.CommandReceipt); f.Value("receipt-id") != receipt {
				t.Fatalf("got %s", show(f))
			}
		}
	})
	t.Run("bounds what waits for the log", func(t *testing.T) {
		r := start(t)
		c := r.connect(t)
		release := r.holdFold()
		body := strings.Repeat("x", 10_000)
		go func() {
			for i := range 3000 { // 30 MB
				f := stomp.NewFrame(stomp.CommandSend, "destination", "/queue/x", "receipt", strconv.Itoa(i))
				f.Body = []byte(body)
				if c.conn.SetWriteDeadline(time.Now().Add(patience)) != nil {
					return
				}
				if _, err := c.conn.Write(stomp.AppendFrame(nil, stomp.V12, f)); err != nil {
					return
				}
			}
		}()
		await(t, "the session to fill its share", func() bool { return r.node.Status().CommandsWaiting >= 100 })
		looks := 0
		await(t, "a while", func() bool { looks++; return looks > 100 || r.node.Status().CommandsWaiting > 120 })
		if got := r.node.Status().CommandsWaiting; got > 120 {
			t.Errorf("%d commands wait, want at most 1 MiB of them", got)
		}
		release()
		for i := range 3000 {
			c.awaitReceipt(strconv.Itoa(i))
		}
	})
}

func TestKill(t *testing.T) {
	dir := t.TempDir()
	r := startIn(t, dir)
	c := r.connect(t, "login", "ada")
	for i := 1; i <= 100; i++ {
		c.publish("/topic/kept", "t"+strconv.Itoa(i))
		c.publish("/queue/kept", "q"+strconv.Itoa(i))
		c.publish("/user/ada/queue/kept", "u"+strconv.Itoa(i))
	}
	c.subscribe("s", "/queue/kept", "ack", "client", "prefetch-count", "10")
	taken := c.messages(10)
	c.do(stomp.CommandAck, "id", taken[2].Value("ack"), "receipt", "acked")
	for {
		if f := c.read(); f.Command == stomp.CommandReceipt {
			break
		}
	}
	for i := range 1000 { // on their way
		c.send("/queue/on-their-way", fmt.Sprint(i))
	}
	r.kill()
	c.close()

	r = startIn(t, dir)
	c = r.connect(t, "login", "ada")
	c.subscribe("t", "/topic/kept", "x-stream-offset", "first")
	check(t, "topic", c.bodies(100), numbered("t", 1, 100))
	c.subscribe("u", "/user/queue/kept")
	check(t, "user", c.bodies(100), numbered("u", 1, 100))
	c.subscribe("q", "/queue/kept", "prefetch-count", "1000")
	got := c.messages(97)
	for i, m := range got {
		check(t, "queue", string(m.Body), "q"+strconv.Itoa(i+4))
		if redelivered := m.Value("redelivered") == "true"; redelivered != (i < 10) {
			t.Errorf("%s: redelivered = %v, want it for those that were delivered before", m.Body, redelivered)
		}
	}
	c.subscribe("w", "/queue/on-their-way", "prefetch-count", "2000")
	for i, body := range strings.Fields(c.pending()) {
		check(t, "what was not receipted comes in order, without holes", body, strconv.Itoa(i))
	}
}
