package loopback

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

const (
	portFirst = 12_000
	portCount = 19_000 // up to 30,999; Linux gives 32,768 and above to outgoing connections
	countMax  = 1_000
	triesMax  = 100 // an address
)

var errNoPorts = errors.New("no free ports on loopback")

// Reserved are addresses that nobody listens on, and that no other Reserve gives, in whatever process, until Close.
// Its sockets are UDP's of the same numbers, which say so and are in nobody's way.
type Reserved struct {
	Addrs []string
	held  []net.PacketConn
}

// Reserve finds count addresses, 1,000 at most.
func Reserve(count int) (*Reserved, error) {
	if count > countMax {
		return nil, fmt.Errorf("%d ports on loopback are more than %d", count, countMax)
	}
	r := new(Reserved)
	for range triesMax * count {
		if len(r.Addrs) == count {
			return r, nil
		}
		r.try(net.JoinHostPort("127.0.0.1", strconv.Itoa(portFirst+rand.IntN(portCount))))
	}
	r.Close()
	return nil, errNoPorts
}

// try takes an address if nobody has it.
func (r *Reserved) try(addr string) {
	held, err := net.ListenPacket("udp", addr)
	if err != nil {
		return
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		_ = held.Close() // nothing was sent
		return
	}
	_ = listener.Close() // it took no connection
	r.Addrs, r.held = append(r.Addrs, addr), append(r.held, held)
}

// Close lets the addresses go.
func (r *Reserved) Close() {
	for _, held := range r.held {
		_ = held.Close() // nothing was sent
	}
	r.held = nil
}

// Addrs reserves count addresses for a test.
func Addrs(t testing.TB, count int) []string {
	t.Helper()
	r, err := Reserve(count)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r.Addrs
}

// Addr reserves one address for a test.
func Addr(t testing.TB) string {
	t.Helper()
	return Addrs(t, 1)[0]
}
