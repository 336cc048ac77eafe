package cluster

// This file holds Raft's view of the store: its position looks like a snapshot, so that a start replays only what follows.

import (
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"

	"stampede/storage"
)

// errNoSnapshots says that state does not travel as a snapshot: a follower catches up from the log, which is kept whole.
var errNoSnapshots = errors.New("state is not sent as a snapshot")

// positionSnapshots is a raft.SnapshotStore without files: List names the place that the store has reached.
type positionSnapshots struct{ position func() storage.Position }

var _ raft.SnapshotStore = positionSnapshots{}

// List names the one place there is, none for an empty store.
func (s positionSnapshots) List() ([]*raft.SnapshotMeta, error) {
	pos := s.position()
	if pos.Index == 0 {
		return nil, nil
	}
	return []*raft.SnapshotMeta{{
		Version:            1,
		ID:                 fmt.Sprintf("%d-%d", pos.Term, pos.Index),
		Index:              pos.Index,
		Term:               pos.Term,
		Configuration:      raft.DecodeConfiguration(pos.Config),
		ConfigurationIndex: pos.ConfigIndex,
	}}, nil
}

// Open sends none.
func (positionSnapshots) Open(string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	return nil, nil, errNoSnapshots
}

// Create takes none.
func (positionSnapshots) Create(raft.SnapshotVersion, uint64, uint64, raft.Configuration, uint64, raft.Transport) (raft.SnapshotSink, error) {
	return nil, errNoSnapshots
}
