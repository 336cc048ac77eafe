package gateway

import (
	"strings"
	"sync"
)

// This file finds the topic subscriptions of this node that want a message.

// routesMax bounds the remembered destinations that nobody subscribed to by name; beyond it they are forgotten and
// matched anew.
const routesMax = 65_536

// router holds the topic and user subscriptions of this node.
//
// mu guards everything in it. Publishers hold it for reading while they walk a route.
type router struct {
	mu         sync.RWMutex
	routes     map[string]*route
	remembered int         // routes without subscriptions by name
	patterns   []*topicSub // subscriptions with wildcards
	generation uint64      // counts changes of patterns
}

// route is what is known of one destination.
type route struct {
	exact      []*topicSub
	matched    []*topicSub // of patterns, as of generation
	generation uint64
}

func newRouter() *router { return &router{routes: map[string]*route{}} }

// add makes a subscription visible to publishers.
func (r *router) add(s *topicSub) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.dest == "" {
		s.place = len(r.patterns)
		r.patterns = append(r.patterns, s)
		r.generation++
		return
	}
	t := r.routes[s.dest]
	switch {
	case t == nil:
		t = &route{generation: r.generation - 1}
		r.routes[s.dest] = t
	case len(t.exact) == 0:
		r.remembered--
	}
	s.place = len(t.exact)
	t.exact = append(t.exact, s)
}

// remove takes a subscription out; it is idempotent for one that is not there.
func (r *router) remove(s *topicSub) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := &r.patterns
	if s.dest != "" {
		t := r.routes[s.dest]
		if t == nil {
			return
		}
		list = &t.exact
	}
	l := *list
	if s.place >= len(l) || l[s.place] != s {
		return
	}
	last := len(l) - 1
	l[s.place] = l[last]
	l[s.place].place = s.place
	l[last] = nil
	*list = l[:last]
	switch {
	case s.dest == "":
		r.generation++
	case last == 0:
		delete(r.routes, s.dest)
	}
}

// visit calls fn for each subscription that wants messages of dest. fn runs under the router's lock for reading: it
// must not block and must not come back to the router.
func (r *router) visit(dest string, fn func(*topicSub)) {
	r.mu.RLock()
	t := r.routes[dest]
	for (t == nil && len(r.patterns) > 0) || (t != nil && t.generation != r.generation) {
		r.mu.RUnlock()
		r.match(dest)
		r.mu.RLock()
		t = r.routes[dest] // it may be gone or old again
	}
	if t != nil {
		for _, s := range t.exact {
			fn(s)
		}
		for _, s := range t.matched {
			fn(s)
		}
	}
	r.mu.RUnlock()
}

// match computes anew which patterns match dest, and remembers it.
func (r *router) match(dest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.routes[dest]
	if t == nil {
		if r.remembered >= routesMax {
			r.forget()
		}
		t = &route{}
		r.routes[dest] = t
		r.remembered++
	}
	t.matched = t.matched[:0:0]
	for _, s := range r.patterns {
		if s.wants(dest) {
			t.matched = append(t.matched, s)
		}
	}
	t.generation = r.generation
}

func (r *router) forget() {
	for dest, t := range r.routes {
		if len(t.exact) == 0 {
			delete(r.routes, dest)
		}
	}
	r.remembered = 0
}

// wants tells whether a pattern subscription matches a destination. The broker's own topics match only patterns that
// name them.
func (s *topicSub) wants(dest string) bool {
	if strings.HasPrefix(dest, prefixServerTopic) && !s.serverPattern {
		return false
	}
	return s.pattern.Match(dest)
}

// listened tells whether anybody may want messages of dest; it spares the making of notices that nobody reads.
func (r *router) listened(dest string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	t := r.routes[dest]
	return len(r.patterns) > 0 || (t != nil && len(t.exact) > 0)
}
