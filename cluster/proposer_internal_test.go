package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stampede/broker"
)

// handLog takes what is proposed and commits it when the test says so.
type handLog struct {
	*proposer
	mu      sync.Mutex
	entries [][]byte
	fates   []chan error
	at      broker.Instant
}

type handOutcome chan error

func (o handOutcome) Error() error { return <-o }

func newHandLog(change func(*Config)) *handLog {
	cfg := DefaultConfig()
	cfg.BatchDelayMax = time.Millisecond
	if change != nil {
		change(&cfg)
	}
	start := time.Now()
	l := &handLog{proposer: newProposer(cfg, identity{node: nodeID(1), Incarnation: 1})}
	l.proposer.uptime = func() time.Duration { return time.Since(start) }
	l.proposer.mayPropose = func() bool { return true }
	return l
}

// carry implements route.
func (l *handLog) carry(entry []byte) outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at++
	putEntryHeader(entry, l.at)
	l.entries = append(l.entries, append([]byte(nil), entry...))
	fate := make(handOutcome, 1)
	l.fates = append(l.fates, fate)
	return fate
}

func (l *handLog) lead() { l.connect(l) }

// put submits one fact of a few bytes, or of size bytes.
func (l *handLog) put(t *testing.T, n, size int) {
	t.Helper()
	facts := make([]byte, max(size, 8))
	binary.BigEndian.PutUint64(facts, uint64(n))
	if err := l.submit(context.Background(), 1, facts, []Ticket{{Tag: fmt.Sprint(n)}}); err != nil {
		t.Fatalf("submit %d: %v", n, err)
	}
}

// proposals are the first number and count of each entry proposed so far.
func (l *handLog) proposals(t *testing.T) (got []string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, entry := range l.entries {
		_, rest, err := decodeEntryHeader(entry)
		if err != nil {
			t.Fatal(err)
		}
		e, _, err := decodeEnvelope(rest)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%d+%d", e.firstN, e.count))
	}
	return got
}

// commit commits and folds the oldest batch.
func (l *handLog) commit() {
	b := l.awaited()
	l.sawCommitted(b.firstN)
	l.folded(b)
}

func wantProposals(t *testing.T, l *handLog, want ...string) {
	t.Helper()
	if got := l.proposals(t); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("proposals = %v, want %v", got, want)
	}
}

func TestProposer(t *testing.T) {
	t.Run("proposes at once when nothing is on its way", func(t *testing.T) {
		l := newHandLog(nil)
		l.lead()
		l.put(t, 1, 0)
		wantProposals(t, l, "1+1")
	})

	t.Run("gathers while an entry is on its way, until it is committed", func(t *testing.T) {
		l := newHandLog(nil)
		l.lead()
		for n := range 5 {
			l.put(t, n, 0)
		}
		wantProposals(t, l, "1+1")
		l.commit()
		wantProposals(t, l, "1+1", "2+4")
	})

	t.Run("proposes a full batch beside the one on its way, up to the limit", func(t *testing.T) {
		l := newHandLog(func(c *Config) { c.BatchBytesMax = 100; c.EntriesInFlightMax = 3 })
		l.lead()
		for n := range 9 {
			l.put(t, n, 60)
		}
		wantProposals(t, l, "1+1", "2+1", "3+1")
		l.commit()
		wantProposals(t, l, "1+1", "2+1", "3+1", "4+1")
	})

	t.Run("waits no longer than the delay behind a slow entry", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newHandLog(nil)
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error)
			go func() { done <- l.runDelays(ctx) }()
			l.lead()
			l.put(t, 1, 0)
			time.Sleep(10 * time.Millisecond) // the disk is slow
			l.put(t, 2, 0)
			l.put(t, 3, 0)
			time.Sleep(999 * time.Microsecond)
			wantProposals(t, l, "1+1")
			time.Sleep(2 * time.Microsecond)
			synctest.Wait()
			wantProposals(t, l, "1+1", "2+2")
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	})

	t.Run("proposes nothing before it leads, and everything unanswered again when it leads anew", func(t *testing.T) {
		l := newHandLog(nil)
		l.put(t, 1, 0)
		wantProposals(t, l)
		l.lead()
		l.put(t, 2, 0)
		l.sawCommitted(1)
		wantProposals(t, l, "1+1", "2+1")
		l.disconnect()
		l.put(t, 3, 0)
		wantProposals(t, l, "1+1", "2+1")
		l.lead()
		// The first is committed and needs no repeat; the third goes when the second is committed.
		wantProposals(t, l, "1+1", "2+1", "2+1")
		l.folded(l.awaited())
		l.commit()
		wantProposals(t, l, "1+1", "2+1", "2+1", "3+1")
	})

	t.Run("stamps a repeat anew and leaves the first proposal's bytes alone", func(t *testing.T) {
		l := newHandLog(nil)
		l.lead()
		l.put(t, 1, 0)
		first := l.awaited().entry
		stampBefore, _, _ := decodeEntryHeader(first)
		l.resend()
		stampAfter, _, _ := decodeEntryHeader(first)
		again, _, _ := decodeEntryHeader(l.entries[1])
		if stampBefore.at != stampAfter.at || again.at <= stampBefore.at {
			t.Errorf("stamps = %d, then %d in the same bytes, %d in the repeat", stampBefore.at, stampAfter.at, again.at)
		}
	})

	t.Run("keeps no more memory than an entry needs", func(t *testing.T) {
		l := newHandLog(nil)
		l.lead()
		l.put(t, 1, 100)
		l.put(t, 2, 100) // gathers, in a buffer for many
		l.commit()
		for _, b := range l.unfolded {
			if unused := cap(b.entry) - len(b.entry); unused > len(b.entry)/4+entrySlackMax {
				t.Errorf("entry of %d bytes has %d unused", len(b.entry), unused)
			}
		}
		if got := len(l.proposals(t)); got != 2 {
			t.Errorf("proposals = %d, want 2", got)
		}
	})

	t.Run("asks once what became of a proposal that takes long", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newHandLog(nil)
			l.lead()
			l.put(t, 1, 0)
			if l.oldest() != nil {
				t.Error("a fresh proposal is asked about")
			}
			time.Sleep(proposalOldTime)
			if l.oldest() == nil || l.oldest() != nil {
				t.Error("an old proposal is not asked about exactly once")
			}
		})
	})

	t.Run("holds back while the store is behind", func(t *testing.T) {
		l := newHandLog(nil)
		full := true
		l.mayPropose = func() bool { return !full }
		l.lead()
		l.put(t, 1, 0)
		wantProposals(t, l)
		full = false
		<-l.delay.C
		l.proposer.mu.Lock()
		l.proposeLocked(true)
		l.proposer.mu.Unlock()
		wantProposals(t, l, "1+1")
	})
}

func TestProposerBackPressure(t *testing.T) {
	small := func(c *Config) { c.PendingBytesMax = 100 }

	t.Run("blocks a submission until there is room", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newHandLog(small)
			l.lead()
			l.put(t, 1, 80)
			taken := make(chan struct{})
			go func() { l.put(t, 2, 80); close(taken) }()
			synctest.Wait()
			select {
			case <-taken:
				t.Error("submission above the limit was taken")
			default:
			}
			l.commit()
			<-taken
		})
	})

	t.Run("takes one that is larger than the limit alone", func(t *testing.T) {
		l := newHandLog(small)
		l.lead()
		l.put(t, 1, 500)
		l.commit()
		l.put(t, 2, 500)
		wantProposals(t, l, "1+1", "2+1")
	})

	t.Run("ends the wait with the context, and with the node", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newHandLog(small)
			l.lead()
			l.put(t, 1, 100)
			ctx, cancel := context.WithCancel(context.Background())
			results := make(chan error, 3)
			wait := func(ctx context.Context) { results <- l.submit(ctx, 1, make([]byte, 50), make([]Ticket, 1)) }
			go wait(ctx)
			synctest.Wait()
			cancel()
			if err := <-results; !errors.Is(err, context.Canceled) {
				t.Errorf("submit = %v, want %v", err, context.Canceled)
			}
			for range 3 {
				go wait(context.Background())
			}
			synctest.Wait()
			l.stop()
			for range 3 {
				if err := <-results; !errors.Is(err, ErrStopped) {
					t.Errorf("submit = %v, want %v", err, ErrStopped)
				}
			}
		})
	})

	t.Run("refuses what no entry can hold", func(t *testing.T) {
		l := newHandLog(nil)
		err := l.submit(context.Background(), 1, make([]byte, entryBytesMax), make([]Ticket, 1))
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("submit = %v, want %v", err, ErrTooLarge)
		}
	})

	t.Run("drains: takes nothing more and answers what it has", func(t *testing.T) {
		l := newHandLog(nil)
		l.lead()
		l.put(t, 1, 0)
		l.put(t, 2, 0)
		drained := l.drain()
		if err := l.submit(context.Background(), 1, make([]byte, 8), make([]Ticket, 1)); !errors.Is(err, ErrStopped) {
			t.Errorf("submit = %v, want %v", err, ErrStopped)
		}
		wantProposals(t, l, "1+1", "2+1")
		l.commit()
		select {
		case <-drained:
			t.Error("drained with one batch unanswered")
		default:
		}
		l.commit()
		<-drained
	})
}

func TestSubmitAllocatesNothingPerCommand(t *testing.T) {
	l := newHandLog(func(c *Config) { c.BatchBytesMax = entryBytesMax })
	l.sizeHint = 1 << 20
	l.lead()
	l.put(t, 0, 0) // on its way: what follows gathers
	facts, tickets := make([]byte, 128), []Ticket{{Owner: l, Tag: "receipt-1"}}
	for range 3000 { // the list of tickets has grown
		l.put(t, 1, 128)
	}
	allocs := testing.AllocsPerRun(1000, func() {
		if err := l.submit(context.Background(), 1, facts, tickets); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 0 {
		t.Errorf("allocations per submission = %v, want 0", allocs)
	}
}
