package gostomp_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3"
)

const (
	batch      = 10 // messages before, during and after the end of the leader
	settleTime = 2 * time.Minute
)

// TestLeaderKilled kills the leader of three nodes in the middle: who is on a survivor notices nothing; who was on the leader dials a survivor,
// because go-stomp has no way back of its own, and goes on.
func TestLeaderKilled(t *testing.T) {
	skipWhenShort(t)
	for _, w := range ways() {
		if w.over == "tcp" || w.version == stomp.V12 {
			t.Run(w.String(), func(t *testing.T) { newDisaster(t, w).tell() })
		}
	}
}

// disaster is a cluster whose leader is going to be killed.
type disaster struct {
	*nodes
	t      *testing.T
	w      way
	leader int
	alive  []int
	cancel context.CancelFunc // ends what waits; also when the test is over
	ctx    context.Context    // the test's
}

func newDisaster(t *testing.T, w way) *disaster {
	t.Helper()
	n, err := startNodes(t.TempDir(), 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(n.quiet(), n.end()); err != nil {
			t.Error(err)
		}
	})
	var answer struct{ Leader int }
	if err := n.ask("leader", &answer); err != nil {
		t.Fatal(err)
	}
	d := &disaster{nodes: n, t: t, w: w, leader: answer.Leader}
	d.ctx, d.cancel = context.WithTimeout(t.Context(), settleTime)
	t.Cleanup(d.cancel)
	for _, node := range n.all {
		if node.Number != d.leader {
			d.alive = append(d.alive, node.Number)
		}
	}
	return d
}

// dial connects to the first of the nodes that takes the session, again and again.
func (d *disaster) dial(numbers ...int) (*stomp.Conn, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, number := range numbers {
			stream, err := d.w.open(d.all[number-1])
			if err != nil {
				continue
			}
			conn, err := stomp.Connect(stream, stomp.ConnOpt.AcceptVersion(d.w.version), stomp.ConnOpt.RcvReceiptTimeout(settleTime))
			if err == nil {
				d.t.Cleanup(func() { _ = conn.MustDisconnect() }) // most have ended by then
				return conn, nil
			}
			stream.Close()
		}
		select {
		case <-tick.C:
		case <-d.ctx.Done():
			return nil, fmt.Errorf("no node of %v takes the session: %w", numbers, d.ctx.Err())
		}
	}
}

// everywhere is the leader first, then who survives it.
func (d *disaster) everywhere() []int { return append([]int{d.leader}, d.alive...) }

// strike lets the publishers send a first batch, kills the leader while they send a second, and lets them send a third.
func (d *disaster) strike(publishers ...*publisher) {
	d.t.Helper()
	for _, p := range publishers {
		p.publish(batch)
	}
	var running sync.WaitGroup
	for _, p := range publishers {
		running.Go(func() { p.publish(2 * batch) })
	}
	var killed struct{ Killed int }
	if err := d.ask("kill leader", &killed); err != nil || killed.Killed != d.leader {
		d.t.Errorf("kill leader: killed %d, error %v, want %d", killed.Killed, err, d.leader)
	}
	running.Wait()
	for _, p := range publishers {
		p.publish(batch)
	}
}

func (d *disaster) tell() {
	const topic, queue, end = "/topic/news", "/queue/jobs", "the end"
	staying, coming := newFollower(d, topic, d.alive[0]), newFollower(d, topic, d.everywhere()...)
	here, there := newWorker(d, queue, d.alive[0]), newWorker(d, queue, d.everywhere()...)
	steady, restless := newPublisher(d, topic, "steady", d.alive[1]), newPublisher(d, topic, "restless", d.everywhere()...)
	jobs := newPublisher(d, queue, "job", d.alive[1])
	var reading sync.WaitGroup
	reading.Go(func() { staying.readTo(end) })
	reading.Go(func() { coming.readTo(end) })
	d.strike(steady, restless, jobs)
	steady.send(end)
	reading.Wait()
	d.await("acknowledgements of all jobs", func() bool {
		return !slices.ContainsFunc(jobs.sent, func(body string) bool { return !here.settled(body) && !there.settled(body) && !there.unsure(body) })
	})
	d.cancel() // ends the workers
	here.running.Wait()
	there.running.Wait()

	d.t.Run("leaves_who_is_on_a_survivor_alone", func(t *testing.T) {
		for what, dials := range map[string]int{"subscriber": staying.dials, "worker": here.dials, "publisher to the topic": steady.dials, "publisher to the queue": jobs.dials} {
			if dials != 1 {
				t.Errorf("the %s dialled %d times, want once", what, dials)
			}
		}
		if repeated := append(steady.repeated, jobs.repeated...); len(repeated) > 0 {
			t.Errorf("got no receipt of %q", repeated)
		}
		if coming.dials < 2 || restless.dials < 2 || there.dials < 2 {
			t.Errorf("who was on the leader dialled %d, %d and %d times, want more than once", coming.dials, restless.dials, there.dials)
		}
	})
	d.t.Run("leaves_no_gap_in_a_topic", func(t *testing.T) { checkTopic(t, staying, coming, steady, restless) })
	d.t.Run("loses_nothing_of_a_queue_and_brings_nothing_back", func(t *testing.T) {
		if len(here.late)+len(there.late) > 0 {
			t.Errorf("jobs that came again after their settlement was receipted: %q, %q", here.late, there.late)
		}
		for _, body := range d.left(t, queue) {
			if here.settled(body) || there.settled(body) || !there.unsure(body) {
				t.Errorf("%q is in the queue though it was settled", body)
			}
		}
	})
}

func checkTopic(t *testing.T, staying, coming *follower, steady, restless *publisher) {
	if !slices.Equal(coming.got, staying.got) {
		t.Errorf("who resumed got\n%q, who stayed\n%q", coming.got, staying.got)
	}
	for _, p := range []*publisher{steady, restless} {
		p.check(t, staying.got)
	}
	got := slices.DeleteFunc(slices.Clone(staying.got), func(body string) bool { return !strings.HasPrefix(body, "steady") })
	if !slices.Equal(got, steady.sent) {
		t.Errorf("order of one session = %q, want %q", got, steady.sent)
	}
}

// await waits for the condition.
func (d *disaster) await(what string, condition func() bool) {
	d.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-d.ctx.Done():
			d.t.Fatalf("no %s within %v", what, settleTime)
		}
	}
}
