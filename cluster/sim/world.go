package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"stampede/broker"
	"stampede/cluster"
	"stampede/cluster/gateway"
	"stampede/stomp/auth"
	"stampede/stomp/server"
)

// This file is the world: machines with whole nodes on them, which crash and come back.

const (
	clusterPort = ":7400"
	stompPort   = ":61613"
	stopMax     = 20 * time.Second // of simulated time: a node that takes longer to stop hangs
)

// World is a cluster and its surroundings.
type World struct {
	Net      *Network
	Machines []*Machine
	History  *History

	random *rand.Rand // of the nemesis
	logger *slog.Logger
	ended  sync.WaitGroup // lives of nodes
}

// Machine is a disk and, now and then, a node that runs on it.
type Machine struct {
	Name string
	Disk *Disk

	world *World
	seeds []string

	mu   sync.Mutex
	life *lifetime // nil while nothing runs; guarded by mu
}

// lifetime is one run of a node's process.
type lifetime struct {
	node    *cluster.Node
	gateway *gateway.Gateway
	server  *server.Server
	cancel  context.CancelFunc
	done    chan struct{} // the process has ended
}

// NewWorld makes machines with empty disks; none runs.
func NewWorld(seed uint64, machines int, logger *slog.Logger) *World {
	w := &World{Net: NewNetwork(), History: NewHistory(), random: rand.New(rand.NewPCG(seed, 0)), logger: logger}
	var seeds []string
	for i := range machines {
		seeds = append(seeds, fmt.Sprintf("n%d%s", i+1, clusterPort))
	}
	for i := range machines {
		name := fmt.Sprint("n", i+1)
		w.Machines = append(w.Machines, &Machine{Name: name, Disk: NewDisk(seed + uint64(i)), world: w, seeds: seeds})
	}
	return w
}

// Start runs the node, if it does not run.
func (m *Machine) Start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.life != nil {
		return
	}
	cfg := cluster.DefaultConfig()
	cfg.Disk, cfg.Network, cfg.Addr, cfg.Advertise = m.Disk.Open(), m.world.Net.Host(m.Name), m.Name+clusterPort, m.Name+clusterPort
	cfg.Seeds, cfg.Expect, cfg.Name = m.seeds, len(m.seeds), m.Name
	cfg.RingEventsMax, cfg.Fatal = 1<<12, func(error) {}
	node, err := cluster.Open(cfg, m.world.logger.With("machine", m.Name))
	if err != nil {
		m.world.History.Fault("%s does not open: %v", m.Name, err)
		return
	}
	l := &lifetime{node: node, gateway: gateway.New(node, m.world.logger), done: make(chan struct{})}
	if l.server, err = server.New(server.DefaultConfig(), l.gateway, auth.None(), m.world.logger); err != nil {
		m.world.History.Fault("%s has no server: %v", m.Name, err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	m.life = l
	m.world.ended.Add(1)
	go m.run(ctx, l, cfg.Network)
}

// run is the process.
func (m *Machine) run(ctx context.Context, l *lifetime, network cluster.Network) {
	defer m.world.ended.Done()
	defer close(l.done)
	var serving sync.WaitGroup
	serving.Go(func() { m.serve(ctx, l, network) })
	err := l.node.Run(ctx, l.gateway)
	if err != nil && ctx.Err() == nil {
		m.world.History.Fault("%s ended by itself: %v", m.Name, err)
	}
	l.cancel()
	serving.Wait()
	closing, cancel := context.WithTimeout(context.Background(), stopMax)
	defer cancel()
	if err := l.server.Shutdown(closing); err != nil {
		m.world.History.Fault("%s: sessions did not end: %v", m.Name, err)
	}
}

func (m *Machine) serve(ctx context.Context, l *lifetime, network cluster.Network) {
	select {
	case <-l.node.Ready():
	case <-ctx.Done():
		return
	}
	l.gateway.ReadPolicies(ctx)
	listener, err := network.Listen(m.Name + stompPort)
	if err != nil {
		return // it was killed meanwhile
	}
	_ = l.server.Serve(ctx, listener, false) // ends with ctx, or when the host is killed
}

// Crash ends the node as a power switch does, and gives a wait for its remains.
func (m *Machine) Crash() {
	m.mu.Lock()
	l := m.life
	m.life = nil
	m.mu.Unlock()
	if l == nil {
		return
	}
	m.Disk.Crash()
	m.world.Net.Kill(m.Name)
	l.cancel()
}

// Node is the node that runs, nil when none does.
func (m *Machine) Node() *cluster.Node {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.life == nil {
		return nil
	}
	return m.life.node
}

// Stop ends all nodes in order and waits for everything that ever ran.
func (w *World) Stop() {
	for _, m := range w.Machines {
		m.mu.Lock()
		if m.life != nil {
			m.life.cancel()
		}
		m.life = nil
		m.mu.Unlock()
	}
	w.ended.Wait()
	time.Sleep(time.Second) // readers of Raft's that nobody waits for see the end of their connections
}

// Leader gives the machine that leads, by what most say; nil when there is none.
func (w *World) Leader() *Machine {
	for _, m := range w.Machines {
		if n := m.Node(); n != nil {
			if s := n.Status(); s.Role == "leader" && s.Leader == s.Node.String() {
				return m
			}
		}
	}
	return nil
}

// Converged tells whether all nodes run, know one leader, have folded the same, and have nothing left in queues; and if not, what is missing.
func (w *World) Converged() error {
	var first cluster.Status
	for i, m := range w.Machines {
		n := m.Node()
		if n == nil {
			return fmt.Errorf("%s does not run", m.Name)
		}
		select {
		case <-n.Ready():
		default:
			return fmt.Errorf("%s is not ready", m.Name)
		}
		s := n.Status()
		if i == 0 {
			first = s
		}
		switch {
		case s.Leader == "" || s.Leader != first.Leader:
			return fmt.Errorf("%s has leader %q, %s has %q", m.Name, s.Leader, w.Machines[0].Name, first.Leader)
		case s.AppliedIndex != first.AppliedIndex || s.DigestIndex != s.AppliedIndex || s.Adrift:
			return fmt.Errorf("%s is at index %d (digest at %d), %s at %d", m.Name, s.AppliedIndex, s.DigestIndex, w.Machines[0].Name, first.AppliedIndex)
		case s.Counts.QueueWaiting+s.Counts.Unsettled > 0:
			return fmt.Errorf("%s has %d messages waiting and %d unsettled", m.Name, s.Counts.QueueWaiting, s.Counts.Unsettled)
		}
	}
	return nil
}

// CheckStates compares what the nodes made of the log, once they have converged.
func (w *World) CheckStates() {
	var first cluster.Status
	for i, m := range w.Machines {
		n := m.Node()
		if n == nil {
			continue
		}
		s := n.Status()
		if i == 0 {
			first = s
		}
		if s.DigestIndex == first.DigestIndex && (s.Digest != first.Digest || s.Chain != first.Chain) {
			w.History.Fault("%s has digest %016x and chain %016x at %d, %s has %016x and %016x", m.Name, s.Digest, s.Chain, s.DigestIndex,
				w.Machines[0].Name, first.Digest, first.Chain)
		}
		err := n.Inspect(context.Background(), func(state *broker.State) {
			if err := state.Check(); err != nil {
				w.History.Fault("%s: %v", m.Name, err)
			}
		})
		if err != nil && !errors.Is(err, context.Canceled) {
			w.History.Fault("%s: %v", m.Name, err)
		}
	}
}
