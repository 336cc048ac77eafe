package auth_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stampede/stomp/auth"
)

// told is a log handler that hands each message on.
type told struct{ messages chan string }

func (told) Enabled(context.Context, slog.Level) bool { return true }
func (h told) WithAttrs([]slog.Attr) slog.Handler     { return h }
func (h told) WithGroup(string) slog.Handler          { return h }

func (h told) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	h.messages <- text
	return nil
}

// followed is a Users that runs until the test ends.
type followed struct {
	*auth.Users
	path string
	told told
}

func follow(t *testing.T, path string) followed {
	t.Helper()
	f := followed{path: path, told: told{make(chan string, 100)}}
	users, err := auth.OpenUsers(path, slog.New(f.told))
	if err != nil {
		t.Fatalf("open users: %v", err)
	}
	f.Users = users
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go run(ctx, users, ended)
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run ended with %v, want nil", err)
		}
	})
	return f
}

func run(ctx context.Context, users *auth.Users, ended chan<- error) { ended <- users.Run(ctx) }

// await returns the first log message with the text.
func (f followed) await(t *testing.T, text string) string {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case message := <-f.told.messages:
			if strings.Contains(message, text) {
				return message
			}
		case <-deadline:
			t.Fatalf("no log message with %q", text)
		}
	}
}

func (f followed) want(t *testing.T, passcode, want string) {
	t.Helper()
	if got := describe(f.Authenticate(t.Context(), auth.Request{Login: "alice", Passcode: passcode})); got != want {
		t.Errorf("alice with %q: got %s, want %s", passcode, got, want)
	}
}

const alice = "user=alice service=false proven=true"

func TestReload(t *testing.T) {
	t.Run("takes_a_file_written_in_place_and_forgets_old_checks", func(t *testing.T) {
		f := follow(t, usersFile(t, "alice:"+bcryptOf(t, "one")))
		f.want(t, "one", alice)
		writeFile(t, f.path, "alice:"+bcryptOf(t, "two")+"\n")
		f.await(t, "users file taken")
		f.want(t, "one", "denied")
		f.want(t, "two", alice)
	})
	t.Run("takes_a_file_renamed_over_the_old_one", func(t *testing.T) {
		f := follow(t, usersFile(t, "alice:"+bcryptOf(t, "one")))
		for _, passcode := range []string{"two", "three"} {
			writeFile(t, f.path+".new", "alice:"+bcryptOf(t, passcode)+"\n")
			if err := os.Rename(f.path+".new", f.path); err != nil {
				t.Fatal(err)
			}
			f.await(t, "users file taken")
			f.want(t, passcode, alice)
		}
	})
	t.Run("takes_a_folder_swapped_by_a_link", func(t *testing.T) {
		dir := t.TempDir()
		for _, version := range []string{"1", "2"} {
			if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(dir, version, "users"), "alice:"+bcryptOf(t, "passcode-"+version)+"\n")
		}
		link := func(target, name string) {
			t.Helper()
			if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		link("1", "..data")
		link("..data/users", "users")
		f := follow(t, filepath.Join(dir, "users"))
		f.want(t, "passcode-1", alice)
		link("2", "..data_tmp")
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
		f.await(t, "users file taken")
		f.want(t, "passcode-1", "denied")
		f.want(t, "passcode-2", alice)
	})
	t.Run("keeps_the_old_users_when_the_new_file_is_bad", func(t *testing.T) {
		f := follow(t, usersFile(t, "alice:"+bcryptOf(t, "one")))
		writeFile(t, f.path, "alice:not-a-hash\nbob\n")
		message := f.await(t, "users file not taken")
		if !strings.Contains(message, ":1: ") || !strings.Contains(message, ":2: ") || strings.Contains(message, "not-a-hash") {
			t.Errorf("log message %q, want both faults and no secret", message)
		}
		f.want(t, "one", alice)
		writeFile(t, f.path, "alice:"+bcryptOf(t, "two")+"\n")
		f.await(t, "users file taken")
		f.want(t, "two", alice)
	})
	t.Run("keeps_the_old_users_when_the_file_goes_or_is_empty", func(t *testing.T) {
		f := follow(t, usersFile(t, "alice:"+bcryptOf(t, "one")))
		if err := os.Remove(f.path); err != nil {
			t.Fatal(err)
		}
		f.await(t, "users file not taken")
		f.want(t, "one", alice)
		writeFile(t, f.path, "")
		f.await(t, "no users in it")
		f.want(t, "one", alice)
	})
	t.Run("sees_a_change_made_before_it_ran", func(t *testing.T) {
		path := usersFile(t, "alice:"+bcryptOf(t, "one"))
		f := followed{path: path, told: told{make(chan string, 100)}}
		users, err := auth.OpenUsers(path, slog.New(f.told))
		if err != nil {
			t.Fatal(err)
		}
		f.Users = users
		writeFile(t, path, "# two users\nalice:"+bcryptOf(t, "two")+"\n")
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go run(ctx, users, ended)
		f.await(t, "users file taken")
		f.want(t, "two", alice)
		cancel()
		<-ended
	})
}
