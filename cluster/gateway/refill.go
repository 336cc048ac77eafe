package gateway

import (
	"slices"

	"stampede/broker"
	"stampede/stomp/server"
)

// This file gives sessions that could not take more what they missed, on their writing goroutines.

// refiller is the working memory of one Refill call; pooled.
type refiller struct {
	encoder  encoder
	messages []*broker.Message
	wakes    wakeList
	count    uint64
}

// Refill writes pending queue deliveries and what lagging subscriptions find in the log.
func (l *link) Refill(space int) {
	r := l.gateway.refillers.Get().(*refiller)
	r.count = 0
	again := false
	for i, waiting := 0, l.takeWaiting(); i < len(waiting); i++ {
		if space <= 0 {
			l.putBack(waiting[i:], nil)
			again = true
			break
		}
		s := waiting[i]
		n, done := s.refill(r, space)
		space -= n
		if !done {
			l.addWaiting(s)
			again = again || !l.gateway.node.InDoubt() // until it is settled there is nothing to do
		}
	}
	for i, lag := 0, l.takeLagging(); i < len(lag); i++ {
		if space <= 0 {
			l.putBack(nil, lag[i:])
			again = true
			break
		}
		s := lag[i]
		n, done, stuck := s.refill(r, space)
		space -= n
		if !done {
			l.addLagging(s)
			again = again || !stuck
		}
	}
	l.gateway.stats.Delivered.Add(r.count)
	r.wakes.wake()
	r.encoder.reset(nil, "")
	l.gateway.refillers.Put(r)
	if again {
		l.session.RequestRefill()
	}
}

// putBack makes subscriptions that found no space the first of the next time.
func (l *link) putBack(waiting []*queueSub, lag []*topicSub) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(waiting, l.waiting...)
	l.lag = append(lag, l.lag...)
}

func (l *link) addLagging(s *topicSub) {
	l.mu.Lock()
	l.lag = append(l.lag, s)
	l.mu.Unlock()
}

// forgetLagging lets go of a subscription that has ended: while the client reads nothing no Refill comes to find that out.
func (l *link) forgetLagging(s *topicSub) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lag = slices.DeleteFunc(l.lag, func(other *topicSub) bool { return other == s })
}

func (l *link) takeLagging() []*topicSub {
	l.mu.Lock()
	defer l.mu.Unlock()
	lag := l.lag
	l.lag = nil
	return lag
}

func (l *link) addWaiting(s *queueSub) {
	l.mu.Lock()
	l.waiting = append(l.waiting, s)
	l.mu.Unlock()
}

func (l *link) forgetWaiting(s *queueSub) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = slices.DeleteFunc(l.waiting, func(other *queueSub) bool { return other == s })
}

func (l *link) takeWaiting() []*queueSub {
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting := l.waiting
	l.waiting = nil
	return waiting
}

// wakeList collects the sessions whose writers have to be started at the end of a batch.
type wakeList struct{ sessions []*server.Session }

func (w *wakeList) add(s *server.Session) { w.sessions = append(w.sessions, s) }

func (w *wakeList) wake() {
	for i, s := range w.sessions {
		s.Wake()
		w.sessions[i] = nil
	}
	w.sessions = w.sessions[:0]
}
