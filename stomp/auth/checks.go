package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

const (
	checkKeptFor = time.Minute // how long a right passcode is remembered
	checksMax    = 4096        // right passcodes remembered at a time; beyond it one that is remembered makes room
)

// fingerprint stands for a login and a passcode. Without the key of its checks it tells nothing about them.
type fingerprint [sha256.Size]byte

// checks remembers which logins were right, so that a service that opens hundreds of connections at once costs one hash and not
// hundreds. Only right ones are kept: a wrong one costs its hash each time.
type checks struct {
	key [32]byte // of this process and roster alone

	lock sync.Mutex // guards kept
	kept map[fingerprint]time.Time
}

func newChecks() *checks {
	c := &checks{kept: map[fingerprint]time.Time{}}
	rand.Read(c.key[:]) // never fails, as crypto/rand promises
	return c
}

func (c *checks) fingerprint(login, passcode string) fingerprint {
	mac := hmac.New(sha256.New, c.key[:])
	var length [8]byte
	binary.LittleEndian.PutUint64(length[:], uint64(len(login)))
	mac.Write(length[:])
	mac.Write([]byte(login))
	mac.Write([]byte(passcode))
	return fingerprint(mac.Sum(nil))
}

// draw picks one of n by the name: the same for as long as the roster lives, and not to be foreseen without the key.
func (c *checks) draw(name string, n int) int {
	mac := hmac.New(sha256.New, c.key[:])
	mac.Write([]byte("draw"))
	mac.Write([]byte(name))
	return int(binary.LittleEndian.Uint64(mac.Sum(nil)) % uint64(n))
}

func (c *checks) remembers(f fingerprint, now time.Time) bool {
	c.lock.Lock()
	defer c.lock.Unlock()
	until, ok := c.kept[f]
	if ok && !now.Before(until) {
		delete(c.kept, f)
		return false
	}
	return ok
}

func (c *checks) remember(f fingerprint, now time.Time) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if len(c.kept) >= checksMax {
		c.makeRoom(now)
	}
	c.kept[f] = now.Add(checkKeptFor)
}

// makeRoom forgets what has run out, and any one check if nothing has.
func (c *checks) makeRoom(now time.Time) {
	var oldest fingerprint
	var oldestUntil time.Time
	for f, until := range c.kept {
		switch {
		case !now.Before(until):
			delete(c.kept, f)
		case oldestUntil.IsZero() || until.Before(oldestUntil):
			oldest, oldestUntil = f, until
		}
	}
	if len(c.kept) >= checksMax {
		delete(c.kept, oldest)
	}
}
