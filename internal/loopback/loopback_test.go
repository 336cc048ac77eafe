package loopback_test

import (
	"net"
	"testing"

	"stampede/internal/loopback"
)

func TestReserve(t *testing.T) {
	t.Run("gives an address to one only", func(t *testing.T) {
		seen := make(map[string]bool)
		for range 20 {
			for _, addr := range loopback.Addrs(t, 50) {
				if seen[addr] {
					t.Errorf("%s was given twice", addr)
				}
				seen[addr] = true
			}
		}
	})
	t.Run("gives what a broker can listen on, again and again", func(t *testing.T) {
		addr := loopback.Addr(t)
		for range 3 {
			listener, err := net.Listen("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			if err := listener.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("lets addresses go", func(t *testing.T) {
		r, err := loopback.Reserve(1)
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		held, err := net.ListenPacket("udp", r.Addrs[0])
		if err != nil {
			t.Fatalf("%s is reserved still: %v", r.Addrs[0], err)
		}
		_ = held.Close() // nothing was sent
	})
	t.Run("refuses more than there may be", func(t *testing.T) {
		if r, err := loopback.Reserve(1_001); err == nil {
			r.Close()
			t.Error("no error for 1,001 addresses")
		}
	})
}

func TestGate(t *testing.T) {
	var g loopback.Gate
	listener, err := g.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	dialled, err := g.Dial(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	taken := <-accepted
	g.Set(true)
	for name, conn := range map[string]net.Conn{"dialled": dialled, "accepted": taken} {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("the %s connection goes on through a gate that is shut", name)
		}
	}
	if _, err := g.Dial(t.Context(), addr); err == nil {
		t.Error("a connection was made through a gate that is shut")
	}
	stranger, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Read(make([]byte, 1)); err == nil {
		t.Error("a connection was taken through a gate that is shut")
	}
	g.Set(false)
	if _, err := g.Dial(t.Context(), addr); err != nil {
		t.Errorf("dial = %v, want a connection", err)
	}
	<-accepted
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
	<-accepted
}
