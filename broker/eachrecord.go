package broker

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
)

// This file walks the whole state in the order of the records' keys. It costs as much as the state is large: checks and tests use it.

// eachRecord calls fn for every record until it returns false.
func (s *State) eachRecord(fn func(key, value []byte) bool) {
	one := func(r recorder) bool { return fn(r.appendKey(nil), r.appendValue(nil)) }
	if !one(&s.meta) {
		return
	}
	for _, n := range s.sortedNodes() {
		if !one(n) {
			return
		}
	}
	rules := slices.SortedFunc(slices.Values(s.policies.rules), func(a, b policyRule) int {
		return cmp.Compare(a.pattern.text, b.pattern.text)
	})
	for _, r := range rules {
		if !fn(r.appendKey(nil), r.appendValue(nil)) {
			return
		}
	}
	for _, n := range s.sortedNodes() {
		for _, number := range slices.Sorted(maps.Keys(n.sessions)) {
			if !one(n.sessions[number]) {
				return
			}
		}
	}
	_ = s.eachTopicRecord(one) && s.eachUserRecord(one, fn) && s.eachQueueRecord(one, fn)
}

func (s *State) eachTopicRecord(one func(recorder) bool) bool {
	topics := slices.SortedFunc(maps.Values(s.topics), func(a, b *topic) int { return cmp.Compare(a.stream, b.stream) })
	for _, t := range topics {
		if !one(t) {
			return false
		}
	}
	return true
}

func (s *State) eachUserRecord(one func(recorder) bool, fn func(key, value []byte) bool) bool {
	users := slices.SortedFunc(maps.Values(s.users), func(a, b *userDest) int { return cmp.Compare(a.stream, b.stream) })
	for _, u := range users {
		if !one(u) {
			return false
		}
	}
	for _, u := range users {
		for _, w := range u.list() {
			if !fn(u.appendWaitingKey(nil, w.seq), w.appendValue(nil)) {
				return false
			}
		}
	}
	return true
}

func (s *State) eachQueueRecord(one func(recorder) bool, fn func(key, value []byte) bool) bool {
	queues := s.sortedQueues()
	for _, q := range queues {
		if !one(q) {
			return false
		}
	}
	for _, sub := range s.sortedSubscriptions() {
		if !one(sub) {
			return false
		}
	}
	for _, q := range queues {
		for _, e := range s.entriesOf(q) {
			if !fn(q.appendEntryKey(nil, e.place), s.appendEntry(nil, q, e)) {
				return false
			}
		}
	}
	return true
}

func (s *State) sortedNodes() []*node {
	return slices.SortedFunc(maps.Values(s.nodes), func(a, b *node) int { return bytes.Compare(a.id[:], b.id[:]) })
}

func (s *State) sortedQueues() []*queue {
	return slices.SortedFunc(maps.Values(s.queues), func(a, b *queue) int { return cmp.Compare(a.id, b.id) })
}

func (s *State) sortedSubscriptions() []*subscription {
	subs := make([]*subscription, 0, s.subscribed)
	for _, sub := range s.subs {
		if sub != nil {
			subs = append(subs, sub)
		}
	}
	slices.SortFunc(subs, func(a, b *subscription) int { return cmp.Compare(a.ordinal, b.ordinal) })
	return subs
}

// entriesOf returns the messages of a queue, wherever they are, by their places.
func (s *State) entriesOf(q *queue) []*entry {
	list := make([]*entry, 0, q.depth)
	for ref := q.head; ref != 0; {
		e := s.entries.at(ref)
		list = append(list, e)
		ref = uint32(e.link)
	}
	for _, ref := range q.returned {
		list = append(list, s.entries.at(ref))
	}
	for _, sub := range q.subs {
		if sub == nil {
			continue
		}
		for _, d := range sub.window.list() {
			if d.ref != 0 {
				list = append(list, s.entries.at(d.ref))
			}
		}
	}
	slices.SortFunc(list, func(a, b *entry) int { return cmp.Compare(a.place, b.place) })
	return list
}
