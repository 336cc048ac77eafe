package cluster_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"stampede/broker"
	"stampede/cluster"
)

const (
	crashDirEnv    = "STAMPEDE_TEST_CRASH_DIR" // the child's data directory: this process is the child
	crashRunEnv    = "STAMPEDE_TEST_CRASH_RUN" // which of its lives this is
	crashPadEnv    = "STAMPEDE_TEST_CRASH_PAD" // bytes of headers that each message carries besides
	crashes        = 5
	crashOutcomes  = 2000 // printed outcomes after which the child is killed, some more each time
	crashWindow    = 500  // submissions of the child without outcome
	crashReadyMax  = 2 * time.Second
	crashReadyLine = "ready"
)

// crashPrinter is the child's Performer: it prints each outcome.
type crashPrinter struct {
	out   *bufio.Writer
	space chan struct{}
}

func (p *crashPrinter) Outcome(t cluster.Ticket, seq broker.Seq, refusal broker.Refusal) {
	fmt.Fprintf(p.out, "%s %d %d\n", t.Tag, seq, refusal)
	<-p.space
}
func (p *crashPrinter) Perform(*broker.Effects)         {}
func (p *crashPrinter) Flush()                          { _ = p.out.Flush() } // the parent has gone if this fails
func (p *crashPrinter) Unanswered(cluster.Ticket, bool) {}
func (p *crashPrinter) Evicted()                        {}

// crashChild runs a node and submits until it is killed.
func crashChild(dir string) int {
	p := &crashPrinter{out: bufio.NewWriter(os.Stdout), space: make(chan struct{}, crashWindow)}
	node, err := cluster.Open(testConfig(dir), quiet())
	if err != nil {
		fmt.Println("open:", err)
		return 1
	}
	go awaitReady(node)
	go submitForever(node, p)
	if err := node.Run(context.Background(), p); err != nil {
		fmt.Println("run:", err)
	}
	return 1
}

func awaitReady(node *cluster.Node) {
	<-node.Ready()
	fmt.Fprintln(os.Stderr, crashReadyLine)
}

func submitForever(node *cluster.Node, p *crashPrinter) {
	run := os.Getenv(crashRunEnv)
	pad, _ := strconv.Atoi(os.Getenv(crashPadEnv)) // none unless it is set
	headers := make([]byte, pad)
	for i := 0; ; i++ {
		p.space <- struct{}{}
		tag := run + ":" + strconv.Itoa(i)
		facts := broker.AppendFact(nil, broker.MessageSent{Message: &broker.Message{Kind: broker.KindTopic, Dest: "/topic/crash", Headers: headers, Body: []byte(tag)}})
		if err := node.Submit(context.Background(), facts, []cluster.Ticket{{Owner: p, Tag: tag}}); err != nil {
			return
		}
	}
}

// printed is one outcome that the child told before it was killed.
type printed struct {
	tag string
	seq broker.Seq
}

// crashOnce runs the child until it has printed enough, kills it, and returns what it printed and how long it took to be ready.
func crashOnce(t testing.TB, dir string, life, outcomes, pad int) (told []printed, ready time.Duration) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), crashDirEnv+"="+dir, crashRunEnv+"="+strconv.Itoa(life), crashPadEnv+"="+strconv.Itoa(pad))
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	diagnostics, err := child.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	readyLine, err := bufio.NewReader(diagnostics).ReadString('\n')
	ready = time.Since(start)
	if err != nil || strings.TrimSpace(readyLine) != crashReadyLine {
		why, _ := io.ReadAll(out)
		t.Fatalf("child says %q, %v, then %q, want ready", readyLine, err, why)
	}
	lines := bufio.NewReader(out)
	for err == nil {
		var line string
		if line, err = lines.ReadString('\n'); err != nil {
			break // killed: what stands in the pipe was read, a torn line tells nothing
		}
		var p printed
		var refusal int
		if _, bad := fmt.Sscanf(line, "%s %d %d", &p.tag, &p.seq, &refusal); bad != nil || refusal != 0 {
			t.Errorf("child printed %q", line)
			break
		}
		told = append(told, p)
		if len(told) == outcomes {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("read child: %v", err)
	}
	if err := child.Wait(); err == nil {
		t.Error("child ended by itself")
	}
	return told, ready
}

// Every outcome that a killed node had told is in its log afterwards, at its Seq and in its order.
func TestCrashLosesNothingThatWasAcknowledged(t *testing.T) {
	if testing.Short() {
		t.Skip("runs child processes")
	}
	dir := t.TempDir()
	var told []printed
	for life := range crashes {
		more, ready := crashOnce(t, dir, life, crashOutcomes+life*137, 0)
		told = append(told, more...)
		if ready > crashReadyMax {
			t.Errorf("life %d was ready after %v, want at most %v", life, ready, crashReadyMax)
		}
	}

	n := run(t, testConfig(dir))
	for i, p := range told {
		m, err := n.Message(p.seq)
		if err != nil || string(m.Body) != p.tag {
			t.Fatalf("message %d = %+v, %v, want %s", p.seq, m, err, p.tag)
		}
		if i > 0 && p.seq <= told[i-1].seq {
			t.Errorf("%s has seq %d, %s before it %d", p.tag, p.seq, told[i-1].tag, told[i-1].seq)
		}
	}
	// Within each life the bodies count up without a gap: nothing that came before something acknowledged is missing.
	next := make(map[string]int)
	for _, m := range scanAll(t, n, "/topic/crash", nil, 1, 1000) {
		life, number, _ := strings.Cut(string(m.Body), ":")
		if want := strconv.Itoa(next[life]); number != want {
			t.Fatalf("message %d of life %s has number %s, want %s", m.Seq, life, number, want)
		}
		next[life]++
	}
	if got := len(next); got != crashes {
		t.Errorf("lives in the log = %d, want %d", got, crashes)
	}
	if got, want := n.Incarnation(), uint64(crashes+1); got != want {
		t.Errorf("incarnation = %d, want %d", got, want)
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	report, err := cluster.Verify(context.Background(), dir, nil)
	if err != nil || report.Err() != nil {
		t.Errorf("verify = %+v, %v", report, err)
	}
}

// BenchmarkRestart measures how long a killed node takes from the start of its process until it is ready again, by the size of its log.
func BenchmarkRestart(b *testing.B) {
	const pad = 16 << 10
	for _, megabytes := range []int{64, 256} {
		b.Run(fmt.Sprintf("log=%dMB", megabytes), func(b *testing.B) {
			dir := b.TempDir()
			crashOnce(b, dir, 0, megabytes<<20/pad, pad)
			var total time.Duration
			life := 0
			for b.Loop() {
				life++
				_, ready := crashOnce(b, dir, life, 1, 0)
				total += ready
			}
			b.ReportMetric(float64(total.Milliseconds())/float64(life), "ready-ms")
		})
	}
}
