package server

import (
	"time"

	"stampede/stomp"
)

// This file is the pulse of all sessions: one sweeper sends heart-beats, finds late clients, and closes who never
// connected. A session has no timer of its own [S4].

// sweepEvery is the sweeper's tick; it bounds how exact heart-beats are. The shortest heart-beat is 100 ms.
const sweepEvery = 50 * time.Millisecond

// lateFactor is how many intervals a client may be silent (the specification asks for some tolerance).
const lateFactor = 2

// runSweeper looks at every session at each tick; it ends when there are none left.
func (s *Server) runSweeper() {
	defer s.running.Done()
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	var late []*Session
	for range ticker.C {
		now := s.clock()
		s.mu.Lock()
		if len(s.sessions) == 0 {
			s.sweeping = false
			s.mu.Unlock()
			return
		}
		for _, n := range s.sessions {
			if n.due(now) {
				late = append(late, n)
			}
		}
		s.mu.Unlock()
		for i, n := range late {
			n.beat(now)
			late[i] = nil
		}
		late = late[:0]
	}
}

// due tells whether the sweeper has to do anything about a session; it is asked at each tick, so it is cheap.
func (n *Session) due(now int64) bool {
	if n.ending.Load() {
		return false
	}
	if !n.connected.Load() {
		return n.greeting.Load() == greetingAwaited && now-n.began >= n.server.config.ConnectTimeout.Milliseconds()
	}
	if n.send > 0 && now-n.lastWrite.Load() >= n.send-sweepEvery.Milliseconds() {
		return true
	}
	return n.expect > 0 && !n.paused.Load() && now-n.lastRead.Load() > n.expect
}

// beat sends what is due and gives up who is late [STOMP12 §Heart-beating].
func (n *Session) beat(now int64) {
	if !n.connected.Load() {
		if !n.greeting.CompareAndSwap(greetingAwaited, greetingMissed) {
			return // it came just now
		}
		n.server.stats.ConnectTimeouts.Add(1)
		n.Error(fault(stomp.CodeConnectTimeout, "no CONNECT in time", "The first frame, CONNECT or STOMP, did not come in time."), "")
		return
	}
	if n.send > 0 && now-n.lastWrite.Load() >= n.send-sweepEvery.Milliseconds() {
		n.lastWrite.Store(now)
		if n.outbox.queued.Load() == 0 {
			if _, wake := n.Write(nil, []byte{'\n'}, true, false); wake {
				n.Wake()
			}
		}
	}
	silent := now - n.lastRead.Load()
	if n.expect == 0 || n.paused.Load() || silent <= n.expect {
		return
	}
	patience := lateFactor * n.expect
	if n.webSocket != nil {
		patience = max(patience, n.server.config.WebSocketPatience.Milliseconds())
		if now-n.pinged.Load() >= n.expect {
			n.pinged.Store(now)
			n.control(wsOpPing, nil)
		}
	}
	if silent > patience {
		n.server.stats.HeartbeatTimeouts.Add(1)
		n.Error(fault(stomp.CodeHeartBeatTimeout, "heart-beat timeout", "Nothing came from the client for longer than the negotiated heart-beat allows."), "")
	}
}
