package gateway

import (
	"maps"

	"stampede/cluster"
)

// This file keeps a session's logged messages behind the unlogged ones that it sent before to the same destination: these take the links to the other
// nodes, those the log, and on none of them may the order turn around (contract: what is promised, 3 and 8).

// trailsMax bounds the destinations of which a session's trails are kept apart; beyond it they are one.
const trailsMax = 64

// trails holds where a session's unlogged messages went, by destination.
type trails struct {
	last    string // destination of the last one
	of      cluster.MeshTrail
	others  map[string]cluster.MeshTrail // those with something on the way, when last noted; nil until there are two
	anybody cluster.MeshTrail            // of destinations that are not kept apart any more
}

// to gives the trail of a destination, to note one more message in.
func (t *trails) to(dest string) *cluster.MeshTrail {
	if t.last == dest {
		return &t.of
	}
	if !t.of.Taken() {
		t.keep(t.last, t.of)
	}
	t.last, t.of = dest, t.others[dest]
	delete(t.others, dest)
	return &t.of
}

func (t *trails) keep(dest string, trail cluster.MeshTrail) {
	if t.others == nil {
		t.others = map[string]cluster.MeshTrail{}
	}
	if len(t.others) >= trailsMax {
		maps.DeleteFunc(t.others, func(_ string, trail cluster.MeshTrail) bool { return trail.Taken() })
	}
	if len(t.others) >= trailsMax {
		for _, trail := range t.others {
			t.anybody.Add(trail)
		}
		clear(t.others)
	}
	t.others[dest] = trail
}

// awaitTrail waits until the other nodes have taken the session's unlogged messages to a destination, to which a logged one goes next. A node that is
// gone is not waited for, one that is held up until its link is given up (cluster's meshSilence: 6 s).
func (l *link) awaitTrail(dest string) {
	t := l.sender.trails
	if t == nil {
		return
	}
	if t.last == dest {
		l.awaitTaken(&t.of)
	} else if trail, ok := t.others[dest]; ok {
		l.awaitTaken(&trail)
		delete(t.others, dest)
	}
	l.awaitTaken(&t.anybody)
}

func (l *link) awaitTaken(trail *cluster.MeshTrail) {
	if trail.Taken() {
		return
	}
	l.submit()
	l.wakeAll()
	l.session.PauseHeartBeat(true)
	defer l.session.PauseHeartBeat(false)
	trail.Await(l.session.Gone())
}
