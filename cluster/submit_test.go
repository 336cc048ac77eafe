package cluster_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"stampede/broker"
	"stampede/cluster"
)

// Many sessions submit at once: each gets its own outcomes, in its own order, and the log has them in that order.
func TestSubmitKeepsTheOrderOfEachSubmitter(t *testing.T) {
	const submitters, each = 16, 500
	cfg := testConfig(t.TempDir())
	cfg.PendingBytesMax = 32 << 10 // they wait for one another
	cfg.BatchBytesMax = 4 << 10
	n := run(t, cfg)
	var tasks sync.WaitGroup
	for s := range submitters {
		tasks.Go(func() { submitMany(t, n, fmt.Sprint("s", s), each) })
	}
	tasks.Wait()
	outcomes := n.await(t, submitters*each)

	next := make(map[string]uint64)
	var last broker.Seq
	for _, o := range outcomes {
		if o.aux != next[o.tag] {
			t.Fatalf("outcome of %s = %d, want %d", o.tag, o.aux, next[o.tag])
		}
		next[o.tag]++
		if o.seq <= last {
			t.Fatalf("outcome at seq %d after %d", o.seq, last)
		}
		last = o.seq
		m, err := n.Message(o.seq)
		if want := fmt.Sprint(o.tag, " ", o.aux); err != nil || string(m.Body) != want {
			t.Fatalf("message %d = %v, %v, want %s", o.seq, m, err, want)
		}
	}
	if got := len(outcomes); got != submitters*each {
		t.Errorf("outcomes = %d, want %d", got, submitters*each)
	}
}

// submitMany submits one to three facts at a time.
func submitMany(t *testing.T, n *running, tag string, count int) {
	for i := 0; i < count; {
		var facts []byte
		var tickets []cluster.Ticket
		for range min(1+i%3, count-i) {
			facts = broker.AppendFact(facts, sent("/topic/"+strings.ToLower(tag), fmt.Sprint(tag, " ", i)))
			tickets = append(tickets, cluster.Ticket{Owner: n, Tag: tag, Aux: uint64(i)})
			i++
		}
		if err := n.Submit(context.Background(), facts, tickets); err != nil {
			t.Errorf("submit %s %d: %v", tag, i, err)
			return
		}
	}
}
