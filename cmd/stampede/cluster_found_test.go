package main

// cluster_found_test.go: how clusters of processes begin, and begin again: with nodes killed while they found it, restarted in any order,
// replaced, over TLS. STAMPEDE_FOUND_ROUNDS is how many clusters are founded among kills.

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"stampede/internal/loopback"
)

const (
	foundKillRounds   = 3                      // clusters that are founded among kills, if the environment says nothing
	foundKillsMax     = 4                      // nodes that are killed while a cluster is founded
	foundKillPauseMax = 700 * time.Millisecond // a node that founds is killed within
)

// wantWhole checks that each node names the same three voters and one leader, and knows itself among them.
func (c testCluster) wantWhole(t *testing.T) {
	t.Helper()
	c.leader(t)
	name := c[0].status(t).Cluster
	for i, b := range c {
		s := b.status(t)
		voters, leaders, selves := 0, 0, 0
		for _, m := range s.Members {
			voters += count(m.Voter)
			leaders += count(m.Leader)
			selves += count(m.Self && m.Node == s.Node && m.Address == s.Address)
		}
		if s.Cluster != name || len(s.Members) != 3 || voters != 3 || leaders != 1 || selves != 1 {
			t.Errorf("node %d: %+v of %s, want three voters, one leader and itself, of %s", i+1, s.Members, s.Cluster, name)
		}
	}
}

// tellAtFailure prints what each node says of itself when the test has failed, and ends it.
func (c testCluster) tellAtFailure(t *testing.T) {
	t.Helper()
	if !t.Failed() {
		return
	}
	for i, b := range c {
		got := runBinary(t, nil, "status", "--admin="+strings.TrimPrefix(b.admin, "http://"))
		b.strike()
		t.Logf("node %d:\n%s%s%s", i+1, got.stdout, got.stderr, strings.Join(b.lastLines(), "\n"))
	}
}

// lastLines gives what a node that is killed has written and nobody has read.
func (b *crashBroker) lastLines() (lines []string) {
	for line := range b.node.lines {
		lines = append(lines, line)
	}
	return lines
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

func (c testCluster) awaitReady(t *testing.T) {
	t.Helper()
	for _, b := range c {
		b.awaitReady(t)
	}
}

func TestClusterFoundingAmongKills(t *testing.T) {
	skipShort(t)
	for range numberOf(t, foundRoundsEnv, foundKillRounds) {
		roundOfKillsWhileFounding(t, crashRandom(t))
	}
}

func roundOfKillsWhileFounding(t *testing.T, random *rand.Rand) {
	t.Helper()
	c := newTestCluster(t)
	defer c.tellAtFailure(t)
	for _, i := range random.Perm(len(c)) {
		<-time.After(time.Duration(random.Int64N(int64(foundKillPauseMax))))
		c[i].launch(t)
	}
	for range 1 + random.IntN(foundKillsMax) {
		<-time.After(time.Duration(random.Int64N(int64(foundKillPauseMax))))
		b := c[random.IntN(len(c))]
		b.kill(t)
		b.launch(t)
	}
	c.awaitReady(t)
	c.wantWhole(t)
	c.awaitAgreement(t)
	for _, b := range c {
		b.kill(t)
	}
}

func TestClusterRestart(t *testing.T) {
	skipShort(t)
	random, c := crashRandom(t), newTestCluster(t)
	c.start(t)
	publishers := []*crashPublisher{{name: "before", destination: crashTopic}}
	publish := func() {
		publishers[0].url = c[random.IntN(len(c))].tcp
		publishers[0].publish(t, 10)
	}
	end := func(b *crashBroker) {
		b.node.signal(t, syscall.SIGTERM)
		if said, code := b.said(), b.node.wait(t); code != 0 || len(said) > 0 {
			t.Errorf("exit code = %d with %q, want 0 and no complaint", code, said)
		}
	}
	publish()
	for _, i := range random.Perm(len(c)) { // one after the other, as a deployment does
		end(c[i])
		publishers[0].url = c[(i+1)%len(c)].tcp
		publishers[0].publish(t, 10)
		c[i].start(t)
	}
	for _, i := range random.Perm(len(c)) { // all
		end(c[i])
	}
	for _, i := range random.Perm(len(c)) {
		<-time.After(time.Duration(random.Int64N(int64(foundKillPauseMax))))
		c[i].launch(t)
	}
	c.awaitReady(t)
	publish()
	c.wantWhole(t)
	c.checkTopic(t, &crashPublisher{name: "marker", destination: crashTopic}, publishers)
	c.stopAndVerify(t)
}

func TestClusterReplacesANode(t *testing.T) {
	skipShort(t)
	c := newTestCluster(t)
	c.start(t)
	publisher := &crashPublisher{name: "before", destination: crashTopic, url: c[0].tcp}
	publisher.publish(t, 10)
	_, others := c.leader(t)
	lost := others[0]
	before := lost.status(t).Node
	lost.kill(t)
	if err := os.RemoveAll(lost.dir); err != nil {
		t.Fatal(err)
	}
	lost.start(t)
	s := lost.status(t)
	if s.Node == before {
		t.Error("an empty disk has the id of the one before")
	}
	for _, m := range s.Members {
		if m.Node == before || m.Self && m.Voter {
			t.Errorf("member %+v, want the lost node gone and the new one without a vote", m)
		}
	}
	c.awaitAgreement(t)
	c.checkTopic(t, &crashPublisher{name: "marker", destination: crashTopic}, []*crashPublisher{publisher})
	for _, b := range c {
		b.kill(t)
	}
}

func TestClusterOverTLS(t *testing.T) {
	skipShort(t)
	ours, c := newAuthority(t), newTestCluster(t)
	for _, b := range c {
		files := ours.sign(t, "node")
		b.args = append(b.args, "--cluster-tls-cert="+files.cert, "--cluster-tls-key="+files.key, "--cluster-tls-ca="+files.clientCA)
	}
	c.start(t)
	c.wantWhole(t)
	publisher := &crashPublisher{name: "tls", url: c[0].tcp, destination: crashTopic}
	publisher.publish(t, 10)
	c.checkTopic(t, &crashPublisher{name: "marker", destination: crashTopic}, []*crashPublisher{publisher})
	conn, err := net.Dial("tcp", c[0].status(t).Address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(startTimeout)); err != nil {
		t.Fatal(err)
	}
	hello := append([]byte{'M', 'S', 'T', 'P', 'D', 1}, make([]byte, 32)...) // of a node, in the clear
	answer := make([]byte, 5)
	if _, err := conn.Write(hello); err == nil {
		if n, err := conn.Read(answer); err == nil && strings.HasPrefix(string(answer[:n]), "STPD") {
			t.Errorf("a greeting in the clear was answered %q", answer[:n])
		}
	}
	for _, b := range c {
		b.kill(t)
	}
}

func TestNodeThatWaitsForOthers(t *testing.T) {
	c := newTestCluster(t)
	one := c[0]
	one.launch(t)
	await(t, "an answer of the admin address", func() bool {
		response, err := http.Get(one.admin + "/health/live")
		if err == nil {
			_ = response.Body.Close() // only whether there is one is wanted
		}
		return err == nil
	})
	t.Run("says_what_for", func(t *testing.T) {
		var got result
		await(t, "what the node waits for", func() bool {
			got = runBinary(t, nil, "status", "--admin="+strings.TrimPrefix(one.admin, "http://"))
			return strings.Contains(got.stdout, "waiting")
		})
		for _, want := range []string{"none yet", "role", "founding", "leader none", "3 nodes that agree, 1 are here", c[1].clusterAddr(), c[2].clusterAddr()} {
			if !strings.Contains(got.stdout, want) {
				t.Errorf("status has no %q:\n%s", want, got.stdout)
			}
		}
	})
	t.Run("is_not_ready", func(t *testing.T) {
		if code, body := fetch(t, http.MethodGet, one.health); code != http.StatusServiceUnavailable || !strings.Contains(body, `"starting"`) {
			t.Errorf("health = %d %s, want 503 starting", code, body)
		}
	})
	t.Run("ends_when_it_is_told", func(t *testing.T) {
		one.node.signal(t, syscall.SIGTERM)
		if said, code := one.said(), one.node.wait(t); code != 0 || len(said) > 0 {
			t.Errorf("exit code = %d with %q, want 0 and no complaint", code, said)
		}
	})
	t.Run("does_not_go_on_alone_once_it_has_promised_itself", func(t *testing.T) {
		file := filepath.Join(one.dir, "data", "node.json")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		promised := regexp.MustCompile(`\n}`).ReplaceAllString(string(text), `,"promise":{"candidate":"01ARZ3NDEKTSV4RRFFQ69G5FAV"}}`)
		writeTestFile(t, file, promised)
		alone := launch(t, one.dir)
		rest := alone.rest()
		if code := alone.wait(t); code != 1 || len(rest) != 1 || !strings.Contains(rest[0], "start it with its seeds again") {
			t.Errorf("exit code = %d with %q, want 1 and what to do", code, rest)
		}
	})
}

func (b *crashBroker) clusterAddr() string {
	for _, arg := range b.args {
		if addr, ok := strings.CutPrefix(arg, "--cluster-addr="); ok {
			return addr
		}
	}
	return ""
}

func TestClusterPortThatIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	node := launch(t, t.TempDir(), "--cluster-addr="+addr, "--cluster-seeds="+addr)
	rest := node.rest()
	if code := node.wait(t); code != 1 || len(rest) != 1 || !strings.Contains(rest[0], "--cluster-addr") || !strings.Contains(rest[0], "in use") {
		t.Errorf("exit code = %d with %q, want 1 and a line with the flag", code, rest)
	}
}

// The commands of the README are run as they stand there, but for the ports, which are free ones.
func TestThreeNodesOfTheReadme(t *testing.T) {
	skipShort(t)
	r := readReadme(t)
	for _, line := range r.commands("serve") {
		r.start(t, line)
	}
	admins := regexp.MustCompile(`--admin-addr[ =](\S+)`).FindAllStringSubmatch(strings.Join(r.commands("serve"), "\n"), -1)
	if len(admins) != 3 {
		t.Fatalf("the README starts %d nodes, want 3", len(admins))
	}
	for _, admin := range admins {
		await(t, "three voters and a leader, by "+admin[1], func() bool {
			got := r.run(t, "bin/stampede status --admin "+admin[1])
			return regexp.MustCompile(`status +ok,`).MatchString(got) && strings.Count(got, ", voter") == 3 && strings.Count(got, "voter, leader") == 1
		})
	}
	subs, pubs := r.commands("sub"), r.commands("pub")
	if len(subs) != 1 || len(pubs) != 1 {
		t.Fatalf("the README subscribes %q and publishes %q, want once each", subs, pubs)
	}
	heard := r.start(t, subs[0])
	await(t, "a subscription", func() bool {
		for _, admin := range admins {
			if strings.Contains(r.run(t, "bin/stampede status --json --admin "+admin[1]), `"subscriptions": 1`) {
				return true
			}
		}
		return false
	})
	r.run(t, pubs[0])
	await(t, "the message at the other node", func() bool { return strings.Contains(heard(), "hello") })
}

// readme is the block of the README that starts three nodes, on ports of this test.
type readme struct {
	dir   string
	lines []string
}

func readReadme(t *testing.T) *readme {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n### Three nodes\n")
	section, _, _ = strings.Cut(section, "\n#")
	ports := map[string]string{}
	section = regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllStringFunc(section, func(addr string) string {
		if ports[addr] == "" {
			ports[addr] = loopback.Addr(t)
		}
		return ports[addr]
	})
	r := &readme{dir: t.TempDir()}
	for line := range strings.Lines(section) {
		if command := strings.TrimPrefix(strings.TrimSpace(line), "$ "); strings.HasPrefix(command, "bin/stampede ") {
			r.lines = append(r.lines, command)
		}
	}
	if err := os.Mkdir(filepath.Join(r.dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(builtCommand, filepath.Join(r.dir, "bin", "stampede")); err != nil {
		t.Fatal(err)
	}
	return r
}

// commands gives the lines that run a sub-command.
func (r *readme) commands(name string) (list []string) {
	for _, line := range r.lines {
		if strings.HasPrefix(line, "bin/stampede "+name+" ") {
			list = append(list, line)
		}
	}
	return list
}

// start runs a line to the end of the test and gives what it has written so far.
func (r *readme) start(t *testing.T, line string) (written func() string) {
	t.Helper()
	c := commandIn(context.Background(), r.dir, "exec "+line)
	file, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout = file
	if err := c.Start(); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill() // it may be gone
		_ = c.Wait()         // killed
		_ = file.Close()     // read by name
	})
	return func() string {
		text, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

// run gives what a line prints. One that fails prints what is wrong.
func (r *readme) run(t *testing.T, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	out, _ := commandIn(ctx, r.dir, "exec "+line).CombinedOutput()
	return string(out)
}
