package cluster

// This file holds who a node is: node.json beside its data.

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"

	"stampede/broker"
)

const (
	identityName    = "node.json"
	identityVersion = 1
	identityMode    = 0o600
	// identityBytesMax bounds what is read of node.json: a larger file is not ours.
	identityBytesMax = 64 << 10
)

// Faults of a data directory, found when it is opened.
var (
	// ErrIdentity says that node.json cannot be read or is of a later version.
	ErrIdentity = errors.New("node identity is unreadable")
	// ErrLogLost says that the log of a node that had one is gone: it may not vote nor acknowledge with an empty log under its old id.
	ErrLogLost = errors.New("log of a founded node is missing")
)

// identity is the content of node.json. An empty disk is a new node: an id is never used with another disk's data.
type identity struct {
	Version     int       `json:"version"`
	Node        string    `json:"node"`        // ULID of the node
	Cluster     string    `json:"cluster"`     // ULID of the cluster; "" while the node knows none
	Incarnation uint64    `json:"incarnation"` // how often the node was opened to run
	Founded     bool      `json:"founded"`     // log or votes were begun: from now on they may not be missing
	Created     time.Time `json:"created"`
	Pledge      *pledge   `json:"promise,omitempty"` // given while the cluster was founded

	node, cluster broker.NodeID
}

// readIdentity reads node.json; an error that is fs.ErrNotExist means a new node.
func readIdentity(disk Disk) (identity, error) {
	var id identity
	text, err := disk.Identity()
	if err != nil {
		return id, err
	}
	if err := json.Unmarshal(text, &id); err != nil {
		return id, fmt.Errorf("%w: %s: %w", ErrIdentity, identityName, err)
	}
	if id.Version != identityVersion {
		return id, fmt.Errorf("%w: %s has version %d, this program knows %d", ErrIdentity, identityName, id.Version, identityVersion)
	}
	if id.node, err = broker.ParseNodeID(id.Node); err != nil {
		return id, fmt.Errorf("%w: %s: node: %w", ErrIdentity, identityName, err)
	}
	if id.Cluster == "" && !id.Founded {
		return id, nil
	}
	if id.cluster, err = broker.ParseNodeID(id.Cluster); err != nil {
		return id, fmt.Errorf("%w: %s: cluster: %w", ErrIdentity, identityName, err)
	}
	return id, nil
}

// newIdentity makes the identity of an empty data directory.
func newIdentity(now time.Time) (identity, error) {
	id := identity{Version: identityVersion, Created: now.UTC()}
	var err error
	if id.node, err = newID(now); err != nil {
		return id, fmt.Errorf("make node identity: %w", err)
	}
	id.Node = id.node.String()
	return id, nil
}

// mintCluster names a new cluster.
func (id *identity) mintCluster(now time.Time) (err error) {
	if id.cluster, err = newID(now); err != nil {
		return fmt.Errorf("make cluster identity: %w", err)
	}
	id.Cluster = id.cluster.String()
	return nil
}

func newID(now time.Time) (broker.NodeID, error) {
	made, err := ulid.New(ulid.Timestamp(now), rand.Reader)
	return broker.NodeID(made), err
}

// save writes node.json.
func (id identity) save(disk Disk) error {
	text, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return fmt.Errorf("write node identity: %w", err)
	}
	return disk.SaveIdentity(append(text, '\n'))
}

// identities holds what a node is known as, which changes while it runs: it learns its cluster, and begins incarnations. What now returns
// is never changed; a change is on disk before anybody sees it.
type identities struct {
	disk Disk
	mu   sync.Mutex // one change at a time
	held atomic.Pointer[identity]
}

// open saves the identity that the node has opened with.
func (i *identities) open(id identity, disk Disk) error {
	i.disk = disk
	if err := id.save(disk); err != nil {
		return err
	}
	i.held.Store(&id)
	return nil
}

func (i *identities) now() *identity { return i.held.Load() }

// errUnchanged is said by an edit that finds everything as it should be: nothing is saved.
var errUnchanged = errors.New("identity is as it should be")

// change saves a changed identity, and shows it then. An edit that fails changes nothing. It waits for the disk.
func (i *identities) change(edit func(*identity) error) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	id := *i.now()
	if err := edit(&id); err != nil {
		if errors.Is(err, errUnchanged) {
			return nil
		}
		return err
	}
	if err := id.save(i.disk); err != nil {
		return err
	}
	i.held.Store(&id)
	return nil
}
