package cluster

import (
	"context"
	"testing"
	"time"
)

// heldDisk is a directory on which node.json takes as long as the test says.
type heldDisk struct {
	*DirDisk
	saving chan struct{} // told when it is written; nil: it takes no time
	goOn   chan struct{}
}

func (d *heldDisk) SaveIdentity(text []byte) error {
	if d.saving != nil {
		d.saving <- struct{}{}
		<-d.goOn
	}
	return d.DirDisk.SaveIdentity(text)
}

// A state is taken over while the incarnation after a loss is being written to a slow disk: that one ends before it has begun.
func TestIncarnationThatEndsBeforeItHasBegun(t *testing.T) {
	dir, err := OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	disk := &heldDisk{DirDisk: dir}
	cfg := DefaultConfig()
	cfg.Disk, cfg.Addr = disk, ""
	n, err := Open(cfg, discard())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	before := n.Incarnation()
	disk.saving, disk.goOn = make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.runRebirth(ctx) }()
	evict := func() {
		n.fold.mu.Lock()
		defer n.fold.mu.Unlock()
		n.fold.evictLocked()
	}
	evict()
	<-disk.saving
	evict()
	disk.goOn <- struct{}{}
	<-disk.saving // of the second
	disk.goOn <- struct{}{}
	pace := time.Tick(time.Millisecond)
	for begin := time.Now(); ; <-pace {
		n.proposer.mu.Lock()
		begun := n.proposer.incarnation == before+2
		n.proposer.mu.Unlock()
		if begun {
			break
		}
		if time.Since(begin) > 10*time.Second {
			t.Fatal("no incarnation has begun")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, waiting := n.proposer.waiting(); waiting != 1 {
		t.Errorf("%d facts wait, want the announcement alone: those of two incarnations would go out under one, with the same numbers", waiting)
	}
}
