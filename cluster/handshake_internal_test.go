package cluster

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"stampede/broker"
)

func nodeID(last byte) broker.NodeID { return broker.NodeID{15: last} }

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// netTransport is Raft's network transport behind the handshake, on a free port.
func netTransport(t *testing.T, self member) *raft.NetworkTransport {
	t.Helper()
	port, err := listenPeers(TCP{}, "127.0.0.1:0", "", self, discard())
	if err != nil {
		t.Fatal(err)
	}
	transport := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: newRaftStreams(port), MaxPool: 1, MaxRPCsInFlight: 1, Timeout: 5 * time.Second, Logger: hclog.NewNullLogger(),
	})
	t.Cleanup(func() {
		transport.CloseStreams()
		_ = transport.Close() // closed already where a wrapper did it
		if err := port.Close(); err != nil {
			t.Error(err)
		}
	})
	return transport
}

func raftOnly(k streamKind) bool { return k == streamRaft }

func TestHandshake(t *testing.T) {
	ours := member{cluster: nodeID(1), node: nodeID(2)}
	for _, c := range []struct {
		name string
		peer member
		want error
	}{
		{"takes a member of the same cluster", member{cluster: nodeID(1), node: nodeID(3)}, nil},
		{"refuses a member of another cluster", member{cluster: nodeID(9), node: nodeID(3)}, errOtherCluster},
		{"refuses the node itself", ours, errSelf},
	} {
		t.Run(c.name, func(t *testing.T) {
			here, there := net.Pipe()
			defer closeConn(t, here)
			defer closeConn(t, there)
			type answered struct {
				peer member
				err  error
			}
			answers := make(chan answered, 1)
			go func() {
				_, peer, err := ours.answer(there, raftOnly)
				answers <- answered{peer, err}
			}()
			met, err := c.peer.greet(here, streamRaft)
			if !errors.Is(err, c.want) {
				t.Errorf("greet = %v, want %v", err, c.want)
			}
			if met != ours {
				t.Errorf("greeted %+v, want %+v", met, ours)
			}
			if a := <-answers; !errors.Is(a.err, c.want) || a.peer != c.peer {
				t.Errorf("answer = %+v, %v, want %+v, %v", a.peer, a.err, c.peer, c.want)
			}
		})
	}

	t.Run("refuses another kind of stream and another version", func(t *testing.T) {
		for _, change := range []struct {
			at   int
			to   byte
			want error
		}{{0, 'X', errOtherKind}, {5, handshakeVersion + 1, errOtherVersion}} {
			hello := slices.Concat([]byte{'R', 'S', 'T', 'P', 'D', handshakeVersion}, make([]byte, 32))
			hello[helloBytes-1], hello[6+15] = 3, 1
			hello[change.at] = change.to
			here, there := net.Pipe()
			go exchange(here, hello)
			if _, _, err := ours.answer(there, raftOnly); !errors.Is(err, change.want) {
				t.Errorf("answer to byte %d = %v, want %v", change.at, err, change.want)
			}
			closeConn(t, there)
		}
	})

	t.Run("says nothing to a stranger", func(t *testing.T) {
		port, err := listenPeers(TCP{}, "127.0.0.1:0", "", ours, discard())
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := port.Close(); err != nil {
				t.Error(err)
			}
		}()
		conn, err := net.Dial("tcp", port.advertise.String())
		if err != nil {
			t.Fatal(err)
		}
		defer closeConn(t, conn)
		if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: stampede.example\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(conn); len(got) > 0 || (err != nil && !errors.Is(err, net.ErrClosed) && len(got) > 0) {
			t.Errorf("answer to a stranger = %q, %v, want none", got, err)
		}
	})
}

// exchange writes a greeting and reads what comes back.
func exchange(conn net.Conn, hello []byte) {
	_, _ = conn.Write(hello)         // the other side decides the test
	_, _ = io.Copy(io.Discard, conn) // until it closes
	_ = conn.Close()
}

func closeConn(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

// Raft's calls reach a member of the cluster, and no other node, even at the address of one.
func TestPortSpeaksToMembersOnly(t *testing.T) {
	receiver := netTransport(t, member{cluster: nodeID(1), node: nodeID(2)})
	request := raft.RequestVoteRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: 3}, Term: 7}

	stranger := netTransport(t, member{cluster: nodeID(9), node: nodeID(4)})
	err := stranger.RequestVote("f", receiver.LocalAddr(), &request, &raft.RequestVoteResponse{})
	if !errors.Is(err, errOtherCluster) {
		t.Errorf("vote asked by a stranger = %v, want %v", err, errOtherCluster)
	}

	friend := netTransport(t, member{cluster: nodeID(1), node: nodeID(3)})
	go answerVote(receiver)
	var response raft.RequestVoteResponse
	if err := friend.RequestVote("f", receiver.LocalAddr(), &request, &response); err != nil || !response.Granted {
		t.Errorf("vote asked by a member = %+v, %v, want granted", response, err)
	}
}

func answerVote(transport raft.Transport) {
	call := <-transport.Consumer()
	call.Respond(&raft.RequestVoteResponse{Granted: true}, nil)
}
