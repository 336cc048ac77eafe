package cluster

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestSteadyConn(t *testing.T) {
	pipe := func() (*steadyConn, func()) {
		near, far := net.Pipe()
		return &steadyConn{Conn: near, stallMax: writeStallMax}, func() { _, _ = near.Close(), far.Close() }
	}
	took := func(c *steadyConn) time.Duration {
		start := time.Now()
		if _, err := c.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write that nobody reads = %v, want %v", err, os.ErrDeadlineExceeded)
		}
		return time.Since(start)
	}
	t.Run("gives_a_write_up_that_nobody_reads", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, end := pipe()
			defer end()
			if err := c.SetDeadline(time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			if got := took(c); got != writeStallMax {
				t.Errorf("given up after %v, want %v", got, writeStallMax)
			}
		})
	})
	t.Run("keeps_to_an_earlier_deadline_of_its_user", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, end := pipe()
			defer end()
			if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
				t.Fatal(err)
			}
			if got := took(c); got != time.Second {
				t.Errorf("given up after %v, want a second", got)
			}
		})
	})
}
