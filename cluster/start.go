package cluster

// This file holds the start of a node's consensus: its port, the founding of a new cluster, Raft.

import (
	"context"
	"errors"

	"github.com/hashicorp/raft"
)

// startConsensus finds the cluster, or founds it, on an empty log and starts Raft.
func (n *Node) startConsensus(ctx context.Context) (replicator, error) {
	if err := n.begin(ctx); err != nil {
		return nil, err
	}
	transport := n.transport()
	config := raftConfig(n.cfg, *n.self.now())
	config.Logger = newRaftLogger(n.logger)
	r, err := startRaft(raftParts{
		config: config, log: begunLog{n.log, n}, snapshots: n.snapshots, transport: transport, apply: n.apply,
		snapshot: n.persist, restore: n.restoreReceived,
	})
	if err != nil {
		return nil, errors.Join(err, transport.Close())
	}
	return r, nil
}

// listen opens the port between nodes, if there is to be one.
func (n *Node) listen() error {
	if n.cfg.Addr == "" {
		return nil
	}
	network := n.cfg.Network
	if network == nil {
		network = TCP{}
	}
	var err error
	n.port, err = listenPeers(network, n.cfg.Addr, n.cfg.Advertise, member{cluster: n.self.now().cluster, node: n.self.now().node}, n.logger)
	if err != nil {
		return err
	}
	n.port.handle(streamMembership, n.takeMembership)
	return nil
}

// address is where this node is to be found in the configuration of the members; a node that stays alone is found by its name.
func (n *Node) address() raft.ServerAddress {
	if n.port == nil {
		return raft.ServerAddress(n.self.now().Node)
	}
	return raft.ServerAddress(n.port.advertise)
}

// transport makes Raft's way to the others: over the port, or, for a node that stays alone, none.
func (n *Node) transport() *safeTransport {
	if n.port == nil {
		_, alone := raft.NewInmemTransport(n.address())
		return newSafeTransport(alone)
	}
	safe := newSafeTransport(raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: newRaftStreams(n.port), MaxPool: raftConnsMax, MaxRPCsInFlight: 1, Timeout: raftRPCTimeout, Logger: newRaftLogger(n.logger),
	}))
	safe.named = true
	safe.receiveStates(n.arrivals.take)
	safe.tellHeard(n.doubt.hear)
	return safe
}
