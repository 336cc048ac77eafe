package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"

	"stampede/stomp"
	"stampede/stomp/auth"
)

// This file is CONNECT: version, heart-beat, who it is, and the link into the broker.

// loginBytesMax bounds the body limit before CONNECT: nothing large is read from who is not known.
const loginBytesMax = 4 << 10

// open answers CONNECT; on the reading goroutine.
func (s *Session) open(f *stomp.Frame) *stomp.ProtocolError {
	if !s.greeting.CompareAndSwap(greetingAwaited, greetingCame) {
		return nil // its time was up just now
	}
	if err := s.admit(f); err != nil {
		refused := *err
		refused.Severity = stomp.Fatal // there is no session to go on with
		return &refused
	}
	return nil
}

func (s *Session) admit(f *stomp.Frame) *stomp.ProtocolError {
	accept, present := f.Get("accept-version")
	v, err := stomp.NegotiateVersion(string(accept), present)
	if err != nil {
		return err
	}
	beat, err := s.negotiateBeat(f)
	if err != nil {
		return err
	}
	if err := s.authenticate(f); err != nil {
		return err
	}
	if err := s.server.countUser(s); err != nil {
		return err
	}
	s.host = f.Value("host")
	s.machine.version, s.machine.connected = v, true
	s.version.Store(uint32(v))
	s.lenient = s.server.lenient(s.identity)
	s.id, s.link, err = s.server.backend.Open(s)
	if err != nil {
		s.link = nil
		return err
	}
	connected := stomp.NewFrame(stomp.CommandConnected,
		"version", v.String(), "session", s.id, "server", s.server.config.ServerName, "heart-beat", beat)
	s.writeFrame(connected)
	s.reader.SetVersion(v)
	s.reader.SetLimits(s.server.limits(s.identity))
	s.connected.Store(true)
	s.server.logger.Debug("session opened", "session", s.id, "user", s.identity.User, "address", s.RemoteAddr())
	return nil
}

// negotiateBeat settles the heart-beats and gives the header of CONNECTED [STOMP12 §Heart-beating].
func (s *Session) negotiateBeat(f *stomp.Frame) (string, *stomp.ProtocolError) {
	asked, ok := f.Get("heart-beat")
	if !ok {
		return "0,0", nil
	}
	clientSend, clientWant, err := stomp.ParseHeartBeat(string(asked))
	if err != nil {
		return "", err
	}
	c := &s.server.config
	send, expect := stomp.NegotiateHeartBeat(c.HeartBeatSendMillis, c.HeartBeatWantMillis, clientSend, clientWant)
	s.send, s.expect = int64(send), int64(expect)
	// A direction that was not agreed on is 0 also where the server could: go-stomp waits for beats that it reads of, asked for or not.
	can, want := c.HeartBeatSendMillis, c.HeartBeatWantMillis
	if send == 0 {
		can = 0
	}
	if expect == 0 {
		want = 0
	}
	return fmt.Sprintf("%d,%d", can, want), nil
}

func (s *Session) authenticate(f *stomp.Frame) *stomp.ProtocolError {
	r := auth.Request{
		Login: f.Value("login"), Passcode: f.Value("passcode"), RemoteAddr: s.RemoteAddr(),
		PlainTCP: s.webSocket == nil && !s.secure, HTTP: s.header,
	}
	s.header = nil
	if c, ok := s.conn.(*tls.Conn); ok {
		state := c.ConnectionState()
		r.TLS = &state
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.server.config.ConnectTimeout)
	defer cancel()
	identity, err := s.server.auth.Authenticate(ctx, r)
	switch {
	case errors.Is(err, auth.ErrDenied):
		s.server.stats.AuthFailures.Add(1)
		s.server.logger.Warn("login refused", "address", s.RemoteAddr(), "reason", err)
		return fault(stomp.CodeAuthenticationFailed, "access refused", "The login or passcode is wrong, or missing.")
	case err != nil:
		s.server.logger.Error("login not checked", "address", s.RemoteAddr(), "error", err)
		return fault(stomp.CodeInternalError, "login could not be checked", "The broker could not check the login; try again later.")
	}
	s.identity = identity
	return nil
}

func (s *Server) lenient(i auth.Identity) bool {
	switch s.config.ErrorPolicy {
	case PolicyLenient:
		return true
	case PolicyStrict:
		return false
	}
	return i.Service
}

func (s *Server) limits(i auth.Identity) stomp.Limits {
	l := stomp.DefaultLimits()
	l.BodyBytesMax = s.config.BodyBytesMax
	if i.Service {
		l.BodyBytesMax = s.config.ServiceBodyBytesMax
	}
	return l
}
