package main

// cluster_follow_test.go: subscribers that follow a topic while nodes die, and what they owe to each other: one order, nothing missing,
// nothing twice.

import (
	"context"
	"strconv"
	"testing"
)

// topicFollower is a live subscriber. When its node dies it goes on at another one where it had stopped.
type topicFollower struct {
	url, refuge, topic string // refuge "": it ends with its node
	marker             string // the publisher with whose message of number last it ends
	last               int
	came               []delivery
	subscribed, ended  chan struct{}
	err                error
}

// startFollower returns when the follower is subscribed.
func startFollower(t *testing.T, f *topicFollower) *topicFollower {
	t.Helper()
	f.subscribed, f.ended = make(chan struct{}), make(chan struct{})
	go f.run(t.Context())
	select {
	case <-f.subscribed:
	case <-f.ended:
		t.Fatalf("subscribe to %s at %s: %v", f.topic, f.url, f.err)
	}
	return f
}

func (f *topicFollower) run(ctx context.Context) {
	defer close(f.ended)
	take := func(d delivery) (enough bool) {
		f.came = append(f.came, d)
		return d.from == f.marker && d.number == f.last
	}
	f.err = readTopic(ctx, f.url, f.topic, func() { close(f.subscribed) }, take)
	if f.err == nil || f.refuge == "" || !brokenOff(f.err) || len(f.came) == 0 {
		return
	}
	position := crashMessageIDAs + strconv.FormatUint(f.came[len(f.came)-1].offset, 10)
	f.err = readTopic(ctx, f.refuge, f.topic, func() {}, take, "resume-after", position)
}

// await waits for the marker, without which it is a failure.
func (f *topicFollower) await(t *testing.T) []delivery {
	t.Helper()
	if <-f.ended; f.err != nil {
		t.Errorf("the subscriber at %s: %v after %d messages", f.url, f.err, len(f.came))
	}
	return f.came
}

// checkFollowed compares what a follower was given with the whole topic: everything from its first message on, up to its last.
func checkFollowed(t *testing.T, all []delivery, f *topicFollower) {
	t.Helper()
	if len(f.came) == 0 {
		return
	}
	at := 0
	for at < len(all) && all[at].offset != f.came[0].offset {
		at++
	}
	for i, d := range f.came {
		if at+i >= len(all) || all[at+i] != d {
			t.Errorf("message %d of %d of the subscriber at %s was %v, the topic has there: %v", i+1, len(f.came), f.url, d,
				all[min(at+i, len(all)):min(at+i+2, len(all))])
			return
		}
	}
}

// checkNoneMissedBetween checks that a follower was given everything behind one message of the marker up to another.
func checkNoneMissedBetween(t *testing.T, all []delivery, f *topicFollower) {
	t.Helper()
	first, last := 0, -1
	for i, d := range all {
		switch {
		case d.from == f.marker && d.number == f.last-1:
			first = i + 1
		case d.from == f.marker && d.number == f.last:
			last = i
		}
	}
	if got, want := len(f.came), last+1-first; got != want {
		t.Errorf("the subscriber at %s was given %d messages up to marker %d, the topic has %d", f.url, got, f.last, want)
	}
}
