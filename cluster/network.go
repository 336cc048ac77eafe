package cluster

// This file says how a node reaches the others: over TCP, unless the program brings something around it (TLS) or instead of it (a test).

import (
	"context"
	"net"
	"time"
)

// Network carries the connections between nodes. Listen is called once, before Dial; Dial may be called by many goroutines and returns
// when ctx ends. Both sides of a connection are whole once they are returned or have read their first byte: a handshake below (TLS) is the
// Network's.
type Network interface {
	Listen(addr string) (net.Listener, error)
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// keepAlive finds out that the other machine is gone when nothing is said for long.
const keepAlive = 5 * time.Second

// TCP is the network of a node that was given none.
type TCP struct{}

var _ Network = TCP{}

// Listen implements Network.
func (TCP) Listen(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }

// Dial implements Network.
func (TCP) Dial(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{KeepAlive: keepAlive}
	return d.DialContext(ctx, "tcp", addr)
}
