package cluster

// This file holds the start of a node's consensus: its port, the founding of a new cluster, Raft.

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// startConsensus founds the cluster on an empty log and starts Raft.
func (n *Node) startConsensus() (replicator, error) {
	transport, err := n.listen()
	if err != nil {
		return nil, err
	}
	if err := n.foundOnce(transport.LocalAddr()); err != nil {
		return nil, errors.Join(err, transport.Close())
	}
	config := raftConfig(n.cfg, n.id)
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
func (n *Node) listen() (*safeTransport, error) {
	if n.cfg.Addr == "" {
		_, alone := raft.NewInmemTransport(raft.ServerAddress(n.id.Node))
		return newSafeTransport(alone), nil
	}
	port, err := listenPeers(n.cfg.Addr, n.cfg.Advertise, member{cluster: n.id.cluster, node: n.id.node}, n.logger)
	if err != nil {
		return nil, err
	}
	return newSafeTransport(raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: port, MaxPool: raftConnsMax, MaxRPCsInFlight: 1, Timeout: raftRPCTimeout, Logger: newRaftLogger(n.logger),
	})), nil
}

// foundOnce begins the log of a new cluster, and remembers that there is one.
func (n *Node) foundOnce(address raft.ServerAddress) error {
	if n.id.Founded {
		return nil
	}
	last, err := n.log.LastIndex()
	if err != nil {
		return fmt.Errorf("found cluster: %w", err)
	}
	if last == 0 {
		if err := found(n.log, n.id, address); err != nil {
			return err
		}
	}
	n.id.Founded = true
	return n.id.save(n.cfg.DataDir)
}
