package gateway_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"stampede/broker"
	"stampede/cluster"
	"stampede/cluster/gateway"
	"stampede/stomp"
)

// giveUp declares the node lost, as a leader elsewhere would, and waits until its next incarnation has begun.
func (r *running) giveUp(t *testing.T) {
	t.Helper()
	before := r.node.Incarnation()
	fact := broker.AppendFact(nil, broker.NodeLost{Node: r.node.ID(), Incarnation: before})
	if err := r.node.Submit(context.Background(), fact, []cluster.Ticket{{}}); err != nil {
		t.Fatal(err)
	}
	await(t, "a new incarnation", func() bool {
		begun := false
		r.inspect(t, func(s *broker.State) {
			s.Nodes(func(i broker.NodeInfo) bool { begun = i.Incarnation > before && !i.Lost; return true })
		})
		return begun
	})
}

func TestNodeThatIsGivenUp(t *testing.T) {
	for _, c := range []struct {
		name   string
		policy []string
	}{
		{"closes its sessions and says where to go on", nil},
		{"closes sessions of service accounts too, whatever errors they are spared", []string{"login", "service"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t)
			client := r.connect(t, c.policy...)
			client.subscribe("0", "/topic/a")
			client.subscribe("1", "/queue/a", "ack", "client")
			r.giveUp(t)
			client.expectError(stomp.CodeResumeElsewhere, true)
		})
	}

	t.Run("gives unsettled messages back, marked, and takes new sessions", func(t *testing.T) {
		r := start(t)
		consumer := r.connect(t)
		consumer.subscribe("0", "/queue/a", "ack", "client-individual")
		consumer.publish("/queue/a", "one")
		consumer.message()
		r.giveUp(t)
		consumer.expectError(stomp.CodeResumeElsewhere, true)

		next := r.connect(t)
		next.subscribe("0", "/queue/a", "ack", "client-individual")
		m := next.message()
		check(t, "body", string(m.Body), "one")
		check(t, "redelivered", m.Value("redelivered"), "true")
		next.publish("/topic/a", "two")
		next.ask(stomp.CommandAck, "id", m.Value("ack"))
		r.inspect(t, func(s *broker.State) {
			if got := s.Counts().Sessions; got != 1 {
				t.Errorf("sessions = %d, want the new one alone", got)
			}
		})
	})

	t.Run("reads the policies again, of whose changes it may not have been told", func(t *testing.T) {
		r := start(t)
		other := gateway.New(r.node, quiet()) // which is told of nothing
		policy := broker.Policy{Set: broker.PolicyLogged}
		if err := r.gateway.SetPolicy(t.Context(), "/topic/a", &policy); err != nil {
			t.Fatal(err)
		}
		if !other.Policies().Resolve("/topic/a").Logged {
			t.Fatal("it knows already: the test shows nothing")
		}
		other.Evicted()
		await(t, "policy", func() bool { return !other.Policies().Resolve("/topic/a").Logged })
	})

	t.Run("takes nothing more for the sessions that it had", func(t *testing.T) {
		r := start(t)
		client := r.connect(t)
		client.publish("/topic/a", "before")
		r.giveUp(t)
		// What the client sends before it has seen the ERROR has no effect and no receipt.
		_ = client.tryWrite(stomp.AppendFrame(nil, stomp.V12, stomp.NewFrame(stomp.CommandSend, "destination", "/topic/a", "receipt", "late")))
		for {
			f, err := client.tryRead()
			if errors.Is(err, io.EOF) || err != nil {
				break
			}
			if f.Command == stomp.CommandReceipt {
				t.Errorf("%s for a session of an ended incarnation", show(f))
			}
		}
		first, last := r.node.Bounds("/topic/a")
		if first != last {
			t.Errorf("messages from %d to %d, want one", first, last)
		}
	})
}
