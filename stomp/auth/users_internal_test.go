package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slowHash takes a second a check and counts: how many there were, and how many at the most at once.
type slowHash struct {
	passcode string

	lock                  sync.Mutex // guards all below
	total, running, worst int
}

func (h *slowHash) matches(passcode []byte) bool {
	h.lock.Lock()
	h.total++
	h.running++
	h.worst = max(h.worst, h.running)
	h.lock.Unlock()
	time.Sleep(time.Second)
	h.lock.Lock()
	h.running--
	h.lock.Unlock()
	return string(passcode) == h.passcode
}

func usersOf(slots int, list ...*user) *Users {
	u := &Users{path: "users", logger: slog.New(slog.DiscardHandler), slots: make(chan struct{}, slots)}
	r := &roster{users: map[string]*user{}, checks: newChecks()}
	for _, one := range list {
		r.users[one.name] = one
		if one.hash != nil {
			r.decoys = append(r.decoys, one.hash)
		}
	}
	u.roster.Store(r)
	return u
}

func TestChecks(t *testing.T) {
	t.Run("run_two_at_a_time_with_two_slots", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			hash := &slowHash{passcode: "right"}
			users := usersOf(2, &user{name: "alice", hash: hash})
			var group sync.WaitGroup
			for i := range 10 {
				group.Go(func() {
					_, err := users.Authenticate(t.Context(), Request{Login: "alice", Passcode: fmt.Sprint("wrong-", i)})
					if !errors.Is(err, ErrDenied) {
						t.Errorf("wrong passcode: got %v, want ErrDenied", err)
					}
				})
			}
			group.Wait()
			if hash.worst != 2 || hash.total != 10 {
				t.Errorf("hashes: %d at once and %d in all, want 2 and 10", hash.worst, hash.total)
			}
		})
	})
	t.Run("of_a_reconnect_storm_cost_no_more_than_the_slots", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			hash := &slowHash{passcode: "right"}
			users := usersOf(2, &user{name: "orders", hash: hash, service: true})
			var group sync.WaitGroup
			for range 500 {
				group.Go(func() {
					if _, err := users.Authenticate(t.Context(), Request{Login: "orders", Passcode: "right"}); err != nil {
						t.Errorf("right passcode: %v", err)
					}
				})
			}
			group.Wait()
			if hash.total != 2 {
				t.Errorf("hashes computed = %d, want 2", hash.total)
			}
		})
	})
	t.Run("are_forgotten_after_a_minute", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			hash := &slowHash{passcode: "right"}
			users := usersOf(1, &user{name: "alice", hash: hash})
			for _, step := range []struct {
				wait time.Duration
				want int
			}{{0, 1}, {checkKeptFor - time.Millisecond, 1}, {time.Millisecond, 2}} {
				time.Sleep(step.wait)
				if _, err := users.Authenticate(t.Context(), Request{Login: "alice", Passcode: "right"}); err != nil {
					t.Fatalf("right passcode: %v", err)
				}
				if hash.total != step.want {
					t.Errorf("after %v more: hashes computed = %d, want %d", step.wait, hash.total, step.want)
				}
			}
		})
	})
	t.Run("in_line_end_with_their_context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			users := usersOf(1, &user{name: "alice", hash: &slowHash{passcode: "right"}})
			users.slots <- struct{}{}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := users.Authenticate(ctx, Request{Login: "alice", Passcode: "right"})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the end of the context", err)
			}
		})
	})
	t.Run("of_unknown_and_certificate_users_cost_a_hash_too", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			hash := &slowHash{passcode: "right"}
			users := usersOf(1, &user{name: "alice", hash: hash}, &user{name: "relay"})
			for i, login := range []string{"alice", "mallory", "relay"} {
				start := time.Now()
				if _, err := users.Authenticate(t.Context(), Request{Login: login, Passcode: "guess"}); !errors.Is(err, ErrDenied) {
					t.Errorf("%s: got %v, want ErrDenied", login, err)
				}
				if took := time.Since(start); took != time.Second || hash.total != i+1 {
					t.Errorf("%s: took %v and %d hashes so far, want 1s and %d", login, took, hash.total, i+1)
				}
			}
			// The right passcode of the decoy's user opens nothing.
			if _, err := users.Authenticate(t.Context(), Request{Login: "mallory", Passcode: "right"}); !errors.Is(err, ErrDenied) {
				t.Errorf("unknown user with a known passcode: got %v, want ErrDenied", err)
			}
		})
	})
	t.Run("remembered_stay_within_their_cap", func(t *testing.T) {
		c := newChecks()
		now := time.Now()
		for i := range checksMax + 100 {
			c.remember(c.fingerprint("alice", fmt.Sprint(i)), now.Add(time.Duration(i)))
		}
		if len(c.kept) != checksMax {
			t.Errorf("remembered = %d, want %d", len(c.kept), checksMax)
		}
		if !c.remembers(c.fingerprint("alice", fmt.Sprint(checksMax+99)), now) || c.remembers(c.fingerprint("alice", "0"), now) {
			t.Error("the newest is forgotten or the oldest is not")
		}
	})
}

func TestDecoy(t *testing.T) {
	t.Run("without_passcode_users_is_a_hash_that_is_computed", func(t *testing.T) {
		if _, err := parseHash(decoyHash); err != nil {
			t.Errorf("decoy: %v", err)
		}
		r := usersOf(1, &user{name: "relay"}).roster.Load()
		if _, ok := r.decoy("mallory").(bcryptHash); !ok {
			t.Errorf("decoy = %T, want a bcrypt hash", r.decoy("mallory"))
		}
	})
	t.Run("is_the_same_for_the_same_name_and_spread_over_the_users", func(t *testing.T) {
		r := usersOf(1, &user{name: "a", hash: &slowHash{}}, &user{name: "b", hash: &slowHash{}}).roster.Load()
		seen := map[hash]bool{}
		for i := range 64 {
			name := fmt.Sprint("unknown-", i)
			seen[r.decoy(name)] = true
			if r.decoy(name) != r.decoy(name) {
				t.Fatalf("%s: two decoys", name)
			}
		}
		if len(seen) != 2 {
			t.Errorf("64 names drew %d of 2 hashes", len(seen))
		}
	})
}

func TestFingerprint(t *testing.T) {
	c, other := newChecks(), newChecks()
	if c.fingerprint("ab", "c") == c.fingerprint("a", "bc") {
		t.Error("login and passcode run together")
	}
	if c.fingerprint("a", "b") == other.fingerprint("a", "b") {
		t.Error("two rosters have one key")
	}
}
