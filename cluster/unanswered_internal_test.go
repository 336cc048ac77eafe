package cluster

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"stampede/broker"
)

// putFact submits one real fact, which the waiting can be ended of.
func (l *handLog) putFact(t *testing.T, n int, lasting bool) {
	t.Helper()
	facts := broker.AppendFact(nil, broker.SessionClosed{Session: uint64(n)})
	if err := l.submit(context.Background(), 1, facts, []Ticket{{Tag: fmt.Sprint(n), Lasting: lasting}}); err != nil {
		t.Fatalf("submit %d: %v", n, err)
	}
}

// words are what the waiting ended with, as tag and "lost" or "doubt".
func words(given []unanswered) (got []string) {
	for _, u := range given {
		word := "lost"
		if u.inDoubt {
			word = "doubt"
		}
		got = append(got, u.ticket.Tag+" "+word)
	}
	return got
}

func wantWords(t *testing.T, given []unanswered, want ...string) {
	t.Helper()
	if got := words(given); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("unanswered = %v, want %v", got, want)
	}
}

func TestWaitingEnds(t *testing.T) {
	t.Run("with no quorum for what no leader has had, which is never proposed then", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newHandLog(nil)
			l.putFact(t, 1, false)
			l.putFact(t, 2, true)
			l.putFact(t, 3, false)
			time.Sleep(answerWait - time.Millisecond)
			wantWords(t, l.giveUp())
			time.Sleep(2 * time.Millisecond)
			l.putFact(t, 4, false) // younger, in a batch of its own
			wantWords(t, l.giveUp(), "1 lost", "2 doubt", "3 lost")
			l.lead()
			wantProposals(t, l, "1+1")
			if b := l.awaited(); !b.silent {
				t.Error("the lasting fact has somebody waiting still")
			}
			l.commit()
			wantProposals(t, l, "1+1", "2+1")
			if b := l.awaited(); b.tickets[0].Tag != "4" {
				t.Errorf("second batch answers %q, want 4", b.tickets[0].Tag)
			}
		})
	})

	t.Run("in doubt for what a leader may have had, which is carried again with its number", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newHandLog(nil)
			l.lead()
			l.putFact(t, 1, false)
			l.disconnect()
			l.putFact(t, 2, false)
			time.Sleep(answerWait + time.Millisecond)
			wantWords(t, l.giveUp(), "1 doubt", "2 lost")
			wantWords(t, l.giveUp())
			l.putFact(t, 3, false)
			l.lead()
			l.commit()
			wantProposals(t, l, "1+1", "1+1", "2+1")
			if b := l.awaited(); b.tickets[0].Tag != "3" {
				t.Errorf("second batch answers %q, want 3", b.tickets[0].Tag)
			}
		})
	})

	t.Run("not at all for what is known to be in the log", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newHandLog(nil)
			l.lead()
			l.putFact(t, 1, false)
			l.sawCommitted(1)
			time.Sleep(2 * answerWait)
			wantWords(t, l.giveUp())
		})
	})

	t.Run("at once when too much waits for a leader, but for lasting facts", func(t *testing.T) {
		l := newHandLog(func(c *Config) { c.PendingBytesMax = 10 })
		l.put(t, 1, 10)
		if err := l.submit(context.Background(), 1, make([]byte, 8), make([]Ticket, 1)); !errors.Is(err, ErrNoQuorum) {
			t.Errorf("submit = %v, want %v", err, ErrNoQuorum)
		}
		if err := l.submit(context.Background(), 1, make([]byte, 8), []Ticket{{Lasting: true}}); err != nil {
			t.Errorf("submit of a lasting fact = %v, want nil", err)
		}
	})

	t.Run("with no quorum too for what had no room when the leader was lost", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newHandLog(func(c *Config) { c.PendingBytesMax = 10 })
			l.lead()
			l.put(t, 1, 10) // a leader may have had it: its room stays taken
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			result := make(chan error, 1)
			go func() { result <- l.submit(ctx, 1, make([]byte, 8), make([]Ticket, 1)) }()
			synctest.Wait()
			l.disconnect()
			time.Sleep(answerWait + time.Second)
			synctest.Wait()
			select {
			case err := <-result:
				if !errors.Is(err, ErrNoQuorum) {
					t.Errorf("submit = %v, want %v", err, ErrNoQuorum)
				}
			default:
				t.Error("submit waits still: its sender is told nothing as long as there is no leader")
			}
		})
	})

	t.Run("and gives its room back", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			size := int64(len(broker.AppendFact(nil, broker.SessionClosed{Session: 1})))
			l := newHandLog(func(c *Config) { c.PendingBytesMax = size })
			l.putFact(t, 1, false)
			time.Sleep(answerWait + time.Millisecond)
			wantWords(t, l.giveUp(), "1 lost")
			l.putFact(t, 2, false)
		})
	})
}

func TestEvictionLetsEverythingGo(t *testing.T) {
	l := newHandLog(nil)
	l.lead()
	l.putFact(t, 1, false)
	l.putFact(t, 2, false)
	wantWords(t, l.evict(), "1 doubt", "2 doubt")
	if err := l.submit(context.Background(), 1, make([]byte, 8), make([]Ticket, 1)); !errors.Is(err, ErrEvicted) {
		t.Errorf("submit = %v, want %v", err, ErrEvicted)
	}
	l.begin(2, []byte("first"))
	if err := l.submit(context.Background(), 1, make([]byte, 8), make([]Ticket, 1)); !errors.Is(err, ErrEvicted) {
		t.Errorf("submit for the ended incarnation = %v, want %v", err, ErrEvicted)
	}
	wantProposals(t, l, "1+1", "1+1")
	if b := l.awaited(); !b.silent || string(b.entry[entryHeadBytes:]) != "first" {
		t.Errorf("first batch of the new incarnation = %q, want the announcement", b.entry[entryHeadBytes:])
	}
}

// A proposal that was lost, and one behind it that was not: the second came too early, and both are carried again.
func TestGapInTheLogIsCarriedAgain(t *testing.T) {
	l := newHandLog(func(c *Config) { c.BatchBytesMax = 10 })
	l.lead()
	for n := range 3 {
		l.put(t, n, 10) // the last one gathers
	}
	wantProposals(t, l, "1+1", "2+1")
	l.sawCommitted(2) // the first was refused by Raft
	l.resend()
	wantProposals(t, l, "1+1", "2+1", "1+1", "2+1")
}
