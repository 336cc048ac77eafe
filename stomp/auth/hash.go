package auth

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// What a hash of the users file may ask for. A line above one of these is a fault: a check would hold a core, or memory, for so
// long that a handful of logins stopped the broker.
const (
	bcryptCostMax    = 16         // about 4 s of one core
	argonMemoryMax   = 256 * 1024 // KiB
	argonTimeMax     = 32         // passes over the memory
	argonThreadsMax  = 64         // lanes
	argonSaltMin     = 8          // bytes
	argonSaltMax     = 64         // bytes
	argonKeyMin      = 16         // bytes
	argonKeyMax      = 64         // bytes
	argonWorkMax     = 1 << 20    // memory in KiB times passes
	certificateOnly  = "*"        // in place of a hash: no passcode is right
	argonHashPrefix  = "$argon2id$"
	argonHashVersion = 0x13
)

// A hash is a passcode's hash as the users file has it. matches costs the same whether the passcode is right or wrong.
type hash interface {
	matches(passcode []byte) bool
}

// parseHash reads a hash. An error never repeats any of the text, which may be a passcode written by mistake.
func parseHash(text string) (hash, error) {
	switch {
	case strings.HasPrefix(text, "$2a$"), strings.HasPrefix(text, "$2b$"), strings.HasPrefix(text, "$2y$"):
		return parseBcrypt(text)
	case strings.HasPrefix(text, argonHashPrefix):
		return parseArgon(text)
	}
	return nil, errors.New("the hash is neither bcrypt ($2a$, $2b$, $2y$) nor argon2id ($argon2id$), nor * for certificates only")
}

type bcryptHash []byte

func parseBcrypt(text string) (hash, error) {
	cost, err := bcrypt.Cost([]byte(text))
	switch {
	case err != nil || len(text) != 60:
		return nil, errors.New("the bcrypt hash is malformed")
	case cost > bcryptCostMax:
		return nil, fmt.Errorf("the bcrypt hash has cost %d, at most %d is accepted", cost, bcryptCostMax)
	}
	for i := len("$2a$10$"); i < len(text); i++ {
		if c := text[i]; !isBcryptDigit(c) {
			return nil, errors.New("the bcrypt hash is malformed")
		}
	}
	return bcryptHash(text), nil
}

func isBcryptDigit(c byte) bool {
	return c == '.' || c == '/' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

func (h bcryptHash) matches(passcode []byte) bool {
	return bcrypt.CompareHashAndPassword(h, passcode) == nil
}

type argonHash struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

// parseArgon reads $argon2id$v=19$m=65536,t=3,p=2$salt$key, salt and key in base64 without padding.
func parseArgon(text string) (hash, error) {
	malformed := errors.New("the argon2id hash is malformed, want $argon2id$v=19$m=...,t=...,p=...$salt$key")
	parts := strings.Split(text, "$")
	if len(parts) != 6 {
		return nil, malformed
	}
	if parts[2] != fmt.Sprintf("v=%d", argonHashVersion) {
		return nil, fmt.Errorf("the argon2id hash is not of version %d", argonHashVersion)
	}
	var memory, passes, threads uint32
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &passes, &threads); n != 3 || err != nil ||
		parts[3] != fmt.Sprintf("m=%d,t=%d,p=%d", memory, passes, threads) {
		return nil, malformed
	}
	salt, saltErr := base64.RawStdEncoding.Strict().DecodeString(parts[4])
	key, keyErr := base64.RawStdEncoding.Strict().DecodeString(parts[5])
	switch {
	case saltErr != nil || keyErr != nil:
		return nil, malformed
	case memory > argonMemoryMax || passes > argonTimeMax || threads > argonThreadsMax || uint64(memory)*uint64(passes) > argonWorkMax:
		return nil, fmt.Errorf("the argon2id hash asks for too much (m=%d,t=%d,p=%d), at most m=%d, t=%d, p=%d and m*t=%d are accepted",
			memory, passes, threads, argonMemoryMax, argonTimeMax, argonThreadsMax, argonWorkMax)
	case memory < 8*threads || passes < 1 || threads < 1:
		return nil, errors.New("the argon2id hash has impossible parameters")
	case len(salt) < argonSaltMin || len(salt) > argonSaltMax || len(key) < argonKeyMin || len(key) > argonKeyMax:
		return nil, fmt.Errorf("the argon2id hash has a salt of %d and a key of %d bytes, want %d to %d and %d to %d",
			len(salt), len(key), argonSaltMin, argonSaltMax, argonKeyMin, argonKeyMax)
	}
	return &argonHash{memory: memory, time: passes, threads: uint8(threads), salt: salt, key: key}, nil
}

func (h *argonHash) matches(passcode []byte) bool {
	got := argon2.IDKey(passcode, h.salt, h.time, h.memory, h.threads, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(got, h.key) == 1
}
