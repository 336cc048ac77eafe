package main

// bench_reconnect.go: `stampede bench reconnect`: all sessions are dropped at once and come back.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	reconnectRoundsMax = 1000
	// retryPause is the mean pause before another attempt where the broker took no connection.
	retryPause = 50 * time.Millisecond
)

// ReconnectCmd measures a reconnect storm.
type ReconnectCmd struct {
	BenchFlags
	CrowdFlags `set:"parallel=256"`
	Rounds     int `default:"1" help:"Storms, one after the other."`
}

// Validate reports bad usage.
func (c *ReconnectCmd) Validate() error {
	return errors.Join(c.ClientFlags.Validate(), c.CrowdFlags.Validate(), within("--rounds", c.Rounds, 1, reconnectRoundsMax))
}

// Run opens, drops and reopens, and prints.
func (c *ReconnectCmd) Run(ctx context.Context) error {
	crowd := newCrowd(&c.BenchFlags, &c.CrowdFlags)
	shown := c.startProgress(crowd.progressLine)
	defer shown.end()
	s := &storm{crowd: crowd, sinceDrop: &histogram{}, own: &histogram{}}
	if err := s.run(ctx, c.Rounds); err != nil {
		return err
	}
	shown.end()
	r := crowd.result("reconnect")
	r.param("rounds", c.Rounds)
	r.metric(s.seconds/float64(c.Rounds), "s-to-all")
	r.metric(float64(c.Sessions*c.Rounds)/s.seconds, "sessions/s")
	r.latencies("since-drop-", s.sinceDrop)
	r.latencies("open-", s.own)
	r.metric(float64(s.retries), "retries")
	return r.print(&c.BenchFlags)
}

// storm is what the rounds have led to.
type storm struct {
	crowd     *crowd
	sinceDrop *histogram // from the drop of all sessions until one is subscribed again
	own       *histogram // from its own dialling until it is
	seconds   float64
	retries   int
}

func (s *storm) run(ctx context.Context, rounds int) error {
	members, inside := newCrew(ctx)
	err := s.crowd.open(inside, members)
	for range rounds {
		members.disband() // drops all at once
		if err != nil {
			return err
		}
		members, inside = newCrew(ctx)
		err = s.reopen(inside, members)
	}
	members.disband()
	return err
}

// reopen brings all sessions back. An attempt that fails is repeated until --timeout.
func (s *storm) reopen(ctx context.Context, members *crew) error {
	c := s.crowd
	limit, cancel := context.WithTimeoutCause(ctx, c.flags.Timeout, errCrowdTimeout)
	defer cancel()
	dropped := c.clock.now()
	type attempt struct {
		since, own int64
		retries    int
	}
	took := make([]attempt, c.flags.Sessions)
	err := openAll(limit, c.flags.Sessions, c.flags.Parallel, func(_ context.Context, i int) error {
		for {
			began := c.clock.now()
			session, err := c.openOne(limit, i)
			if limit.Err() != nil {
				return errors.Join(context.Cause(limit), err)
			}
			if err == nil {
				now := c.clock.now()
				took[i].since, took[i].own = now-dropped, now-began
				members.own(session.conn)
				c.ready.Add(1)
				members.run(func() error { c.hold(ctx, session); return nil })
				return nil
			}
			if answer := (*brokerError)(nil); errors.As(err, &answer) {
				return err // it answered: another attempt would be answered the same
			}
			took[i].retries++
			sleep(limit, time.Duration(rand.Int64N(int64(2*retryPause))))
		}
	})
	if err != nil {
		return fmt.Errorf("%d of %d sessions were back: %w", c.ready.Load(), c.flags.Sessions, err)
	}
	s.seconds += time.Duration(c.clock.now() - dropped).Seconds()
	for _, t := range took {
		s.sinceDrop.add(t.since)
		s.own.add(t.own)
		s.retries += t.retries
	}
	return nil
}
