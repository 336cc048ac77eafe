package main

// queue_crash_test.go: what a queue owes to its consumers when one of them, or the broker, is killed.

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	consumerEnv         = "STAMPEDE_TEST_CONSUMER" // a queueConsumer in JSON: this process is that consumer
	consumerLoadMin     = 5 * time.Millisecond     // a consumer settles for so long, and up to
	consumerLoadMax     = 250 * time.Millisecond   // so long, before the broker is killed, or
	consumerReceiptsMax = 100                      // for up to so many receipts of one of them
	consumerHoldEvery   = 7
)

// consumeHere is the process of a consumer. It ends when it is killed, or with the broker.
func consumeHere(order string) int {
	var c queueConsumer
	if err := json.Unmarshal([]byte(order), &c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if err := c.run(context.Background(), func(line string) { fmt.Println(line) }); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return 1
}

// consumerProcess is a consumer in a process of its own, to be killed.
type consumerProcess struct {
	*journal
	command   *exec.Cmd
	killAfter int           // deliveries; 0: kill is called for it
	ended     chan struct{} // closed when all that it said is in the journal
}

func startConsumerProcess(t *testing.T, c queueConsumer, killAfter int) *consumerProcess {
	t.Helper()
	order, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	p := &consumerProcess{journal: newJournal(), command: exec.Command(os.Args[0], "-test.run=^$"), killAfter: killAfter, ended: make(chan struct{})}
	p.command.Env = append(os.Environ(), consumerEnv+"="+string(order))
	p.command.Stderr = os.Stderr
	out, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(bufio.NewReader(out))
	t.Cleanup(func() {
		_ = p.command.Process.Kill() // it may be gone
		<-p.ended
	})
	return p
}

// read notes whole lines; a torn one was never said. What stands in the pipe when the consumer is killed was said.
func (p *consumerProcess) read(lines *bufio.Reader) {
	defer close(p.ended)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		p.take(line[:len(line)-1])
		if got, _ := p.counts(); got == p.killAfter && got > 0 {
			_ = p.command.Process.Signal(syscall.SIGKILL) // if it has ended by itself, awaitKilled complains
		}
	}
	_ = p.command.Wait() // its state says how it ended
}

// kill ends the consumer as a power switch does.
func (p *consumerProcess) kill(t *testing.T) {
	t.Helper()
	if err := p.command.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatalf("kill the consumer: %v", err)
	}
}

// awaitKilled waits until the consumer is gone and the broker knows it.
func (p *consumerProcess) awaitKilled(t *testing.T, b *crashBroker, queue string, othersOn int) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(startTimeout):
		t.Fatalf("the consumer was not killed; it got %d messages, want %d", len(p.got), p.killAfter)
	}
	if code := p.command.ProcessState.ExitCode(); code != -1 {
		t.Errorf("the consumer ended by itself with exit code %d", code)
	}
	await(t, "the broker misses the consumer", func() bool { return b.queue(t, queue).Subscriptions == othersOn })
}

// awaitCounts waits until the consumer has got and settled so many.
func (j *journal) awaitCounts(t *testing.T, got, settled int) {
	t.Helper()
	await(t, fmt.Sprintf("a consumer with %d deliveries, %d settled", got, settled), func() bool {
		g, s := j.counts()
		return g >= got && s >= settled
	})
}

// localConsumer is a consumer in the process of the test.
type localConsumer struct {
	*journal
	trap  *trap
	stop  context.CancelFunc
	ended chan struct{}
	err   error
}

func startLocalConsumer(t *testing.T, c queueConsumer, trap *trap) *localConsumer {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &localConsumer{journal: newJournal(), trap: trap, stop: stop, ended: make(chan struct{})}
	go l.run(ctx, c)
	t.Cleanup(l.close)
	return l
}

func (l *localConsumer) run(ctx context.Context, c queueConsumer) {
	defer close(l.ended)
	l.err = c.run(ctx, func(line string) {
		if strings.HasPrefix(line, "receipt ") {
			l.trap.receipt()
		}
		l.take(line)
	})
}

func (l *localConsumer) close() {
	l.stop()
	<-l.ended
}

// checkLives checks what all consumers of a queue saw over several lives of the broker or of a consumer. The journals of one life ran side
// by side; those of the last life had to settle everything.
func checkLives(t *testing.T, lives [][]*journal, publishers []*crashPublisher) {
	t.Helper()
	seen := fates{t: t, byOffset: map[uint64]*fate{}, byMessage: map[string]uint64{}}
	for life, journals := range lives {
		for _, j := range journals {
			if j.fault != nil {
				t.Errorf("life %d: %v", life, j.fault)
			}
			for _, d := range j.got {
				seen.came(life, d)
			}
		}
		for _, j := range journals {
			for group := range j.receipted {
				for _, offset := range j.groups[group] {
					seen.byOffset[offset].settled = true
				}
			}
		}
	}
	for life, journals := range lives {
		for _, j := range journals {
			seen.checkGroups(life, j)
			seen.checkHeld(life, len(lives)-1, j)
		}
	}
	for _, p := range publishers {
		for number := range p.receipted {
			if _, came := seen.byMessage[messageKey(p.name, number)]; !came {
				t.Errorf("%s %d was receipted and never came", p.name, number)
			}
		}
	}
}

// fate is what became of one message.
type fate struct {
	last    delivery
	life    int  // of the last delivery
	settled bool // with a receipt
}

type fates struct {
	t         *testing.T
	byOffset  map[uint64]*fate
	byMessage map[string]uint64
}

func messageKey(from string, number int) string { return fmt.Sprintf("%s %d", from, number) }

// came notes a delivery, which must be allowed by those before it.
func (s *fates) came(life int, d delivery) {
	s.t.Helper()
	key := messageKey(d.from, d.number)
	if offset, known := s.byMessage[key]; known && offset != d.offset {
		s.t.Errorf("life %d: %v came at offset %d before", life, d, offset)
	}
	s.byMessage[key] = d.offset
	f := s.byOffset[d.offset]
	if f == nil {
		s.byOffset[d.offset] = &fate{last: d, life: life}
		return
	}
	switch {
	case f.last.from != d.from || f.last.number != d.number:
		s.t.Errorf("life %d: %v was %v before", life, d, f.last)
	case f.life == life:
		s.t.Errorf("life %d: %v came twice, first as %v", life, d, f.last)
	case f.settled:
		s.t.Errorf("life %d: %v came again after its ACK was receipted in life %d", life, d, f.life)
	case !d.redelivered || d.count <= f.last.count:
		s.t.Errorf("life %d: %v came again, and as %v in life %d", life, d, f.last, f.life)
	}
	f.last, f.life = d, life
}

// checkGroups: what was to be settled together, and has no receipt, came again whole or not at all.
func (s *fates) checkGroups(life int, j *journal) {
	s.t.Helper()
	for group, offsets := range j.groups {
		again := 0
		for _, offset := range offsets {
			if s.byOffset[offset].life > life {
				again++
			}
		}
		if again != 0 && again != len(offsets) {
			s.t.Errorf("life %d: %d of the %d messages of group %s came again, want all or none", life, again, len(offsets), group)
		}
	}
}

// checkHeld: what was held came again. In the last life nothing is left over.
func (s *fates) checkHeld(life, last int, j *journal) {
	s.t.Helper()
	settling := map[uint64]bool{}
	for group, offsets := range j.groups {
		for _, offset := range offsets {
			settling[offset] = life < last || j.receipted[group]
		}
	}
	for _, d := range j.got {
		if !settling[d.offset] && s.byOffset[d.offset].life == life {
			s.t.Errorf("life %d: %v was not settled and never came again", life, d)
		}
	}
}

func TestQueueCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: kills the broker and its consumers")
	}
	t.Run("a_killed_consumer_gives_back_its_unacked_in_their_places", killedConsumerGivesBack)
	t.Run("others_process_what_a_killed_consumer_held", othersProcessWhatWasHeld)
	t.Run("acked_and_receipted_never_comes_again_after_broker_kill_9", settledNeverComesAgain)
}

// Two consumers are killed one after the other when they have used up their credit, and a third takes all: it is known to the message what
// comes, and when.
func killedConsumerGivesBack(t *testing.T) {
	const queue, credit = "/queue/held", 50
	b := newCrashBroker(t)
	b.start(t)
	sent := &crashPublisher{name: "early", url: b.tcp, destination: queue}
	sent.publish(t, 200)

	// Of 150 messages the first consumer settles 100 and holds all that its credit allows.
	first := startConsumerProcess(t, queueConsumer{URL: b.tcp, Queue: queue, Mode: oneByOne, Credit: credit, HoldEvery: 3}, 0)
	first.awaitCounts(t, 150, 100)
	if q := b.queue(t, queue); q.Messages != 100 || q.Unsettled != credit {
		t.Errorf("queue = %+v, want 100 messages, %d unsettled", q, credit)
	}
	first.kill(t)
	first.awaitKilled(t, b, queue, 0)

	// The second is given what the first held, then the 50 that nobody was given; it holds 25 of the former and 8 of the latter.
	second := startConsumerProcess(t, queueConsumer{URL: b.tcp, Queue: queue, Mode: oneByOne, Credit: credit, HoldEvery: 6}, 0)
	second.awaitCounts(t, 100, 67)
	second.kill(t)
	second.awaitKilled(t, b, queue, 0)
	third := b.drain(t, queue)

	var wantSecond, wantThird []string
	for number := 3; number <= 150; number += 3 {
		wantSecond = append(wantSecond, fmt.Sprintf("%d redelivered=true count=2", number))
		if number%6 == 0 {
			wantThird = append(wantThird, fmt.Sprintf("%d redelivered=true count=3", number))
		}
	}
	for number := 151; number <= 200; number++ {
		wantSecond = append(wantSecond, fmt.Sprintf("%d redelivered=false count=1", number))
		if number%6 == 0 {
			wantThird = append(wantThird, fmt.Sprintf("%d redelivered=true count=2", number))
		}
	}
	wantThird = append(wantThird, "1 redelivered=false count=1") // the marker at the end
	for name, c := range map[string]struct {
		got  []delivery
		want []string
	}{"second": {second.got, wantSecond}, "third": {third.got, wantThird}} {
		if got := describe(c.got); !slices.Equal(got, c.want) {
			t.Errorf("the %s consumer got\n%q, want\n%q", name, got, c.want)
		}
		if !slices.IsSortedFunc(c.got, byOffset) {
			t.Errorf("the %s consumer got %v, want ascending offsets", name, c.got)
		}
	}
	checkLives(t, [][]*journal{{first.journal}, {second.journal}, {third}}, []*crashPublisher{sent})
	b.kill(t)
}

func describe(deliveries []delivery) []string {
	all := make([]string, len(deliveries))
	for i, d := range deliveries {
		all[i] = fmt.Sprintf("%d redelivered=%v count=%d", d.number, d.redelivered, d.count)
	}
	return all
}

// One of three consumers is killed at a random moment while publishers send, again and again.
func othersProcessWhatWasHeld(t *testing.T) {
	const queue = "/queue/shared"
	random, b := crashRandom(t), newCrashBroker(t)
	b.start(t)
	publishers := []*crashPublisher{{name: "one", url: b.tcp, destination: queue}, {name: "two", url: b.ws, destination: queue}}
	startPublishers(t, publishers)
	survivors := []*localConsumer{
		startLocalConsumer(t, queueConsumer{URL: b.tcp, Queue: queue, Mode: oneByOne, Credit: 20}, nil),
		startLocalConsumer(t, queueConsumer{URL: b.ws, Queue: queue, Mode: oneByOne, Credit: 20}, nil),
	}
	var lives [][]*journal
	for range 3 {
		killAfter := 20 + random.IntN(400)
		victim := startConsumerProcess(t, queueConsumer{URL: b.tcp, Queue: queue, Mode: oneByOne, Credit: 100, HoldEvery: consumerHoldEvery}, killAfter)
		victim.awaitKilled(t, b, queue, len(survivors))
		lives = append(lives, []*journal{victim.journal})
		got, settled := victim.counts()
		t.Logf("killed with %d deliveries, %d settled with a receipt", got, settled)
	}
	for _, p := range publishers {
		p.finishing.Store(true)
		if <-p.ended; p.err != nil {
			t.Fatalf("publisher %s: %v", p.name, p.err)
		}
	}
	await(t, "an empty queue", func() bool { return b.queue(t, queue).Messages == 0 })
	var last []*journal
	for _, s := range survivors {
		await(t, "the last receipts", func() bool { got, settled := s.counts(); return got == settled })
		if s.close(); s.err != nil {
			t.Errorf("a consumer that nobody killed: %v", s.err)
		}
		last = append(last, s.journal)
	}
	checkLives(t, append(lives, last), publishers)
	b.kill(t)
}

// The broker is killed at random moments while consumers settle in all ways that there are and publishers send.
func settledNeverComesAgain(t *testing.T) {
	const queue = "/queue/settled"
	random, rounds, b := crashRandom(t), crashRounds(t), newCrashBroker(t)
	early := &crashPublisher{name: "early", url: b.tcp, destination: queue}
	late := []*crashPublisher{{name: "late", url: b.tcp, destination: queue}}
	var lives [][]*journal
	for range rounds {
		b.start(t)
		early.publish(t, 1000)
		startPublishers(t, late)
		life := b.settleAndCrash(t, random, queue)
		awaitPublishers(t, late)
		lives = append(lives, life)
	}
	b.start(t)
	rest := b.drain(t, queue)
	if !slices.IsSortedFunc(rest.got, byOffset) {
		t.Error("what was left in the queue did not come in the order of offsets")
	}
	checkLives(t, append(lives, []*journal{rest}), append(late, early))

	// Everything is settled with receipts now: one more crash, and nothing may be there.
	b.kill(t)
	b.start(t)
	if q := b.queue(t, queue); q != (queueState{}) {
		t.Errorf("queue = %+v after all was settled and the broker killed, want none", q)
	}
	b.stopAndVerify(t)
}

// settleAndCrash runs a consumer of each mode, kills the broker, and gives what they had seen.
func (b *crashBroker) settleAndCrash(t *testing.T, random *rand.Rand, queue string) []*journal {
	t.Helper()
	modes := []string{oneByOne, cumulative, inTransactions}
	trapped := random.IntN(2 * len(modes)) // beyond them: nobody
	var consumers []*localConsumer
	for i, mode := range modes {
		set := &trap{spring: b.strike}
		if i == trapped {
			set.left.Store(1 + random.Int64N(consumerReceiptsMax))
		}
		consumers = append(consumers, startLocalConsumer(t, queueConsumer{URL: b.tcp, Queue: queue, Mode: mode, Credit: 100}, set))
	}
	if trapped >= len(modes) {
		<-time.After(between(random, consumerLoadMin, consumerLoadMax))
		b.strike()
	}
	b.awaitKilled(t)
	var life []*journal
	for _, c := range consumers {
		if <-c.ended; !brokenOff(c.err) {
			t.Errorf("a consumer: %v", c.err)
		}
		got, settled := c.counts()
		t.Logf("killed with %d deliveries, %d settled with a receipt", got, settled)
		life = append(life, c.journal)
	}
	return life
}
