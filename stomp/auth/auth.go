package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
	"unicode"
	"unicode/utf8"
)

// userBytesMax is the longest user name, in bytes: it is as long as a destination may be, since a name becomes part of one.
// A longer login is denied; a longer name in a users file is a fault.
const userBytesMax = 255

// ErrDenied is the answer to a login that is not accepted, whatever the cause: the client must not learn more.
var ErrDenied = errors.New("login denied")

// Identity is who a session speaks for.
type Identity struct {
	// User is empty for a session without a user.
	User string
	// Service accounts carry the traffic of many people: larger bodies, lenient errors, no limit on connections.
	Service bool
	// Groups that the proof of identity names; none for a users file.
	Groups []string
	// Proven is false when User is only what the client said.
	Proven bool
	// Expires is when the proof ends; zero for never.
	Expires time.Time
}

// Request is what a client presented, and how it came.
type Request struct {
	Login, Passcode string
	RemoteAddr      string
	// PlainTCP is set on a raw STOMP connection without TLS: neither WebSocket nor STOMP over TLS.
	PlainTCP bool
	// TLS is the state of the connection after its handshake; nil without TLS.
	TLS *tls.ConnectionState
	// HTTP holds the headers of the upgrade request; nil on a raw STOMP connection.
	HTTP http.Header
}

// Authenticator proves who a client is. The session's reading goroutine calls it once per CONNECT; it may block until ctx is done.
// A wrong login is ErrDenied (as errors.Is sees it), the end of ctx is its error.
type Authenticator interface {
	Authenticate(ctx context.Context, r Request) (Identity, error)
}

// denial is an ErrDenied that knows why. Its text is neutral, since a text ends up at the client; slog sees the reason.
type denial struct{ reason string }

func denied(format string, args ...any) error { return &denial{reason: fmt.Sprintf(format, args...)} }

func (d *denial) Error() string        { return ErrDenied.Error() }
func (d *denial) Unwrap() error        { return ErrDenied }
func (d *denial) LogValue() slog.Value { return slog.StringValue(ErrDenied.Error() + ": " + d.reason) }

// certificateUser gives the user that a verified client certificate names: its common name, else its first DNS name, e-mail
// address or URI.
func certificateUser(state *tls.ConnectionState) (user string, ok bool) {
	if state == nil || len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) == 0 {
		return "", false
	}
	leaf := state.VerifiedChains[0][0]
	switch {
	case leaf.Subject.CommonName != "":
		return leaf.Subject.CommonName, true
	case len(leaf.DNSNames) > 0:
		return leaf.DNSNames[0], true
	case len(leaf.EmailAddresses) > 0:
		return leaf.EmailAddresses[0], true
	case len(leaf.URIs) > 0:
		return leaf.URIs[0].String(), true
	}
	return "", false
}

// nameFault says what keeps a text from being a user name, "" if nothing does. It never repeats the text.
func nameFault(name string) string {
	switch {
	case name == "":
		return "the name is empty"
	case len(name) > userBytesMax:
		return fmt.Sprintf("the name is longer than %d bytes", userBytesMax)
	case !utf8.ValidString(name):
		return "the name is not UTF-8"
	}
	for _, r := range name {
		if unicode.IsControl(r) {
			return "the name has a control character"
		}
	}
	return ""
}
