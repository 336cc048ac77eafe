package main

// crash_test.go: a broker that is killed under load keeps what it has promised. Variables of the environment: STAMPEDE_CRASH_ROUNDS is how
// often it is killed (up to about 100: then the queue is full), STAMPEDE_CRASH_SEED makes the random moments of an earlier run happen again.

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stampede/internal/loopback"
)

const (
	crashRoundsEnv     = "STAMPEDE_CRASH_ROUNDS"
	crashSeedEnv       = "STAMPEDE_CRASH_SEED"
	crashRoundsDefault = 5
	crashTopic         = "/topic/crash"
	crashQueue         = "/queue/crash"
	crashLoadMin       = 50 * time.Millisecond  // a broker is under load for so long, and up to
	crashLoadMax       = 600 * time.Millisecond // so long, before it is killed, or
	crashReceiptsMax   = 4000                   // for up to so many receipts of one of its clients
	crashStartMax      = 80 * time.Millisecond  // a start that is not to succeed is killed within
)

// crashRounds is how often a broker is killed in the test.
func crashRounds(t *testing.T) int {
	t.Helper()
	return numberOf(t, crashRoundsEnv, crashRoundsDefault)
}

// numberOf reads a size of a test from the environment.
func numberOf(t *testing.T, env string, otherwise int) int {
	t.Helper()
	text, ok := os.LookupEnv(env)
	if !ok {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: want a number of at least 1", env, text)
	}
	return n
}

// crashRandom is a source of chance whose seed is printed.
func crashRandom(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text, ok := os.LookupEnv(crashSeedEnv); ok {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", crashSeedEnv, err)
		}
	}
	t.Logf("%s=%d", crashSeedEnv, seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func between(random *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(random.Int64N(int64(most-least)))
}

// crashBroker is a broker that is killed and started again on the same data directory and ports.
type crashBroker struct {
	dir, tcp, ws, health, admin string
	args                        []string
	node                        *running // the last one started
}

func newCrashBroker(t *testing.T) *crashBroker {
	t.Helper()
	http, stomp, admin := loopback.Addr(t), loopback.Addr(t), loopback.Addr(t)
	return &crashBroker{
		dir: t.TempDir(), tcp: "tcp://" + stomp, ws: "ws://" + http, health: "http://" + http + "/health", admin: "http://" + admin,
		args: []string{"--http-addr=" + http, "--stomp-addr=" + stomp, "--admin-addr=" + admin},
	}
}

// start gives the time from the start of the process to its health.
func (b *crashBroker) start(t *testing.T) time.Duration {
	t.Helper()
	begun := time.Now()
	b.launch(t)
	b.awaitReady(t)
	return time.Since(begun)
}

func (b *crashBroker) launch(t *testing.T) {
	t.Helper()
	b.node = launch(t, b.dir, b.args...)
}

// awaitReady waits until the node says that it is ready.
func (b *crashBroker) awaitReady(t *testing.T) {
	t.Helper()
	ask := http.Client{Timeout: startTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, ready := "no answer", false
	defer func() {
		if !ready {
			t.Logf("%s = %s; the log says %q", b.health, answer, b.node.linesSoFar())
		}
	}()
	await(t, "GET "+b.health+" = 200", func() bool {
		select {
		case <-b.node.ended:
			t.Fatalf("the broker ended at its start: %q", b.said())
		default:
		}
		response, err := ask.Get(b.health)
		if err != nil {
			return false // it does not listen yet
		}
		defer func() { _ = response.Body.Close() }() // was read
		body, err := io.ReadAll(response.Body)
		answer = fmt.Sprintf("%d %s, %v", response.StatusCode, body, err)
		ready = response.StatusCode == http.StatusOK
		return ready
	})
}

// strike kills the broker and waits for nothing.
func (b *crashBroker) strike() {
	_ = b.node.command.Process.Signal(syscall.SIGKILL) // if it has ended by itself, awaitKilled complains
}

// kill ends the broker as a power switch does.
func (b *crashBroker) kill(t *testing.T) {
	t.Helper()
	b.strike()
	b.awaitKilled(t)
}

// awaitKilled waits for the end of a broker that is killed. What it complained about before is a failure.
func (b *crashBroker) awaitKilled(t *testing.T) {
	t.Helper()
	if said := b.said(); len(said) > 0 {
		t.Errorf("the broker said %q", said)
	}
	if code := b.node.wait(t); code != -1 {
		t.Errorf("the broker had ended before it was killed, exit code %d", code)
	}
}

// said gives the errors of the log, and what is no log, up to the end of the process; it makes an end if there is none.
func (b *crashBroker) said() (said []string) {
	late := time.AfterFunc(startTimeout, b.strike)
	defer func() {
		if !late.Stop() {
			said = append(said, "(nothing: it did not end)")
		}
	}()
	for line := range b.node.lines {
		if !strings.HasPrefix(line, "{") || strings.Contains(line, `"level":"ERROR"`) {
			said = append(said, line)
		}
	}
	return said
}

// killAtStart starts the broker and kills it before it is ready, or soon after.
func (b *crashBroker) killAtStart(t *testing.T, random *rand.Rand) {
	t.Helper()
	b.node = launch(t, b.dir, b.args...)
	<-time.After(between(random, time.Millisecond, crashStartMax))
	b.kill(t)
}

// queueState is what the admin API says of a queue.
type queueState struct {
	Name          string
	Messages      int
	Unsettled     int
	Subscriptions int
}

// queue gives the zero state for a queue that has left the broker's state.
func (b *crashBroker) queue(t *testing.T, name string) queueState {
	t.Helper()
	code, body := fetch(t, http.MethodGet, b.admin+"/api/v1/destinations")
	var list struct{ Items []queueState }
	if err := json.Unmarshal([]byte(body), &list); code != http.StatusOK || err != nil {
		t.Fatalf("destinations = %d %s, %v", code, body, err)
	}
	for _, q := range list.Items {
		if q.Name == name {
			return q
		}
	}
	return queueState{}
}

// watcher is a live subscriber to the topic: what it was shown must be in the log ever after.
type watcher struct {
	shown      []delivery
	subscribed chan struct{}
	ended      chan struct{}
	err        error
}

func startWatcher(t *testing.T, url string) *watcher {
	t.Helper()
	w := &watcher{subscribed: make(chan struct{}), ended: make(chan struct{})}
	go w.run(t.Context(), url)
	select {
	case <-w.subscribed:
	case <-w.ended:
		t.Fatalf("subscribe to %s: %v", crashTopic, w.err)
	}
	return w
}

func (w *watcher) run(ctx context.Context, url string) {
	defer close(w.ended)
	w.err = readTopic(ctx, url, crashTopic, func() { close(w.subscribed) }, func(d delivery) bool {
		w.shown = append(w.shown, d)
		return false
	})
}

// crashUnderLoad lets the publishers send and kills the broker, at a random time or at a random receipt. It gives what a live subscriber had
// been shown.
func (b *crashBroker) crashUnderLoad(t *testing.T, random *rand.Rand, publishers []*crashPublisher) []delivery {
	t.Helper()
	w := startWatcher(t, b.tcp)
	trapped := &trap{spring: b.strike}
	publishers[random.IntN(len(publishers))].trap = trapped
	startPublishers(t, publishers)
	if random.IntN(2) == 0 {
		trapped.left.Store(1 + random.Int64N(crashReceiptsMax))
	} else {
		<-time.After(between(random, crashLoadMin, crashLoadMax))
		b.strike()
	}
	b.awaitKilled(t)
	awaitPublishers(t, publishers)
	<-w.ended
	if !brokenOff(w.err) {
		t.Errorf("the live subscriber: %v", w.err)
	}
	return w.shown
}

// checkTopic reads the topic from the first message up to a marker that it sends, compares with what was read before, and gives what it read.
func (b *crashBroker) checkTopic(t *testing.T, before, shown []delivery, marker *crashPublisher, publishers []*crashPublisher) []delivery {
	t.Helper()
	marker.publish(t, 1)
	var all []delivery
	err := readTopic(t.Context(), b.tcp, crashTopic, func() {}, func(d delivery) bool {
		all = append(all, d)
		return d.from == marker.name && d.number == marker.sent
	}, "x-stream-offset", "first")
	if err != nil {
		t.Fatalf("read the topic: %v after %d messages", err, len(all))
	}
	for i, was := range before {
		if i >= len(all) || all[i] != was {
			t.Fatalf("message %d of the topic was %v before the crash, is now: %v", i, was, all[i:min(i+3, len(all))])
		}
	}
	for i, d := range all[1:] {
		if d.offset <= all[i].offset {
			t.Fatalf("%v comes after %v", d, all[i])
		}
	}
	for _, d := range shown {
		i, found := slices.BinarySearchFunc(all, d.offset, func(d delivery, offset uint64) int { return int(d.offset) - int(offset) })
		if !found || all[i] != d {
			t.Errorf("%v was shown to a subscriber before the crash and is not in the log", d)
		}
	}
	checkSent(t, all, append(publishers, marker))
	return all
}

// checkSent compares all that came with what was sent to that destination: everything receipted is there, in order, nothing twice.
func checkSent(t *testing.T, came []delivery, publishers []*crashPublisher) {
	t.Helper()
	numbers := map[string][]int{}
	for _, d := range came {
		numbers[d.from] = append(numbers[d.from], d.number)
		if d.redelivered || d.count != 1 {
			t.Errorf("%v, want none redelivered", d)
		}
	}
	for _, p := range publishers {
		sorted := slices.Sorted(slices.Values(numbers[p.name]))
		if !slices.Equal(sorted, numbers[p.name]) {
			t.Errorf("the messages of %s are not in the order of sending", p.name)
		}
		if len(slices.Compact(sorted)) < len(numbers[p.name]) {
			t.Errorf("messages of %s came twice", p.name)
		}
		for number := range p.receipted {
			if _, found := slices.BinarySearch(numbers[p.name], number); !found {
				t.Errorf("%s %d was receipted and is lost", p.name, number)
			}
		}
		delete(numbers, p.name)
	}
	for name := range numbers {
		t.Errorf("messages from %q, who sent none", name)
	}
}

// drain empties a queue up to a marker that it sends, and settles all of it.
func (b *crashBroker) drain(t *testing.T, queue string) *journal {
	t.Helper()
	marker := &crashPublisher{name: "end", url: b.tcp, destination: queue}
	marker.publish(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	silence := time.AfterFunc(crashSilenceMax, cancel)
	defer silence.Stop()
	j := newJournal()
	err := queueConsumer{URL: b.tcp, Queue: queue, Mode: oneByOne, Credit: 1000}.run(ctx, func(line string) {
		silence.Reset(crashSilenceMax)
		if j.take(line); j.settledWith(marker.name) {
			cancel()
		}
	})
	if got, settled := j.counts(); err != nil || !j.settledWith(marker.name) {
		t.Fatalf("empty %s: %v after %d deliveries, %d settled", queue, err, got, settled)
	}
	if left := b.queue(t, queue); left.Messages > 0 {
		t.Errorf("the last message of the queue came before others: %+v", left)
	}
	return j
}

func TestCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: kills the broker again and again")
	}
	t.Run("receipted_messages_survive_kill_9", func(t *testing.T) {
		random, rounds, b := crashRandom(t), crashRounds(t), newCrashBroker(t)
		toTopic := []*crashPublisher{
			{name: "tcp-1", url: b.tcp, destination: crashTopic}, {name: "tcp-2", url: b.tcp, destination: crashTopic},
			{name: "ws", url: b.ws, destination: crashTopic},
		}
		toQueue := []*crashPublisher{{name: "queue-tcp", url: b.tcp, destination: crashQueue}, {name: "queue-ws", url: b.ws, destination: crashQueue}}
		marker := &crashPublisher{name: "marker", url: b.tcp, destination: crashTopic}
		var log, shown []delivery
		var readies []time.Duration
		for round := range rounds + 1 {
			if round%3 == 2 {
				b.killAtStart(t, random)
			}
			ready := b.start(t)
			log = b.checkTopic(t, log, shown, marker, toTopic)
			queue := b.queue(t, crashQueue)
			t.Logf("life %d: ready after %v; %d messages in the topic, %d in the queue, %d receipted", round, ready.Round(100*time.Microsecond),
				len(log), queue.Messages, receipts(toTopic)+receipts(toQueue))
			readies = append(readies, ready)
			if round < rounds {
				shown = b.crashUnderLoad(t, random, slices.Concat(toTopic, toQueue))
			}
		}
		drained := b.drain(t, crashQueue)
		if n := len(drained.got); drained.got[n-1].from != "end" || !slices.IsSortedFunc(drained.got, byOffset) {
			t.Errorf("the queue did not come in the order of offsets")
		}
		checkSent(t, drained.got[:len(drained.got)-1], toQueue)
		b.stopAndVerify(t)
		first := readies[0]
		slices.Sort(readies[1:])
		t.Logf("ready: %v on an empty directory; after kill -9 p50 %v, max %v of %d", first, readies[1:][(len(readies)-2)/2], readies[len(readies)-1], rounds)
	})
}

func byOffset(a, b delivery) int { return int(a.offset) - int(b.offset) }

func receipts(publishers []*crashPublisher) (all int) {
	for _, p := range publishers {
		all += len(p.receipted)
	}
	return all
}

// stopAndVerify ends the broker in order; its log then has to fold to what is on disk.
func (b *crashBroker) stopAndVerify(t *testing.T) {
	t.Helper()
	b.node.signal(t, syscall.SIGTERM)
	if said := b.said(); len(said) > 0 {
		t.Errorf("the broker said %q", said)
	}
	if code := b.node.wait(t); code != 0 {
		t.Errorf("exit code = %d after SIGTERM, want 0", code)
	}
	got := runBinary(t, nil, "log", "verify", "--data-dir="+filepath.Join(b.dir, "data"))
	if got.code != 0 {
		t.Errorf("log verify: exit code %d, want 0\n%s%s", got.code, got.stdout, got.stderr)
	}
}
