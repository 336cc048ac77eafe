package cluster_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stampede/broker"
	"stampede/cluster"
	"stampede/storage"
)

func TestReadLog(t *testing.T) {
	cfg := testConfig(t.TempDir())
	n := run(t, cfg)
	n.submit(t, "a", broker.SessionOpened{Session: 1, User: "ada"}, sent("/topic/x", "one"), broker.SessionClosed{Session: 9})
	outcomes := n.await(t, 3)
	id := n.ID()

	if err := cluster.ReadLog(cfg.DataDir, func(cluster.LogEntry) error { return nil }); !errors.As(err, new(*storage.LockedError)) {
		t.Errorf("read log of a running node = %v, want a LockedError", err)
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}

	var entries []cluster.LogEntry
	if err := cluster.ReadLog(cfg.DataDir, func(e cluster.LogEntry) error { entries = append(entries, e); return nil }); err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, e := range entries {
		if e.Fact == nil {
			kinds = append(kinds, "members")
			continue
		}
		kinds = append(kinds, broker.KindName(e.Fact))
	}
	if got, want := strings.Join(kinds, " "), "members NodeStarted SessionOpened MessageSent SessionClosed"; got != want {
		t.Fatalf("log = %s, want %s", got, want)
	}
	if m := entries[0].Members; len(m) != 1 || m[0].ID != id.String() || !m[0].Voter {
		t.Errorf("members = %+v, want the node alone", m)
	}
	for i, o := range outcomes {
		e := entries[2+i]
		if e.Seq != o.seq || e.Refusal != o.refusal || e.Origin != (broker.Origin{Node: id, Incarnation: 1, N: uint64(2 + i)}) {
			t.Errorf("entry %+v, want seq %d, refusal %v, number %d", e, o.seq, o.refusal, 2+i)
		}
	}

	stop := errors.New("enough")
	if err := cluster.ReadLog(cfg.DataDir, func(cluster.LogEntry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("read log = %v, want what the callback said", err)
	}
	if err := cluster.ReadLog(t.TempDir(), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read log of an empty directory = %v, want %v", err, fs.ErrNotExist)
	}
}

func TestVerify(t *testing.T) {
	make := func(t *testing.T) string {
		cfg := testConfig(t.TempDir())
		for range 2 {
			n := run(t, cfg)
			publish(t, n, 200)
			if err := n.stop(); err != nil {
				t.Fatal(err)
			}
		}
		return cfg.DataDir
	}

	t.Run("agrees with what a node left", func(t *testing.T) {
		dir := make(t)
		var last, total uint64
		report, err := cluster.Verify(context.Background(), dir, func(done, of uint64) { last, total = done, of })
		if err != nil || report.Err() != nil {
			t.Fatalf("verify = %+v, %v", report, err)
		}
		if report.Messages != 400 || report.Events != 402 || report.Seq != 402 || report.Digest != report.DigestOnDisk || report.Chain != report.ChainOnDisk {
			t.Errorf("report = %+v, want 400 messages in 402 events", report)
		}
		if last == 0 || last != total || total != report.Index {
			t.Errorf("progress ended at %d of %d, want %d", last, total, report.Index)
		}
	})

	t.Run("sees a state that is another log's", func(t *testing.T) {
		dir, other := make(t), make(t)
		if err := os.RemoveAll(filepath.Join(dir, "state")); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(filepath.Join(dir, "state"), os.DirFS(filepath.Join(other, "state"))); err != nil {
			t.Fatal(err)
		}
		report, err := cluster.Verify(context.Background(), dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		if report.Err() == nil || report.Chain == report.ChainOnDisk || report.Digest == report.DigestOnDisk {
			t.Errorf("report = %+v, want faults of chain and digest", report)
		}
	})

	t.Run("ends with its context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := cluster.Verify(ctx, make(t), nil); !errors.Is(err, context.Canceled) {
			t.Errorf("verify = %v, want %v", err, context.Canceled)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	prepare := func(t *testing.T) cluster.Config {
		cfg := testConfig(t.TempDir())
		n := run(t, cfg)
		publish(t, n, 20)
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	remove := func(t *testing.T, cfg cluster.Config, names ...string) {
		for _, name := range names {
			if err := os.RemoveAll(filepath.Join(cfg.DataDir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, cfg cluster.Config)
		want   error
	}{
		{"a founded node without its log", func(t *testing.T, cfg cluster.Config) { remove(t, cfg, "log", "state") }, cluster.ErrLogLost},
		{"a log that lacks what the state has", func(t *testing.T, cfg cluster.Config) { remove(t, cfg, "log") }, storage.ErrLogBehind},
		{"an identity that is torn", func(t *testing.T, cfg cluster.Config) {
			if err := os.WriteFile(filepath.Join(cfg.DataDir, "node.json"), []byte(`{"version":1,"node":"01`), 0o600); err != nil {
				t.Fatal(err)
			}
		}, cluster.ErrIdentity},
		{"an identity of a later version", func(t *testing.T, cfg cluster.Config) {
			if err := os.WriteFile(filepath.Join(cfg.DataDir, "node.json"), []byte(`{"version":2}`), 0o600); err != nil {
				t.Fatal(err)
			}
		}, cluster.ErrIdentity},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := prepare(t)
			c.damage(t, cfg)
			if _, err := cluster.Open(cfg, quiet()); !errors.Is(err, c.want) {
				t.Errorf("open = %v, want %v", err, c.want)
			}
			// A refused open gives the directory back.
			lock, err := storage.LockDir(cfg.DataDir)
			if err != nil {
				t.Fatalf("lock after a refused open: %v", err)
			}
			if err := lock.Release(); err != nil {
				t.Error(err)
			}
		})
	}

	t.Run("a configuration, with every fault of it", func(t *testing.T) {
		cfg := cluster.Config{Advertise: "node.example:7400"}
		err := cfg.Validate()
		for _, want := range []string{"data directory", "raft timeout", "batch", "in flight", "pending", "ring", "flush", "stall", "advertised"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("faults = %v, want one of %s", err, want)
			}
		}
	})

	t.Run("nothing of a state that is gone: it is folded anew", func(t *testing.T) {
		cfg := prepare(t)
		remove(t, cfg, "state")
		n := run(t, cfg)
		if got, want := bodies(scanAll(t, n, "/topic/odd", nil, 1, 100)), numbers(1, 20, 2); got != want {
			t.Errorf("odd = %s, want %s", got, want)
		}
	})
}
