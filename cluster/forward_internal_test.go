package cluster

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"stampede/broker"
)

func TestForwarding(t *testing.T) {
	nodes := startThree(t)
	defer func() {
		for _, n := range nodes {
			n.stop(t)
		}
	}()

	t.Run("brings what any node submits into one log, in its order", func(t *testing.T) {
		const each = 50
		for i := range each {
			for _, n := range nodes {
				n.send(t, fmt.Sprint(n.cfg.Name, "-", i))
			}
		}
		for _, n := range nodes {
			n.await(t, "outcomes at "+n.cfg.Name, func() bool { return len(n.outcomes) == each })
			n.mu.Lock()
			for i := 1; i < each; i++ {
				before, after := n.outcomes[fmt.Sprint(n.cfg.Name, "-", i-1)], n.outcomes[fmt.Sprint(n.cfg.Name, "-", i)]
				if before >= after {
					t.Errorf("message %d of %s is at %d, the one before at %d", i, n.cfg.Name, after, before)
				}
			}
			n.mu.Unlock()
		}
		wantSame(t, nodes, 3*each)
	})

	t.Run("goes on with the next leader, each submission once", func(t *testing.T) {
		leader, _ := awaitLeader(t, nodes)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		sent := 0
		for i := range 90 {
			for _, n := range nodes {
				n.send(t, fmt.Sprint("again-", n.cfg.Name, "-", i))
				sent++
			}
			if i == 30 {
				if err := leader.Resign(ctx); err != nil {
					t.Fatal(err)
				}
			}
		}
		if leader.leads.Load() {
			t.Error("the leader leads still")
		}
		wantSame(t, nodes, 150+sent)
		for _, n := range nodes {
			n.mu.Lock()
			if got := len(n.stored); got != 150+sent {
				t.Errorf("%s was given %d messages, want %d", n.cfg.Name, got, 150+sent)
			}
			n.mu.Unlock()
		}
	})
}

func TestLeaderThatDiesIsFollowedByAnother(t *testing.T) {
	nodes := startThree(t)
	leader, followers := awaitLeader(t, nodes)
	for _, n := range nodes {
		n.send(t, "before "+n.cfg.Name)
	}
	wantSame(t, nodes, 3)
	leader.stop(t)
	for _, n := range followers {
		n.send(t, "after "+n.cfg.Name)
	}
	wantSame(t, followers, 5)

	again := startNode(t, leader.cfg)
	again.awaitReady(t)
	again.send(t, "back")
	for _, n := range followers {
		n.await(t, "message of the node that came back", func() bool { return len(n.stored) == 6 })
	}
	nodes = append(followers, again)
	for _, n := range nodes {
		n.stop(t)
	}
}

// What comes on a stream of submissions is held against the node that opened it.
func TestStreamOfSubmissionsTakesWholeEnvelopesOfItsNode(t *testing.T) {
	nodes := startThree(t)
	defer func() {
		for _, n := range nodes {
			n.stop(t)
		}
	}()
	leader, followers := awaitLeader(t, nodes)
	self := member{cluster: leader.self.now().cluster, node: followers[0].ID()}
	fact := broker.AppendFact(nil, broker.SessionClosed{Session: 1})
	envelopeOf := func(e envelope) []byte {
		entry := append(make([]byte, entryHeadBytes), e.facts...)
		putEnvelopeHead(entry, e)
		return entry[entryHeaderBytes:]
	}
	good := envelope{node: self.node, incarnation: 1 << 40, firstN: 7, count: 1, facts: fact} // the fold refuses the incarnation
	stranger := good
	stranger.node = followers[1].ID()
	unnumbered := good
	unnumbered.firstN = 0
	for _, c := range []struct {
		name   string
		bytes  []byte
		length int // 0: that of bytes
	}{
		{"another node's", envelopeOf(stranger), 0},
		{"without a number, as only the leader's own are", envelopeOf(unnumbered), 0},
		{"cut short", envelopeOf(good)[:50], 0},
		{"longer than an entry may be", nil, entryBytesMax + 1},
		{"with bytes behind it", append(envelopeOf(good), 0), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", leader.cfg.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }() // the leader has closed it
			if _, err := self.greet(conn, streamForward); err != nil {
				t.Fatal(err)
			}
			length := c.length
			if length == 0 {
				length = len(c.bytes)
			}
			if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(length)), c.bytes...)); err != nil {
				t.Fatal(err)
			}
			if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(conn); len(got) != 1 || isTimeout(err) {
				t.Errorf("leader said % x, %v, want its welcome and the end", got, err)
			}
		})
	}
}

func isTimeout(err error) bool {
	n, ok := err.(net.Error)
	return ok && n.Timeout()
}
