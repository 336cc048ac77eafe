package auth_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"stampede/stomp/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bcryptOf hashes at the lowest cost, so that tests are quick.
func bcryptOf(t testing.TB, passcode string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(passcode), bcrypt.MinCost)
	if err != nil {
		t.Fatalf("hash %q: %v", passcode, err)
	}
	return string(hash)
}

func argonOf(passcode string) string {
	salt := []byte("saltsaltsaltsalt")
	key := argon2.IDKey([]byte(passcode), salt, 1, 64, 2, 32)
	return fmt.Sprintf("$argon2id$v=19$m=64,t=1,p=2$%s$%s", base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

// usersFile writes the lines as a users file of its own folder.
func usersFile(t testing.TB, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users")
	writeFile(t, path, strings.Join(lines, "\n")+"\n")
	return path
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatalf("write %s: %v", path, err)
	}
}

func openUsers(t testing.TB, lines ...string) *auth.Users {
	t.Helper()
	users, err := auth.OpenUsers(usersFile(t, lines...), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("open users: %v", err)
	}
	return users
}

// certificate is the state of a connection whose client certificate was verified.
func certificate(leaf x509.Certificate) *tls.ConnectionState {
	return &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{&leaf}}}
}

func named(name string) x509.Certificate {
	return x509.Certificate{Subject: pkix.Name{CommonName: name}}
}

func describe(id auth.Identity, err error) string {
	switch {
	case errors.Is(err, auth.ErrDenied):
		return "denied"
	case err != nil:
		return err.Error()
	}
	return fmt.Sprintf("user=%s service=%v proven=%v", id.User, id.Service, id.Proven)
}

func TestNone(t *testing.T) {
	for _, c := range []struct {
		name    string
		request auth.Request
		want    string
	}{
		{"takes_the_login_unproven", auth.Request{Login: "ada", Passcode: "x"}, "user=ada service=false proven=false"},
		{"has_no_user_without_a_login", auth.Request{}, "user= service=false proven=false"},
		{"counts_plain_tcp_as_service", auth.Request{Login: "relay", PlainTCP: true}, "user=relay service=true proven=false"},
		{"takes_the_user_of_a_certificate", auth.Request{Login: "ada", TLS: certificate(named("bob"))}, "user=bob service=false proven=true"},
		{"ignores_a_certificate_nobody_verified", auth.Request{Login: "ada", TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}}, "user=ada service=false proven=false"},
		{"denies_a_login_of_256_bytes", auth.Request{Login: strings.Repeat("a", 256)}, "denied"},
		{"takes_a_login_of_255_bytes", auth.Request{Login: strings.Repeat("a", 255)}, "user=" + strings.Repeat("a", 255) + " service=false proven=false"},
		{"denies_control_characters", auth.Request{Login: "a\nb"}, "denied"},
		{"denies_what_is_not_utf8", auth.Request{Login: "a\xff"}, "denied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := describe(auth.None().Authenticate(t.Context(), c.request)); got != c.want {
				t.Errorf("%+v: got %s, want %s", c.request, got, c.want)
			}
		})
	}
}

func TestUsers(t *testing.T) {
	users := openUsers(t,
		"# a comment",
		"",
		"alice:"+bcryptOf(t, "secret-a"),
		"  orders:"+argonOf("secret-o")+":service  ",
		"yvonne:"+strings.Replace(bcryptOf(t, "secret-y"), "$2a$", "$2y$", 1),
		"bea:"+strings.Replace(bcryptOf(t, "secret-b"), "$2a$", "$2b$", 1),
		"relay:*:service",
		"a/b c:"+argonOf("secret-slash")+"\r",
	)
	if got, want := users.Len(), 6; got != want {
		t.Errorf("users = %d, want %d", got, want)
	}
	for _, c := range []struct {
		name    string
		request auth.Request
		want    string
	}{
		{"bcrypt_2a", auth.Request{Login: "alice", Passcode: "secret-a"}, "user=alice service=false proven=true"},
		{"bcrypt_2y", auth.Request{Login: "yvonne", Passcode: "secret-y"}, "user=yvonne service=false proven=true"},
		{"bcrypt_2b", auth.Request{Login: "bea", Passcode: "secret-b"}, "user=bea service=false proven=true"},
		{"argon2id_and_the_service_flag", auth.Request{Login: "orders", Passcode: "secret-o"}, "user=orders service=true proven=true"},
		{"plain_tcp_makes_no_service", auth.Request{Login: "alice", Passcode: "secret-a", PlainTCP: true}, "user=alice service=false proven=true"},
		{"a_name_with_slash_and_space", auth.Request{Login: "a/b c", Passcode: "secret-slash"}, "user=a/b c service=false proven=true"},
		{"wrong_passcode_bcrypt", auth.Request{Login: "alice", Passcode: "secret-o"}, "denied"},
		{"wrong_passcode_argon2id", auth.Request{Login: "orders", Passcode: "secret-a"}, "denied"},
		{"unknown_user", auth.Request{Login: "mallory", Passcode: "secret-a"}, "denied"},
		{"no_passcode", auth.Request{Login: "alice"}, "denied"},
		{"no_login", auth.Request{Passcode: "secret-a"}, "denied"},
		{"nothing", auth.Request{}, "denied"},
		{"certificate_user_with_a_passcode", auth.Request{Login: "relay", Passcode: "*"}, "denied"},
		{"certificate", auth.Request{TLS: certificate(named("relay"))}, "user=relay service=true proven=true"},
		{"certificate_and_its_login", auth.Request{Login: "relay", TLS: certificate(named("relay"))}, "user=relay service=true proven=true"},
		{"certificate_and_another_login", auth.Request{Login: "alice", TLS: certificate(named("relay"))}, "denied"},
		{"certificate_of_a_user_not_in_the_file", auth.Request{TLS: certificate(named("mallory"))}, "denied"},
		{"certificate_named_by_dns", auth.Request{TLS: certificate(x509.Certificate{DNSNames: []string{"relay", "other"}})}, "user=relay service=true proven=true"},
		{"certificate_without_a_name", auth.Request{TLS: certificate(x509.Certificate{})}, "denied"},
		{"a_passcode_beats_the_certificate", auth.Request{Login: "alice", Passcode: "secret-a", TLS: certificate(named("relay"))}, "user=alice service=false proven=true"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 { // the second time, a right one is remembered and a wrong one is still wrong
				if got := describe(users.Authenticate(t.Context(), c.request)); got != c.want {
					t.Errorf("login %q: got %s, want %s", c.request.Login, got, c.want)
				}
			}
		})
	}
}

func TestDenial(t *testing.T) {
	users := openUsers(t, "alice:"+bcryptOf(t, "right"))
	_, unknown := users.Authenticate(t.Context(), auth.Request{Login: "mallory", Passcode: "guess-1"})
	_, wrong := users.Authenticate(t.Context(), auth.Request{Login: "alice", Passcode: "guess-2"})

	t.Run("tells_the_client_nothing", func(t *testing.T) {
		if unknown.Error() != wrong.Error() {
			t.Errorf("unknown user: %q, wrong passcode: %q, want one text", unknown, wrong)
		}
	})
	t.Run("tells_the_log_the_reason_and_no_secret", func(t *testing.T) {
		var text strings.Builder
		slog.New(slog.NewTextHandler(&text, nil)).Warn("denied", "one", unknown, "two", wrong)
		for _, want := range []string{"unknown user", "wrong passcode"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("log has no %q: %s", want, text.String())
			}
		}
		if strings.Contains(text.String(), "guess") {
			t.Errorf("log has a passcode: %s", text.String())
		}
	})
}

func TestUsersFile(t *testing.T) {
	good := bcryptOf(t, "x")
	tooDear := strings.Replace(good, "$04$", "$17$", 1)
	for _, c := range []struct {
		name  string
		lines []string
		want  []string // one a fault, in order
	}{
		{"all_faults_at_once_with_their_lines", []string{
			"alice:" + good, "bob:plain-secret", "# fine", "justaname", "alice:" + good, ":" + good, "eve:" + good + ":admin",
			"$2a$x:hash", "a:b:c:d", "kim:" + tooDear, "li:$argon2id$v=19$m=64,t=1,p=2$c2FsdHNhbHQ", "mo:$2a$10$short",
		}, []string{
			":2: the hash is neither bcrypt", ":4: want name:hash", ":5: user \"alice\" is in line 1 already", ":6: the name is empty",
			":7: flag \"admin\" is not known", ":8: the name begins with $", ":8: the hash is neither", ":9: want name:hash",
			":10: the bcrypt hash has cost 17, at most 16", ":11: the argon2id hash is malformed", ":12: the bcrypt hash is malformed",
		}},
		{"argon2id_parameters", []string{
			"a:$argon2id$v=16$m=64,t=1,p=2$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA",
			"b:$argon2id$v=19$m=64,t=0,p=2$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA",
			"c:$argon2id$v=19$m=4294967295,t=1,p=2$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA",
			"d:$argon2id$v=19$m=64,t=1,p=9$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA",
			"e:$argon2id$v=19$m=64,t=1,p=2$c2FsdA$c2FsdHNhbHRzYWx0c2FsdA",
			"f:$argon2id$v=19$m=64,t=1,p=2$c2FsdHNhbHQ$c2FsdA",
			"g:$argon2id$v=19$m=64,t=1,p=2,x=3$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA",
			"h:$argon2id$v=19$m=262144,t=32,p=2$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA",
			"i:$argon2id$v=19$m=64,t=1,p=4000000000$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA",
		}, []string{
			":1: the argon2id hash is not of version 19", ":2: the argon2id hash has impossible", ":3: the argon2id hash asks for too much",
			":4: the argon2id hash has impossible", ":5: the argon2id hash has a salt of 4", ":6: the argon2id hash has a salt of 8 and a key of 4",
			":7: the argon2id hash is malformed", ":8: the argon2id hash asks for too much", ":9: the argon2id hash asks for too much",
		}},
		{"a_flag_twice", []string{"a:" + good + ":service,service"}, []string{":1: flag \"service\" is there twice"}},
		{"nobody_in_it", []string{"# empty"}, []string{"no users in it"}},
		{"a_file_of_rubbish_has_fifty_faults_and_a_count", strings.Split(strings.Repeat("rubbish\n", 60), "\n"), append(
			strings.Split(strings.TrimSuffix(strings.Repeat("want name:hash\n", 50), "\n"), "\n"), "10 more faults")},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := auth.OpenUsers(usersFile(t, c.lines...), slog.New(slog.DiscardHandler))
			if err == nil {
				t.Fatalf("no error, want %q", c.want)
			}
			got := strings.Split(err.Error(), "\n")
			for i := range max(len(got), len(c.want)) {
				if i >= len(got) || i >= len(c.want) || !strings.Contains(got[i], c.want[i]) {
					t.Fatalf("faults:\n%s\nwant one with each of:\n%s", err, strings.Join(c.want, "\n"))
				}
			}
			if strings.Contains(err.Error(), "plain-secret") || strings.Contains(err.Error(), good) {
				t.Errorf("an error repeats a secret: %v", err)
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		_, err := auth.OpenUsers(filepath.Join(t.TempDir(), "none"), slog.New(slog.DiscardHandler))
		if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v, want os.ErrNotExist", err)
		}
	})
	t.Run("larger_than_16_MiB", func(t *testing.T) {
		_, err := auth.OpenUsers(usersFile(t, strings.Repeat("#", 16<<20)), slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), "larger than") {
			t.Errorf("got %v, want a fault about its size", err)
		}
	})
	t.Run("with_a_byte_order_mark", func(t *testing.T) {
		users := openUsers(t, "\ufeffalice:"+good)
		if got, want := describe(users.Authenticate(t.Context(), auth.Request{Login: "alice", Passcode: "x"})), "user=alice service=false proven=true"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func FuzzUsersFile(f *testing.F) {
	f.Add("alice:$2a$04$Tuhi9ucPFNqgqu0b7jgMuOCTWpSYpBRGZwSZ1rzM8v3wTiGhwosTi:service\n")
	f.Add("a:" + argonOf("x") + "\nb:*\n")
	f.Add("a:$argon2id$v=19$m=,t=,p=$$\n::\n\x00:*")
	path := filepath.Join(f.TempDir(), "users")
	f.Fuzz(func(t *testing.T, text string) {
		writeFile(t, path, text)
		users, err := auth.OpenUsers(path, slog.New(slog.DiscardHandler))
		if (users == nil) == (err == nil) {
			t.Fatalf("users %v with error %v, want one of the two", users, err)
		}
		if err == nil && users.Len() == 0 {
			t.Errorf("a file without users was taken: %q", text)
		}
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	users := openUsers(b, "alice:"+bcryptOf(b, "right"))
	for _, c := range []struct{ name, passcode string }{{"login=remembered", "right"}, {"login=wrong/hash=bcrypt/cost=4", "wrong"}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = users.Authenticate(context.Background(), auth.Request{Login: "alice", Passcode: c.passcode})
			}
		})
	}
}
