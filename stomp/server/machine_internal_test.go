package server

import (
	"fmt"
	"testing"

	"stampede/stomp"
)

func TestMachine(t *testing.T) {
	t.Run("bounds_all_open_transactions_together", func(t *testing.T) {
		config := DefaultConfig()
		config.TransactionBytesMax = 1000
		m := machine{config: &config, version: stomp.V12, connected: true}
		take := func(f *stomp.Frame) string {
			if _, err := m.take(f); err != nil {
				return err.Code
			}
			return ""
		}
		send := func(transaction string) string {
			f := stomp.NewFrame(stomp.CommandSend, "destination", "/queue/a", "transaction", transaction)
			f.Body = make([]byte, 800)
			return take(f)
		}
		for i := range 4 {
			id := fmt.Sprint(i)
			if got := take(stomp.NewFrame(stomp.CommandBegin, "transaction", id)) + send(id); got != "" {
				t.Fatalf("transaction %d = %s, want it to be taken", i, got)
			}
		}
		begin := stomp.NewFrame(stomp.CommandBegin, "transaction", "more")
		if got, want := take(begin)+send("more"), stomp.CodeTransactionTooLarge; got != want {
			t.Errorf("a fifth full transaction = %q, want %q", got, want)
		}
		if got := take(stomp.NewFrame(stomp.CommandAbort, "transaction", "0")); got != "" {
			t.Fatalf("abort = %s", got)
		}
		if got := take(begin) + send("more"); got != "" {
			t.Errorf("after an abort = %s, want it to be taken", got)
		}
	})
}
