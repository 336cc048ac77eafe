package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startTimeout bounds every wait of these tests; a test that needs it has failed.
const startTimeout = 30 * time.Second

// running is a node in a process of its own.
type running struct {
	command *exec.Cmd
	lines   chan string   // of standard error, those after "ready"; closed at its end
	ended   chan struct{} // closed when the process is gone
	url     map[string]string
}

// startNode runs `serve` on ports of its own and waits until it is ready.
func startNode(t *testing.T, dir string, args ...string) *running {
	t.Helper()
	r := launch(t, dir, args...)
	for line := range r.lines {
		var record map[string]any
		if json.Unmarshal([]byte(line), &record) != nil || record["msg"] != "ready" {
			continue
		}
		for _, name := range []string{"stomp", "stomp-tls", "websocket", "health", "admin"} {
			r.url[name], _ = record[name].(string)
		}
		return r
	}
	t.Fatalf("the node ended before it was ready, exit code %d", r.wait(t))
	return nil
}

func launch(t *testing.T, dir string, args ...string) *running {
	t.Helper()
	args = append([]string{
		"serve", "--data-dir=" + filepath.Join(dir, "data"), "--http-addr=127.0.0.1:0", "--stomp-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0",
	}, args...)
	r := &running{command: command(context.Background(), nil, args...), lines: make(chan string, 1000), ended: make(chan struct{}), url: map[string]string{}}
	stderr, err := r.command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.command.Start(); err != nil {
		t.Fatalf("start %q: %v", args, err)
	}
	go r.read(stderr)
	t.Cleanup(func() {
		_ = r.command.Process.Kill() // it may be gone
		<-r.ended
	})
	return r
}

// read hands on the lines of standard error and then reaps the process.
func (r *running) read(stderr io.Reader) {
	defer close(r.ended)
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		r.lines <- lines.Text()
	}
	close(r.lines)
	_ = r.command.Wait() // the exit code is asked for elsewhere
}

func (r *running) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := r.command.Process.Signal(s); err != nil {
		t.Fatalf("signal %v: %v", s, err)
	}
	if s == syscall.SIGSTOP {
		r.awaitStop(t)
	}
}

// awaitStop waits until the process stands still: until all of its threads have met the signal, some may go on for a while.
func (r *running) awaitStop(t *testing.T) {
	t.Helper()
	var status syscall.WaitStatus
	_, err := syscall.Wait4(r.command.Process.Pid, &status, syscall.WUNTRACED, nil)
	for errors.Is(err, syscall.EINTR) {
		_, err = syscall.Wait4(r.command.Process.Pid, &status, syscall.WUNTRACED, nil)
	}
	if err != nil || !status.Stopped() {
		t.Fatalf("wait for the process to stand still: %v, status %x", err, status)
	}
}

// await returns the first line with the text.
func (r *running) await(t *testing.T, text string) string {
	t.Helper()
	late := time.After(startTimeout)
	for {
		select {
		case line, ok := <-r.lines:
			if !ok {
				t.Fatalf("the node ended without a line with %q", text)
			}
			if strings.Contains(line, text) {
				return line
			}
		case <-late:
			t.Fatalf("no line with %q", text)
		}
	}
}

// wait gives the exit code.
func (r *running) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-r.ended:
		return r.command.ProcessState.ExitCode()
	case <-time.After(startTimeout):
		t.Fatal("the node did not end")
		return -1
	}
}

// linesSoFar takes the lines that nobody has read yet.
func (r *running) linesSoFar() (lines []string) {
	for {
		select {
		case line, ok := <-r.lines:
			if !ok {
				return lines
			}
			lines = append(lines, line)
		default:
			return lines
		}
	}
}

// rest gives the lines up to the end of the process, without those of the log.
func (r *running) rest() []string {
	var rest []string
	for line := range r.lines {
		if !strings.HasPrefix(line, "{") {
			rest = append(rest, line)
		}
	}
	return rest
}

// fetch gives status code and body.
func fetch(t *testing.T, method, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: startTimeout, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return response.StatusCode, string(body)
}

// connectStomp opens a session by hand and gives what CONNECT was answered with.
func connectStomp(t *testing.T, conn net.Conn, login, passcode string) string {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(startTimeout)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "CONNECT\naccept-version:1.2\nhost:test\nlogin:%s\npasscode:%s\n\n\x00", login, passcode); err != nil {
		t.Fatalf("send CONNECT: %v", err)
	}
	frame, err := bufio.NewReader(conn).ReadString(0)
	if err != nil {
		t.Fatalf("read the answer to CONNECT: %v (got %q)", err, frame)
	}
	return strings.TrimSpace(frame)
}

func dialStomp(t *testing.T, url string) net.Conn {
	t.Helper()
	scheme, addr, _ := strings.Cut(url, "://")
	var conn net.Conn
	var err error
	if scheme == "tls" {
		conn, err = tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	} else {
		conn, err = net.Dial("tcp", addr)
	}
	if err != nil {
		t.Fatalf("dial %s: %v", url, err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestServe(t *testing.T) {
	t.Run("is_ready_and_ends_with_0_after_sigterm", func(t *testing.T) {
		node := startNode(t, t.TempDir())
		if code, body := fetch(t, "GET", node.url["health"]); code != 200 {
			t.Errorf("health = %d %s, want 200", code, body)
		}
		if code, body := fetch(t, "GET", strings.TrimSuffix(node.url["health"], "/health")+"/actuator/health"); code != 200 || !strings.Contains(body, "UP") {
			t.Errorf("actuator health = %d %s, want 200 UP", code, body)
		}
		if got := connectStomp(t, dialStomp(t, node.url["stomp"]), "ada", ""); !strings.HasPrefix(got, "CONNECTED\n") {
			t.Errorf("CONNECT was answered %q, want CONNECTED", got)
		}
		node.signal(t, syscall.SIGTERM)
		rest := node.rest()
		if code := node.wait(t); code != 0 || len(rest) > 0 {
			t.Errorf("exit code = %d with %q, want 0 and no complaint", code, rest)
		}
	})
	t.Run("keeps_its_queues_over_a_restart", func(t *testing.T) {
		dir := t.TempDir()
		node := startNode(t, dir)
		if got := runBinary(t, nil, "pub", "--url="+node.url["stomp"], "/queue/kept", "still here"); got.code != 0 {
			t.Fatalf("pub: exit code %d, %s", got.code, got.stderr)
		}
		node.signal(t, syscall.SIGTERM)
		if code := node.wait(t); code != 0 {
			t.Fatalf("exit code = %d, want 0", code)
		}
		node = startNode(t, dir)
		if got := runBinary(t, nil, "sub", "--url="+node.url["stomp"], "--count=1", "/queue/kept"); !strings.Contains(got.stdout, "still here") {
			t.Errorf("sub: exit code %d, %q %q, want the message", got.code, got.stdout, got.stderr)
		}
	})
	t.Run("keeps_its_policies_over_a_restart", func(t *testing.T) {
		dir := t.TempDir()
		node := startNode(t, dir)
		put, err := http.NewRequestWithContext(t.Context(), http.MethodPut, node.url["admin"]+"/api/v1/policies?pattern=/topic/kept", strings.NewReader(`{"logged":false}`))
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(put)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		node.signal(t, syscall.SIGKILL)
		node.wait(t)
		node = startNode(t, dir)
		if code, body := fetch(t, http.MethodGet, node.url["admin"]+"/api/v1/policies"); code != http.StatusOK || !strings.Contains(body, `"/topic/kept"`) {
			t.Errorf("policies after the restart = %d %s, want /topic/kept", code, body)
		}
	})
	t.Run("speaks_stomp_over_websocket", func(t *testing.T) {
		node := startNode(t, t.TempDir(), "--ws-path=/live")
		if !strings.HasSuffix(node.url["websocket"], "/live") {
			t.Errorf("websocket at %s, want /live", node.url["websocket"])
		}
		if got := runBinary(t, nil, "pub", "--url="+node.url["websocket"], "/queue/web", "over"); got.code != 0 {
			t.Fatalf("pub: exit code %d, %s", got.code, got.stderr)
		}
		if got := runBinary(t, nil, "sub", "--url="+node.url["stomp"], "--count=1", "/queue/web"); !strings.Contains(got.stdout, "over") {
			t.Errorf("sub: exit code %d, %q %q, want the message", got.code, got.stdout, got.stderr)
		}
	})
	t.Run("ends_with_0_after_a_drain_by_the_admin_api", func(t *testing.T) {
		node := startNode(t, t.TempDir(), "--drain-delay=1s")
		got := runBinary(t, nil, "drain", "--admin="+strings.TrimPrefix(node.url["admin"], "http://"))
		if got.code != 0 {
			t.Fatalf("drain: exit code %d, %s", got.code, got.stderr)
		}
		if code, body := fetch(t, "GET", node.url["health"]); code != 503 {
			t.Errorf("health = %d %s, want 503", code, body)
		}
		if got := connectStomp(t, dialStomp(t, node.url["stomp"]), "late", ""); !strings.HasPrefix(got, "CONNECTED\n") {
			t.Errorf("CONNECT within --drain-delay was answered %q, want CONNECTED", got)
		}
		if code := node.wait(t); code != 0 {
			t.Errorf("exit code = %d, want 0", code)
		}
	})
	t.Run("a_second_sigterm_ends_at_once_with_1", func(t *testing.T) {
		node := startNode(t, t.TempDir(), "--drain-delay=60s", "--drain-timeout=60s")
		session := dialStomp(t, node.url["stomp"])
		connectStomp(t, session, "ada", "")
		begun := time.Now()
		node.signal(t, syscall.SIGTERM)
		node.await(t, `"draining"`)
		if code, _ := fetch(t, "GET", node.url["health"]); code != 503 {
			t.Errorf("health while draining = %d, want 503", code)
		}
		node.signal(t, syscall.SIGTERM)
		rest := node.rest()
		if code := node.wait(t); code != 1 || len(rest) != 1 || !strings.Contains(rest[0], "before the drain was over") {
			t.Errorf("exit code = %d with %q, want 1 and one line", code, rest)
		}
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("took %v, want at once", took)
		}
	})
	t.Run("closes_sessions_when_it_drains", func(t *testing.T) {
		node := startNode(t, t.TempDir())
		session := dialStomp(t, node.url["stomp"])
		connectStomp(t, session, "ada", "")
		node.signal(t, syscall.SIGTERM)
		rest, err := io.ReadAll(session)
		if err != nil || !strings.Contains(string(rest), "server-draining") || !strings.Contains(string(rest), "retry-after:") {
			t.Errorf("the session was told %q, %v, want ERROR server-draining with retry-after", rest, err)
		}
		if code := node.wait(t); code != 0 {
			t.Errorf("exit code = %d, want 0", code)
		}
	})
	t.Run("names_the_flag_whose_address_is_taken", func(t *testing.T) {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		node := launch(t, t.TempDir(), "--stomp-addr="+taken.Addr().String())
		rest := node.rest()
		if code := node.wait(t); code != 1 || len(rest) != 1 || !strings.Contains(rest[0], "--stomp-addr") || !strings.Contains(rest[0], "in use") {
			t.Errorf("exit code = %d with %q, want 1 and a line with the flag", code, rest)
		}
	})
	t.Run("refuses_a_data_directory_in_use", func(t *testing.T) {
		dir := t.TempDir()
		startNode(t, dir)
		second := launch(t, dir)
		rest := second.rest()
		if code := second.wait(t); code != 1 || len(rest) != 1 || !strings.Contains(rest[0], dir) {
			t.Errorf("exit code = %d with %q, want 1 and a line with the folder", code, rest)
		}
	})
	t.Run("asks_for_the_admin_token", func(t *testing.T) {
		token := filepath.Join(t.TempDir(), "token")
		writeTestFile(t, token, "t0ken\n")
		node := startNode(t, t.TempDir(), "--admin-token-file="+token)
		if code, _ := fetch(t, "POST", node.url["admin"]+"/drain"); code != 401 {
			t.Errorf("drain without the token = %d, want 401", code)
		}
	})
	t.Run("lets_in_whom_the_users_file_knows", func(t *testing.T) {
		users := filepath.Join(t.TempDir(), "users")
		// The passcode is "secret".
		writeTestFile(t, users, "alice:$2a$04$gYUomZ1j0qv6zxAdYHgdH.zlmKuB/qV.124OJNCTY6oXpQiE0hlcG\n")
		node := startNode(t, t.TempDir(), "--auth=users", "--users-file="+users)
		for passcode, want := range map[string]string{"secret": "CONNECTED\n", "wrong": "ERROR\n"} {
			if got := connectStomp(t, dialStomp(t, node.url["stomp"]), "alice", passcode); !strings.HasPrefix(got, want) {
				t.Errorf("passcode %q: CONNECT was answered %q, want %q", passcode, got, want)
			}
		}
	})
	t.Run("speaks_tls_on_its_http_and_stomp_addresses", func(t *testing.T) {
		cert, key, _ := writeCertificate(t, "node")
		node := startNode(t, t.TempDir(), "--stomp-tls-addr=127.0.0.1:0", "--tls-cert="+cert, "--tls-key="+key)
		if !strings.HasPrefix(node.url["health"], "https://") || !strings.HasPrefix(node.url["websocket"], "wss://") {
			t.Errorf("addresses %v, want https and wss", node.url)
		}
		if code, body := fetch(t, "GET", node.url["health"]); code != 200 {
			t.Errorf("health = %d %s, want 200", code, body)
		}
		if got := connectStomp(t, dialStomp(t, node.url["stomp-tls"]), "ada", ""); !strings.HasPrefix(got, "CONNECTED\n") {
			t.Errorf("CONNECT over TLS was answered %q, want CONNECTED", got)
		}
	})
}
