package auth

import "context"

// None accepts every client. The user is the unproven login, none without one; a raw connection without TLS, where relays and
// services live, counts as a service account. A verified client certificate proves its user even here.
func None() Authenticator { return none{} }

type none struct{}

var _ Authenticator = none{}

func (none) Authenticate(_ context.Context, r Request) (Identity, error) {
	id := Identity{User: r.Login, Service: r.PlainTCP}
	if user, ok := certificateUser(r.TLS); ok {
		id.User, id.Proven = user, true
	}
	if id.User == "" {
		return id, nil
	}
	if fault := nameFault(id.User); fault != "" {
		return Identity{}, denied("%s", fault)
	}
	return id, nil
}
