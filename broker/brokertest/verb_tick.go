package brokertest

import (
	"fmt"
	"strings"
	"time"

	"stampede/broker"
)

// tick 10s lets time pass and does what the leader does when something is due: it proposes TimeAdvanced until nothing is.
// With once it proposes it once.
func tick(w *World, a args) string {
	d, err := time.ParseDuration(a.name(0))
	if err != nil {
		a.fail("%v", err)
	}
	w.now += broker.Instant(d.Milliseconds())
	var b strings.Builder
	for {
		at, ok := w.journal.State.NextDue()
		if !ok || at > w.now {
			break
		}
		b.WriteString(w.fold(nil, broker.TimeAdvanced{}))
		if a.has("once") {
			break
		}
	}
	at, ok := w.journal.State.NextDue()
	if ok {
		fmt.Fprintf(&b, "next due at %d\n", at)
	} else {
		b.WriteString("nothing due\n")
	}
	return b.String()
}
