package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// understood is what a command line, the environment and a file come to.
type understood struct {
	config config
	faults []string
	from   *sources
	flags  NodeFlags
}

func (u understood) value(name string) string {
	for _, one := range u.config.settings() {
		if one.name == name {
			return one.value
		}
	}
	return "no such setting"
}

// understand parses as main does. env has NAME=value pairs, file is the text of --config; "" for none.
func understand(t *testing.T, env []string, file string, args ...string) understood {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, value, _ := strings.Cut(pair, "="); strings.HasPrefix(name, envPrefix) {
			t.Setenv(name, value) // puts it back after the test
			os.Unsetenv(name)
		}
	}
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
	if file != "" {
		path := filepath.Join(t.TempDir(), "node.yaml")
		writeTestFile(t, path, file)
		args = append(args, "--config="+path)
	}
	var list commands
	from := newSources(os.Environ())
	parser, err := kong.New(&list, kong.Resolvers(from))
	if err != nil {
		t.Fatalf("build the parser: %v", err)
	}
	parsed, err := parser.Parse(append([]string{"check-config"}, args...))
	if err != nil {
		t.Fatalf("parse %q: %v", args, err)
	}
	from.takeCommandLine(parsed)
	u := understood{from: from, flags: list.CheckConfig.NodeFlags}
	settled, faults := list.CheckConfig.check(from)
	u.config = settled
	for _, f := range faults {
		u.faults = append(u.faults, f.String())
	}
	return u
}

// wantFaults checks that there is one fault with each text, in order, and no other.
func wantFaults(t *testing.T, got []string, want ...string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || !strings.Contains(got[i], want[i]) {
			t.Fatalf("faults:\n  %s\nwant one with each of:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
	}
}

func TestPrecedence(t *testing.T) {
	const name = "max-connections"
	const file, env, flag = "max-connections: 3\n", "STAMPEDE_MAX_CONNECTIONS=2", "--max-connections=1"
	for _, c := range []struct {
		name   string
		env    []string
		file   string
		args   []string
		want   string
		origin string
	}{
		{"default", nil, "", nil, "10000", "default"},
		{"file_beats_default", nil, file, nil, "3", "node.yaml:1"},
		{"environment_beats_file", []string{env}, file, nil, "2", "STAMPEDE_MAX_CONNECTIONS"},
		{"flag_beats_environment_and_file", []string{env}, file, []string{flag}, "1", "--max-connections"},
		{"flag_beats_file", nil, file, []string{flag}, "1", "--max-connections"},
		{"flag_beats_environment", []string{env}, "", []string{flag}, "1", "--max-connections"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := understand(t, c.env, c.file, c.args...)
			wantFaults(t, got.faults)
			if got.value(name) != c.want || !strings.HasSuffix(got.from.origin(name), c.origin) {
				t.Errorf("%s = %s from %s, want %s from %s", name, got.value(name), got.from.origin(name), c.want, c.origin)
			}
		})
	}
	t.Run("config_file_named_by_the_environment", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "other.yaml")
		writeTestFile(t, path, file)
		got := understand(t, []string{"STAMPEDE_CONFIG=" + path}, "")
		if got.value(name) != "3" {
			t.Errorf("%s = %s, want 3", name, got.value(name))
		}
	})
	t.Run("config_flag_beats_config_of_the_environment", func(t *testing.T) {
		got := understand(t, []string{"STAMPEDE_CONFIG=/nowhere.yaml"}, file)
		wantFaults(t, got.faults)
		if got.value(name) != "3" {
			t.Errorf("%s = %s, want 3", name, got.value(name))
		}
	})
}

// Every setting of the contract has its variable and its key, and check-config shows it.
func TestSettings(t *testing.T) {
	parser, err := kong.New(&commands{})
	if err != nil {
		t.Fatalf("build the parser: %v", err)
	}
	var names []string
	for _, node := range parser.Model.Children {
		if node.Name != "serve" {
			continue
		}
		for _, flag := range node.Flags {
			if flag.Name == "help" {
				continue
			}
			if !isNodeSetting(flag) {
				t.Errorf("--%s has the variables %q, want %s", flag.Name, flag.Envs, envName(flag.Name))
			}
			if flag.Name != "config" {
				names = append(names, flag.Name)
			}
		}
	}
	shown := understand(t, nil, "").config.settings()
	for i := range max(len(names), len(shown)) {
		if i >= len(names) || i >= len(shown) || names[i] != shown[i].name {
			t.Fatalf("flags %q, check-config shows %v, want the same in the same order", names, shown)
		}
	}
	if want := 32; len(names) != want {
		t.Errorf("%d settings, want %d", len(names), want)
	}
}

func TestDefaults(t *testing.T) {
	got := understand(t, nil, "")
	wantFaults(t, got.faults)
	for name, want := range map[string]string{
		"data-dir": `"./stampede-data"`, "http-addr": `"127.0.0.1:8080"`, "stomp-addr": `"127.0.0.1:61613"`, "stomp-tls-addr": `"off"`,
		"admin-addr": `"127.0.0.1:9091"`, "raft-timeout": "750ms", "auth": `"none"`, "ws-path": `"/ws"`, "ws-compression": "false",
		"allowed-origins": "[]", "max-message-bytes": "1MiB", "max-connections": "10000", "max-connections-per-user": "100",
		"error-policy": `"auto"`, "drain-timeout": "20s", "drain-delay": "0s", "log-level": "info",
	} {
		if got.value(name) != want {
			t.Errorf("%s = %s, want %s", name, got.value(name), want)
		}
	}
}

func TestValues(t *testing.T) {
	for _, c := range []struct {
		arg, name, want string
	}{
		{"--ws-compression", "ws-compression", "true"},
		{"--ws-compression=off", "ws-compression", "false"},
		{"--max-message-bytes=65536", "max-message-bytes", "64KiB"},
		{"--max-message-bytes=2MB", "max-message-bytes", "2000000"},
		{"--max-message-bytes=512 KiB", "max-message-bytes", "512KiB"},
		{"--allowed-origins=https://a,https://*.b", "allowed-origins", `["https://a", "https://*.b"]`},
		{"--stomp-addr=off", "stomp-addr", `"off"`},
		{"--stomp-addr=", "stomp-addr", `"off"`},
		{"--stomp-addr=[::1]:0", "stomp-addr", `"[::1]:0"`},
		{"--drain-delay=3s", "drain-delay", "3s"},
		{"--log-level=debug", "log-level", "debug"},
	} {
		t.Run(c.arg, func(t *testing.T) {
			got := understand(t, nil, "", c.arg)
			wantFaults(t, got.faults)
			if got.value(c.name) != c.want {
				t.Errorf("%s = %s, want %s", c.name, got.value(c.name), c.want)
			}
		})
	}
	t.Run("drain_delay_is_5s_beyond_loopback", func(t *testing.T) {
		got := understand(t, nil, "", "--http-addr=:8080", "--auth=none")
		if got.config.drainDelay != 5*time.Second {
			t.Errorf("drain-delay = %v, want 5s", got.config.drainDelay)
		}
	})
	t.Run("flag_given_twice_adds_origins", func(t *testing.T) {
		got := understand(t, nil, "", "--allowed-origins=https://a", "--allowed-origins=https://b").config.allowedOrigins
		if want := []string{"https://a", "https://b"}; !slices.Equal(got, want) {
			t.Errorf("allowed-origins = %q, want %q", got, want)
		}
	})
}

func TestFaults(t *testing.T) {
	t.Run("of_flag_environment_and_file_are_told_all_at_once_with_their_place", func(t *testing.T) {
		got := understand(t,
			[]string{"STAMPEDE_MAX_CONNECTIONS=0", "STAMPEDE_DRIAN_DELAY=1s", "STAMPEDE_WS_COMPRESSION=perhaps"},
			"raft-timeout: 1ms\nnot-a-setting: 1\nerror-policy: soft\nws-path: ws\n",
			"--stomp-addr=nowhere", "--admin-addr=127.0.0.1:99999", "--max-message-bytes=1GiB", "--log-level=loud", "--log-format=xml",
			"--drain-timeout=-1s", "--max-connections-per-user=x", "--tls-cert=/nowhere.pem", "--auth=ldap", "--data-dir=", "--allowed-origins= ")
		wantFaults(t, got.faults,
			"STAMPEDE_DRIAN_DELAY: unknown variable",
			"node.yaml:2: unknown key \"not-a-setting\"",
			"--data-dir: must not be empty",
			"--stomp-addr: got \"nowhere\"",
			"--admin-addr: got port \"99999\"",
			"--raft-timeout (", // with file and line
			"--ws-path (",
			"--ws-compression (STAMPEDE_WS_COMPRESSION): got \"perhaps\"",
			"--allowed-origins: got \" \"",
			"--max-message-bytes: got \"1GiB\"",
			"--max-connections (STAMPEDE_MAX_CONNECTIONS): got \"0\"",
			"--max-connections-per-user: got \"x\"",
			"--error-policy (",
			"--drain-timeout: got -1s",
			"--drain-delay: 0s is longer",
			"--log-format: got \"xml\"",
			"--log-level: got \"loud\"",
			"--tls-key: must be set with --tls-cert",
			"--auth: got \"ldap\", supported are: none, users",
		)
	})
	for _, c := range []struct {
		name string
		file string
		want []string
	}{
		{"not_yaml", "a: [", []string{"node.yaml: "}},
		{"a_list", "- a\n", []string{"node.yaml:1: want `name: value` lines"}},
		{"a_key_twice", "auth: none\nauth: users\n", []string{"node.yaml:2: \"auth\" is at "}},
		{"a_value_that_is_a_map", "auth:\n  kind: users\n", []string{"node.yaml:2: \"auth\": want a value"}},
		{"a_value_that_is_missing", "auth:\n", []string{"node.yaml:1: \"auth\": want a value"}},
		{"config_in_the_file", "config: other.yaml\n", []string{"node.yaml:1: unknown key \"config\""}},
		{"underscores", "max_connections: 1\n", []string{"node.yaml:1: unknown key \"max_connections\""}},
		{"empty", "# nothing\n", nil},
	} {
		t.Run("of_the_file/"+c.name, func(t *testing.T) { wantFaults(t, understand(t, nil, c.file).faults, c.want...) })
	}
	t.Run("of_a_file_that_is_missing", func(t *testing.T) {
		wantFaults(t, understand(t, nil, "", "--config=/nowhere.yaml").faults, "--config: open /nowhere.yaml: no such file")
	})
	t.Run("kubernetes_variables_are_none", func(t *testing.T) {
		got := understand(t, []string{
			"STAMPEDE_PORT=tcp://10.0.0.1:61613", "STAMPEDE_SERVICE_HOST=10.0.0.1", "STAMPEDE_SERVICE_PORT=61613", "STAMPEDE_SERVICE_PORT_HTTP=8080",
			"STAMPEDE_PORT_61613_TCP=tcp://10.0.0.1:61613", "STAMPEDE_PORT_61613_TCP_ADDR=10.0.0.1", "STAMPEDE_HEADLESS_SERVICE_HOST=None",
		}, "")
		wantFaults(t, got.faults)
	})
}

func TestLoopbackRule(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	writeTestFile(t, users, "alice:$2a$10$Tuhi9ucPFNqgqu0b7jgMuOCTWpSYpBRGZwSZ1rzM8v3wTiGhwosTi\n")
	token := filepath.Join(t.TempDir(), "token")
	writeTestFile(t, token, "t0ken\n")
	const open = "nothing says who may come in"
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"loopback_needs_no_decision", []string{"--http-addr=localhost:80", "--stomp-addr=127.9.9.9:1", "--admin-addr=[::1]:2"}, nil},
		{"all_interfaces", []string{"--stomp-addr=:61613"}, []string{"--stomp-addr: :61613 is reachable from other machines and " + open}},
		{"each_address_is_named", []string{"--stomp-addr=0.0.0.0:1", "--http-addr=[::]:2"}, []string{"--http-addr: ", "--stomp-addr: "}},
		{"a_name_may_be_anywhere", []string{"--stomp-addr=broker:1"}, []string{"--stomp-addr: broker:1"}},
		{"none_said_out_loud", []string{"--stomp-addr=:61613", "--auth=none"}, nil},
		{"users", []string{"--stomp-addr=:61613", "--auth=users", "--users-file=" + users}, nil},
		{"users_without_a_file", []string{"--auth=users"}, []string{"--users-file: must be set with --auth users"}},
		{"a_file_without_users", []string{"--auth=none", "--users-file=" + users}, []string{"--users-file: needs --auth users"}},
		{"a_file_and_no_decision", []string{"--users-file=" + users}, []string{"--users-file: needs --auth users"}},
		{"admin_without_a_token", []string{"--admin-addr=:9091", "--auth=none"}, []string{"--admin-addr: :9091 is reachable from other machines: set --admin-token-file"}},
		{"admin_with_a_token", []string{"--admin-addr=:9091", "--admin-token-file=" + token}, nil},
	} {
		t.Run(c.name, func(t *testing.T) { wantFaults(t, understand(t, nil, "", c.args...).faults, c.want...) })
	}
}

func TestRulesBetweenSettings(t *testing.T) {
	cert, key, ca := writeCertificate(t, "one")
	empty := filepath.Join(t.TempDir(), "empty")
	writeTestFile(t, empty, " \n")
	bad := filepath.Join(t.TempDir(), "users")
	writeTestFile(t, bad, "alice:plain\nbob\n")
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"nothing_listens", []string{"--stomp-addr=off", "--http-addr=off"}, []string{"--stomp-addr: nothing listens for clients"}},
		{"one_address_twice", []string{"--stomp-addr=127.0.0.1:8080"}, []string{"--stomp-addr: 127.0.0.1:8080 is taken by --http-addr"}},
		{"any_port_twice", []string{"--stomp-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0"}, nil},
		{"tls_without_certificate", []string{"--stomp-tls-addr=127.0.0.1:1"}, []string{"--stomp-tls-addr: needs --tls-cert and --tls-key"}},
		{"key_without_certificate", []string{"--tls-key=" + key}, []string{"--tls-cert: must be set with --tls-key"}},
		{"client_ca_without_certificate", []string{"--tls-client-ca=" + ca}, []string{"--tls-client-ca: needs --tls-cert"}},
		{"tls", []string{"--stomp-tls-addr=127.0.0.1:1", "--tls-cert=" + cert, "--tls-key=" + key, "--tls-client-ca=" + ca}, nil},
		{"certificate_that_is_none", []string{"--tls-cert=" + empty, "--tls-key=" + key, "--tls-client-ca=" + empty}, []string{"--tls-cert: " + empty, "--tls-client-ca: " + empty + ": no certificate in it"}},
		{"delay_longer_than_the_drain", []string{"--drain-delay=30s"}, []string{"--drain-delay: 30s is longer than --drain-timeout (20s)"}},
		{"health_paths", []string{"--ws-path=/health/ws"}, []string{"--ws-path: /health belongs to the health checks"}},
		{"users_file_with_two_faults", []string{"--auth=users", "--users-file=" + bad}, []string{"--users-file: " + bad + ":1: ", "--users-file: " + bad + ":2: "}},
		{"token_file_without_a_token", []string{"--admin-token-file=" + empty}, []string{"--admin-token-file: " + empty + ": no token in it"}},
		{"token_file_with_two_lines", []string{"--admin-token-file=" + bad}, []string{"--admin-token-file: " + bad + ": want one token in one line"}},
		{"data_dir_that_is_a_file", []string{"--data-dir=" + empty}, []string{"--data-dir: " + empty + " is not a folder"}},
	} {
		t.Run(c.name, func(t *testing.T) { wantFaults(t, understand(t, nil, "", c.args...).faults, c.want...) })
	}
}

func TestCheckConfig(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	writeTestFile(t, token, "very-secret\n")
	args := []string{
		"check-config", "--admin-token-file=" + token, "--allowed-origins=https://a,https://b", "--ws-compression", "--stomp-addr=off", "--drain-delay=1s",
	}
	first := runBinary(t, []string{"STAMPEDE_RAFT_TIMEOUT=2s"}, args...)
	if first.code != 0 {
		t.Fatalf("exit code %d: %s", first.code, first.stderr)
	}
	t.Run("says_where_each_value_comes_from", func(t *testing.T) {
		for _, want := range []string{"raft-timeout: 2s", "# STAMPEDE_RAFT_TIMEOUT", "stomp-addr: \"off\"", "# --stomp-addr", "# default"} {
			if !strings.Contains(first.stdout, want) {
				t.Errorf("no %q in:\n%s", want, first.stdout)
			}
		}
	})
	t.Run("shows_no_secret", func(t *testing.T) {
		if strings.Contains(first.stdout, "very-secret") {
			t.Errorf("the token is in:\n%s", first.stdout)
		}
	})
	t.Run("prints_a_file_that_gives_the_same_configuration", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "printed.yaml")
		writeTestFile(t, file, first.stdout)
		second := runBinary(t, nil, "check-config", "--config="+file)
		if got, want := withoutComments(second.stdout), withoutComments(first.stdout); got != want || second.code != 0 {
			t.Errorf("exit code %d, %s\ngot:\n%s\nwant:\n%s", second.code, second.stderr, got, want)
		}
	})
}

func withoutComments(text string) string {
	var kept []string
	for line := range strings.SplitSeq(text, "\n") {
		line, _, _ = strings.Cut(line, "# ")
		kept = append(kept, strings.TrimSpace(line))
	}
	return strings.Join(kept, "\n")
}
