package cluster

// This file holds who a node is: node.json beside its data.

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	Cluster     string    `json:"cluster"`     // ULID of the cluster
	Incarnation uint64    `json:"incarnation"` // how often the node was opened to run
	Founded     bool      `json:"founded"`     // the log was begun: from now on it may not be empty
	Created     time.Time `json:"created"`

	node, cluster broker.NodeID
}

// readIdentity reads node.json; an error that is fs.ErrNotExist means a new node.
func readIdentity(dir string) (identity, error) {
	var id identity
	path := filepath.Join(dir, identityName)
	info, err := os.Stat(path)
	if err != nil {
		return id, fmt.Errorf("read node identity: %w", err)
	}
	if info.Size() > identityBytesMax {
		return id, fmt.Errorf("%w: %s has %d bytes", ErrIdentity, path, info.Size())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return id, fmt.Errorf("read node identity: %w", err)
	}
	if err := json.Unmarshal(text, &id); err != nil {
		return id, fmt.Errorf("%w: %s: %w", ErrIdentity, path, err)
	}
	if id.Version != identityVersion {
		return id, fmt.Errorf("%w: %s has version %d, this program knows %d", ErrIdentity, path, id.Version, identityVersion)
	}
	if id.node, err = broker.ParseNodeID(id.Node); err != nil {
		return id, fmt.Errorf("%w: %s: node: %w", ErrIdentity, path, err)
	}
	if id.cluster, err = broker.ParseNodeID(id.Cluster); err != nil {
		return id, fmt.Errorf("%w: %s: cluster: %w", ErrIdentity, path, err)
	}
	return id, nil
}

// newIdentity makes the identity of an empty data directory.
func newIdentity(now time.Time) (identity, error) {
	id := identity{Version: identityVersion, Created: now.UTC()}
	for _, ours := range []*broker.NodeID{&id.node, &id.cluster} {
		made, err := ulid.New(ulid.Timestamp(now), rand.Reader)
		if err != nil {
			return id, fmt.Errorf("make node identity: %w", err)
		}
		*ours = broker.NodeID(made)
	}
	id.Node, id.Cluster = id.node.String(), id.cluster.String()
	return id, nil
}

// save writes node.json so that it is old or new after a crash, never torn: temp, sync, rename, sync folder.
func (id identity) save(dir string) error {
	text, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return fmt.Errorf("write node identity: %w", err)
	}
	path := filepath.Join(dir, identityName)
	if err := writeSynced(path+".tmp", append(text, '\n')); err != nil {
		return fmt.Errorf("write node identity: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("write node identity: %w", err)
	}
	if err := syncDir(dir); err != nil {
		return fmt.Errorf("write node identity: %w", err)
	}
	return nil
}

func writeSynced(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, identityMode)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		return errors.Join(err, d.Close())
	}
	return d.Close()
}
