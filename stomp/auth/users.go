package auth

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"sync/atomic"
	"time"
)

// checksConcurrentMax is how many hashes are computed at a time, and never more than half of the cores: logging in must not take
// the broker away from those who are in. A login beyond it waits in line until its context ends.
const checksConcurrentMax = 4

// decoyHash is checked in place of a user's where a roster has certificate users only: bcrypt, cost 10, of a random passcode.
const decoyHash = "$2a$10$Tuhi9ucPFNqgqu0b7jgMuOCTWpSYpBRGZwSZ1rzM8v3wTiGhwosTi"

// Users checks logins against a users file.
//
// Goroutines: Run, once; Authenticate, on any number.
type Users struct {
	path   string
	logger *slog.Logger
	roster atomic.Pointer[roster]
	slots  chan struct{} // one element a check that runs

	stamp os.FileInfo // of the file as last read; Run's alone once it runs
}

var _ Authenticator = (*Users)(nil)

// OpenUsers reads the users file. Its error joins every fault of the file.
func OpenUsers(path string, logger *slog.Logger) (*Users, error) {
	u := &Users{
		path:   path,
		logger: logger.With("component", "auth"),
		slots:  make(chan struct{}, min(checksConcurrentMax, max(1, runtime.GOMAXPROCS(0)/2))),
	}
	u.stamp, _ = os.Stat(path) // before the read: a change in between is then seen as one; a missing file is the read's to report
	r, err := readRoster(path)
	if err != nil {
		return nil, err
	}
	u.roster.Store(r)
	return u, nil
}

// Len is how many users the file has.
func (u *Users) Len() int { return len(u.roster.Load().users) }

// Authenticate checks the passcode, or takes the user of a verified client certificate when there is no passcode.
func (u *Users) Authenticate(ctx context.Context, r Request) (Identity, error) {
	current := u.roster.Load()
	if name, ok := certificateUser(r.TLS); ok && r.Passcode == "" {
		return current.byCertificate(name, r.Login)
	}
	if r.Login == "" || r.Passcode == "" {
		return Identity{}, denied("login or passcode missing")
	}
	return u.byPasscode(ctx, current, r.Login, r.Passcode)
}

func (r *roster) byCertificate(name, login string) (Identity, error) {
	known, ok := r.users[name]
	switch {
	case login != "" && login != name:
		return Identity{}, denied("the login is not the user of the certificate")
	case !ok:
		return Identity{}, denied("the user of the certificate is not in the users file")
	}
	return known.identity(), nil
}

func (u *Users) byPasscode(ctx context.Context, r *roster, login, passcode string) (Identity, error) {
	known := r.users[login]
	mark := r.checks.fingerprint(login, passcode)
	if known != nil && r.checks.remembers(mark, time.Now()) {
		return known.identity(), nil
	}
	select {
	case u.slots <- struct{}{}:
		defer func() { <-u.slots }()
	case <-ctx.Done():
		return Identity{}, context.Cause(ctx)
	}
	// Of a hundred connections with the same passcode that stood in line, the first has done the work.
	if known != nil && r.checks.remembers(mark, time.Now()) {
		return known.identity(), nil
	}
	if known == nil || known.hash == nil {
		r.decoy(login).matches([]byte(passcode)) // I2
		if known == nil {
			return Identity{}, denied("unknown user")
		}
		return Identity{}, denied("the user has no passcode, only a certificate")
	}
	if !known.hash.matches([]byte(passcode)) {
		return Identity{}, denied("wrong passcode")
	}
	r.checks.remember(mark, time.Now())
	return known.identity(), nil
}

// decoy is the hash that an unknown name is checked against, for the time that it takes alone. It is some user's, drawn by the
// name: unknown names cost what known ones do, however the file mixes its hashes, and the same name costs the same each time.
func (r *roster) decoy(name string) hash {
	if len(r.decoys) == 0 {
		return bcryptHash(decoyHash)
	}
	return r.decoys[r.checks.draw(name, len(r.decoys))]
}

func (u *user) identity() Identity {
	return Identity{User: u.name, Service: u.service, Proven: true}
}
