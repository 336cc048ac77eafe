package server

import (
	"context"
	"strconv"
	"time"

	"stampede/stomp"
)

// This file ends sessions in order: a drain in waves, and the shutdown of what is left.

// drainPaceMin is the slowest pace of a drain in sessions a second: few sessions do not take the whole time.
const drainPaceMin = 20

// DrainPlan says how a drain goes.
type DrainPlan struct {
	Over       time.Duration                   // how long it may take; sessions are closed evenly over it
	RetryAfter func(session int) time.Duration // told to the session of that number; nil tells none
}

// Drain accepts nothing more and closes the sessions evenly over the plan's time, never slower than drainPaceMin a
// second. What a session sent is answered before it is closed. It returns when all were told, or ctx ends.
func (s *Server) Drain(ctx context.Context, plan DrainPlan) error {
	s.draining.Store(true)
	sessions := s.list()
	if len(sessions) == 0 {
		return nil
	}
	over := min(plan.Over, time.Duration(len(sessions))*time.Second/drainPaceMin)
	ticker := time.NewTicker(max(over/time.Duration(len(sessions)), time.Millisecond))
	defer ticker.Stop()
	began := time.Now()
	for i := 0; i < len(sessions); {
		due := len(sessions)
		if over > 0 {
			due = min(due, int(int64(time.Since(began))*int64(len(sessions))/int64(over))+1)
		}
		for ; i < due; i++ {
			d := &departure{}
			if plan.RetryAfter != nil {
				d.retryAfter = plan.RetryAfter(i)
			}
			sessions[i].depart(d)
		}
		if i == len(sessions) {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// depart makes the reading goroutine say goodbye.
func (n *Session) depart(d *departure) {
	n.turning.Lock()
	defer n.turning.Unlock()
	if n.ending.Load() {
		return // it is on its way already
	}
	n.leaving.Store(d)
	n.breakOffLocked()
}

// drained is the ERROR of a session that a drain closes.
func drained(retryAfter time.Duration) *stomp.ProtocolError {
	e := fault(stomp.CodeServerDraining, "the node drains", "This node is going away; connect again after the time in retry-after (ms), the balancer takes you to another.")
	if retryAfter > 0 {
		e.Headers = []string{"retry-after", strconv.FormatInt(retryAfter.Milliseconds(), 10)}
	}
	return e
}

// Shutdown closes what is left without goodbye when ctx ends, and returns when every goroutine of the server has ended.
func (s *Server) Shutdown(ctx context.Context) error {
	s.draining.Store(true)
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	done := make(chan struct{})
	go s.awaitEnd(done)
	for _, n := range s.list() {
		n.depart(&departure{retryAfter: time.Second})
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	for _, n := range s.list() {
		n.closeByForce()
	}
	<-done
	return ctx.Err()
}

func (s *Server) awaitEnd(done chan<- struct{}) {
	s.running.Wait()
	close(done)
}
