package gateway_test

import (
	"net"
	"testing"
)

// shrinkReceiveBuffer makes a client that does not read noticeable soon.
func shrinkReceiveBuffer(t *testing.T, c *client) {
	t.Helper()
	tcp, ok := c.conn.(*net.TCPConn)
	if !ok {
		t.Fatalf("connection is a %T", c.conn)
	}
	if err := tcp.SetReadBuffer(256 << 10); err != nil {
		t.Fatal(err)
	}
}
