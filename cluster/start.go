package cluster

// This file holds the start of a node's consensus: its port, the founding of a new cluster, Raft.

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// startConsensus founds the cluster on an empty log and starts Raft.
func (n *Node) startConsensus() (replicator, error) {
	transport, err := n.transport()
	if err != nil {
		return nil, err
	}
	if err := n.foundOnce(transport.LocalAddr()); err != nil {
		return nil, errors.Join(err, transport.Close())
	}
	config := raftConfig(n.cfg, *n.self.now())
	config.Logger = newRaftLogger(n.logger)
	r, err := startRaft(raftParts{
		config: config, log: n.log, snapshots: positionSnapshots{n.store.Position}, transport: transport, apply: n.apply,
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
	return err
}

// transport makes Raft's way to the others: over the port, or, for a node that stays alone, none.
func (n *Node) transport() (*safeTransport, error) {
	if n.port == nil {
		_, alone := raft.NewInmemTransport(raft.ServerAddress(n.self.now().Node))
		return newSafeTransport(alone), nil
	}
	return newSafeTransport(raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: newRaftStreams(n.port), MaxPool: raftConnsMax, MaxRPCsInFlight: 1, Timeout: raftRPCTimeout, Logger: newRaftLogger(n.logger),
	})), nil
}

// foundOnce begins the log of a new cluster, and remembers that there is one.
func (n *Node) foundOnce(address raft.ServerAddress) error {
	if n.self.now().Founded {
		return nil
	}
	last, err := n.log.LastIndex()
	if err != nil {
		return fmt.Errorf("found cluster: %w", err)
	}
	if last == 0 {
		if err := found(n.log, *n.self.now(), address); err != nil {
			return err
		}
	}
	return n.self.change(func(id *identity) { id.Founded = true })
}
