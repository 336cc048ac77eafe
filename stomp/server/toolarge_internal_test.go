package server

import (
	"testing"

	"stampede/stomp"
)

// A client sends a transaction without waiting: what comes behind the frame that was too much must not end a lenient session.
func TestRestOfATransactionThatIsTooLarge(t *testing.T) {
	config := DefaultConfig()
	config.TransactionActionsMax = 2
	m := machine{config: &config, version: stomp.V12, connected: true}
	frame := func(c stomp.Command) *stomp.Frame {
		return stomp.NewFrame(c, "destination", "/queue/a", "transaction", "t")
	}
	for i, step := range []struct {
		command stomp.Command
		want    string
	}{
		{stomp.CommandBegin, ""}, {stomp.CommandSend, ""}, {stomp.CommandSend, ""},
		{stomp.CommandSend, stomp.CodeTransactionTooLarge}, {stomp.CommandSend, stomp.CodeTransactionTooLarge},
		{stomp.CommandCommit, stomp.CodeTransactionTooLarge}, {stomp.CommandCommit, stomp.CodeUnknownTransaction},
		{stomp.CommandBegin, ""}, {stomp.CommandSend, ""}, {stomp.CommandSend, ""}, {stomp.CommandSend, stomp.CodeTransactionTooLarge},
		{stomp.CommandBegin, ""}, // begun anew, since the one before was aborted
		{stomp.CommandSend, ""}, {stomp.CommandSend, ""}, {stomp.CommandSend, stomp.CodeTransactionTooLarge},
		{stomp.CommandAbort, ""}, {stomp.CommandAbort, stomp.CodeUnknownTransaction},
	} {
		got := ""
		if _, err := m.take(frame(step.command)); err != nil {
			got = err.Code
		}
		if got != step.want {
			t.Fatalf("frame %d, %v: %q, want %q", i, step.command, got, step.want)
		}
	}
	if m.held != 0 || len(m.transactions) != 0 {
		t.Errorf("%d bytes of %d transactions are held, want none", m.held, len(m.transactions))
	}
}
