package server

import (
	"fmt"
	"testing"
	"unsafe"

	"stampede/stomp"
)

func TestOpenTransactionsAreBoundedInMemoryToo(t *testing.T) {
	config := DefaultConfig()
	config.TransactionBytesMax = 64 << 10
	m := machine{config: &config, version: stomp.V12, connected: true}
	kept := 0
	for i := range config.TransactionsMax {
		id := fmt.Sprint(i)
		if _, err := m.take(stomp.NewFrame(stomp.CommandBegin, "transaction", id)); err != nil {
			t.Fatal(err)
		}
		f := stomp.NewFrame(stomp.CommandSend, "destination", "/queue/a", "transaction", id)
		for range 190 {
			f.Add("a", "")
		}
		for range 200 {
			if _, err := m.take(f); err != nil {
				if err.Code != stomp.CodeTransactionTooLarge {
					t.Fatalf("SEND = %v", err)
				}
				if most := 2 * openTransactionsFactor * config.TransactionBytesMax; kept > most {
					t.Errorf("%d bytes were kept, want at most about %d", kept, most)
				}
				return
			}
			kept += f.Size() + len(f.Headers)*int(unsafe.Sizeof(stomp.Header{}))
		}
	}
	t.Errorf("all was taken, %d bytes", kept)
}
