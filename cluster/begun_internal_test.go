package cluster

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// Before the first write to log or votes is answered, the identity says that there was one, on disk.
func TestBegunLog(t *testing.T) {
	entry := &raft.Log{Index: 1, Term: 1, Type: raft.LogNoop}
	for _, c := range []struct {
		name  string
		want  bool
		write func(LogStore) error
	}{
		{"an entry", true, func(l LogStore) error { return l.StoreLog(entry) }},
		{"entries", true, func(l LogStore) error { return l.StoreLogs([]*raft.Log{entry}) }},
		{"a term", true, func(l LogStore) error { return l.SetUint64([]byte(raftTermKey), 2) }},
		{"a vote", true, func(l LogStore) error { return l.Set([]byte("LastVoteCand"), []byte("x")) }},
		{"no term yet", false, func(l LogStore) error { return l.SetUint64([]byte(raftTermKey), 0) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := openListening(t, seedConfigs(t, 3, 3)[0])
			if err := n.self.change(func(id *identity) error { return id.mintCluster(n.start) }); err != nil {
				t.Fatal(err)
			}
			onDisk := func(want bool) {
				t.Helper()
				if id, err := readIdentity(n.disk); err != nil || id.Founded != want {
					t.Errorf("founded on disk = %v, %v, want %v", id.Founded, err, want)
				}
			}
			onDisk(false)
			if err := c.write(begunLog{n.log, n}); err != nil {
				t.Fatal(err)
			}
			onDisk(c.want)
		})
	}
}

func TestLogOfAFounderMayNotBeMissing(t *testing.T) {
	begun := func(t *testing.T, founded bool) Config {
		t.Helper()
		cfg := seedConfigs(t, 3, 3)[0]
		n, err := Open(cfg, discard())
		if err != nil {
			t.Fatal(err)
		}
		err = n.self.change(func(id *identity) error { id.Founded = founded; return id.mintCluster(n.start) })
		if err := errors.Join(err, n.log.SetUint64([]byte(raftTermKey), 2), n.Close()); err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	open := func(t *testing.T, cfg Config) error {
		t.Helper()
		n, err := Open(cfg, discard())
		if err == nil {
			err = n.Close()
		}
		return err
	}
	t.Run("once it was begun", func(t *testing.T) {
		cfg := begun(t, true)
		if err := os.RemoveAll(filepath.Join(cfg.DataDir, logDir)); err != nil {
			t.Fatal(err)
		}
		if err := open(t, cfg); !errors.Is(err, ErrLogLost) {
			t.Errorf("open without the log = %v, want %v", err, ErrLogLost)
		}
	})
	t.Run("but it may be empty when the node has only voted", func(t *testing.T) {
		if err := open(t, begun(t, true)); err != nil {
			t.Errorf("open = %v, want nil", err)
		}
	})
	t.Run("nor is one missed that a crash kept from being begun", func(t *testing.T) {
		cfg := begun(t, false)
		if err := os.RemoveAll(filepath.Join(cfg.DataDir, logDir)); err != nil {
			t.Fatal(err)
		}
		if err := open(t, cfg); err != nil {
			t.Errorf("open = %v, want nil", err)
		}
	})
	t.Run("nor of a member that has run and was not reached by its leader", func(t *testing.T) {
		cfg := begun(t, false)
		if err := os.RemoveAll(filepath.Join(cfg.DataDir, logDir)); err != nil {
			t.Fatal(err)
		}
		n := startNode(t, cfg)
		for n.Status().Role != "follower" {
			<-time.After(time.Millisecond)
		}
		n.stop(t)
		if err := open(t, cfg); err != nil {
			t.Errorf("open = %v, want nil", err)
		}
	})
	t.Run("and is noted by the next start when a crash came before the note", func(t *testing.T) {
		cfg := threeConfigs(t, 0)[0]
		cfg.Seeds, cfg.Expect = []string{cfg.Addr}, 1
		n := openListening(t, cfg)
		if err := n.self.change(func(id *identity) error { id.Founded = false; return nil }); err != nil {
			t.Fatal(err)
		}
		if err := n.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !n.self.now().Founded {
			t.Error("a log with entries is not noted as begun")
		}
	})
}

// A founder whose state was received as a whole has an empty log for a while: it must not write the first entry again.
func TestFounderDoesNotBeginTwice(t *testing.T) {
	n := openListening(t, seedConfigs(t, 3, 3)[0])
	err := n.self.change(func(id *identity) error {
		id.Pledge, id.Founded = &pledge{Candidate: id.Node, Founders: foundersOf(n)}, true
		return id.mintCluster(n.start)
	})
	if err := errors.Join(err, n.log.SetUint64([]byte(raftTermKey), 3)); err != nil {
		t.Fatal(err)
	}
	if err := n.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if last, err := n.log.LastIndex(); last != 0 || err != nil {
		t.Errorf("last index = %d, %v, want no first entry beside the state that was received", last, err)
	}
}

// A node that has begun to look for its cluster does not found one of its own when it is given no seeds any more: its old one may name it.
func TestNodeThatLooksForOthersDoesNotBeginAlone(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*identity) error
		want error
	}{
		{"after a promise", func(id *identity) error { return id.give(pledge{Candidate: nodeID(9).String()}) }, errNoSeeds},
		{"after it has learned its cluster", func(id *identity) error { return id.mintCluster(id.Created) }, errNoSeeds},
		{"but does before", func(*identity) error { return nil }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := dirConfig(t)
			cfg.Addr = ""
			n, err := Open(cfg, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			if err := n.self.change(c.edit); err != nil {
				t.Fatal(err)
			}
			if err := n.begin(t.Context()); !errors.Is(err, c.want) {
				t.Errorf("begin = %v, want %v", err, c.want)
			}
			if err := n.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
