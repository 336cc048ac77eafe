package auth

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

const (
	usersFileBytesMax = 16 << 20 // bytes of a users file, some 150,000 users; a larger one is a fault
	faultsMax         = 50       // faults told at once; the rest is counted
	byteOrderMark     = "\ufeff"
	flagService       = "service"
)

// user is one line of the users file.
type user struct {
	name    string
	hash    hash // nil for a user who comes with a certificate only
	service bool
}

// roster is the contents of one users file, and the checks that were made with it. It is immutable but for the checks.
type roster struct {
	users  map[string]*user
	decoys []hash // one of each user with a passcode, in the order of the file
	checks *checks
}

// faults collects what is wrong with a users file, in the order of its lines.
type faults struct {
	path  string
	list  []error
	count int
}

func (f *faults) add(line int, format string, args ...any) {
	f.count++
	if len(f.list) < faultsMax {
		f.list = append(f.list, fmt.Errorf("%s:%d: %s", f.path, line, fmt.Sprintf(format, args...)))
	}
}

func (f *faults) err() error {
	if f.count > len(f.list) {
		return errors.Join(append(f.list, fmt.Errorf("%s: %d more faults", f.path, f.count-len(f.list)))...)
	}
	return errors.Join(f.list...)
}

// readRoster reads a users file, whole or not at all. Its error joins every fault, each with path and line and none with a
// passcode or a hash.
func readRoster(path string) (*roster, error) {
	text, err := readUsersFile(path)
	if err != nil {
		return nil, err
	}
	found := &faults{path: path}
	r := &roster{users: map[string]*user{}, checks: newChecks()}
	lineOf := map[string]int{}
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(text, byteOrderMark)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		u := parseUser(line, func(format string, args ...any) { found.add(number, format, args...) })
		if u.name == "" {
			continue
		}
		if first, ok := lineOf[u.name]; ok {
			found.add(number, "user %q is in line %d already", u.name, first)
			continue
		}
		lineOf[u.name] = number
		r.users[u.name] = u
		if u.hash != nil {
			r.decoys = append(r.decoys, u.hash)
		}
	}
	if len(lineOf) == 0 && found.count == 0 {
		return nil, fmt.Errorf("%s: no users in it, nobody could log in", path)
	}
	return r, found.err()
}

func readUsersFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read the users file: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, usersFileBytesMax+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("read the users file: %w", err)
	case len(text) > usersFileBytesMax:
		return "", fmt.Errorf("%s: larger than %d bytes", path, usersFileBytesMax)
	}
	return string(text), nil
}

// parseUser reads one line. It reports each of its faults; a user without a name is one that no other line can clash with.
// Text of the line is repeated only where it cannot be a secret: a name that is one, and flags behind a hash that is one.
func parseUser(line string, report func(format string, args ...any)) *user {
	fields := strings.Split(line, ":")
	if len(fields) < 2 || len(fields) > 3 {
		report("want name:hash or name:hash:flag,flag, got %d fields", len(fields))
		return &user{}
	}
	u := &user{name: fields[0]}
	if fault := nameFault(u.name); fault != "" {
		report("%s", fault)
		u.name = ""
	} else if strings.HasPrefix(u.name, "$") {
		report("the name begins with $, as hashes do: want name:hash")
		u.name = ""
	}
	if fields[1] == certificateOnly {
		u.service = parseFlags(fields[2:], report)
		return u
	}
	h, err := parseHash(fields[1])
	if err != nil {
		report("%v", err)
		return u
	}
	u.hash = h
	u.service = parseFlags(fields[2:], report)
	return u
}

func parseFlags(field []string, report func(format string, args ...any)) (service bool) {
	if len(field) == 0 {
		return false
	}
	flags := strings.Split(field[0], ",")
	for i, flag := range flags {
		switch flag = strings.TrimSpace(flag); {
		case flag != flagService:
			report("flag %q is not known, the flags are: %s", flag, flagService)
		case slices.ContainsFunc(flags[:i], func(earlier string) bool { return strings.TrimSpace(earlier) == flag }):
			report("flag %q is there twice", flag)
		}
	}
	return slices.ContainsFunc(flags, func(flag string) bool { return strings.TrimSpace(flag) == flagService })
}
