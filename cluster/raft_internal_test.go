package cluster

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"stampede/storage"
)

// heldLog is a log in memory whose appends wait.
type heldLog struct {
	*raft.InmemStore
	held chan struct{} // closed when they may go on
}

func (l *heldLog) StoreLogs(logs []*raft.Log) error {
	if logs[0].Type == raft.LogCommand {
		<-l.held
	}
	return l.InmemStore.StoreLogs(logs)
}

func (l *heldLog) IsMonotonic() bool             { return true }
func (l *heldLog) Covers(storage.Position) error { return nil }
func (l *heldLog) Stats() storage.LogStats       { return storage.LogStats{} }
func (l *heldLog) Close() error                  { return nil }

func TestEveryCallIsAnsweredWhenRaftEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &heldLog{InmemStore: raft.NewInmemStore(), held: make(chan struct{})}
		if err := found(log, []founder{{"one", "one"}}); err != nil {
			t.Fatal(err)
		}
		_, alone := raft.NewInmemTransport("one")
		config := raftConfig(DefaultConfig(), identity{Node: "one"})
		config.Logger = hclog.NewNullLogger()
		r, err := startRaft(raftParts{
			config: config, log: log, snapshots: raft.NewInmemSnapshotStore(), transport: newSafeTransport(alone), apply: func([]entry) {},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.campaign(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		answers := make(chan error)
		await := func(call outcome) { answers <- call.Error() }
		for i := range 3 {
			go await(r.propose([]byte{byte(i)}))
			synctest.Wait() // the first is being appended, the others wait in Raft's queue
		}
		go await(r.transfer())
		stopped := make(chan error)
		go func() { stopped <- r.stop() }()
		synctest.Wait()
		close(log.held)
		for range 4 {
			select {
			case <-answers:
			case <-time.After(time.Minute):
				t.Fatal("a call has no answer")
			}
		}
		if err := <-stopped; err != nil {
			t.Errorf("stop = %v", err)
		}
		if err := r.propose([]byte("late")).Error(); err == nil {
			t.Error("a proposal after the end has no error")
		}
	})
}
