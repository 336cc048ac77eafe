package gateway_test

import (
	"runtime"
	"strings"
	"testing"

	"stampede/stomp"
)

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestSubscriptionsOfASessionThatReadsNothingAreForgotten: an ended subscription stays nowhere, also while there is no space to write to its session.
func TestSubscriptionsOfASessionThatReadsNothingAreForgotten(t *testing.T) {
	r := start(t, smallOutbox)
	publisher, stuck := r.connect(t), r.connect(t)
	for range 120 { // 12 MB: more than the socket's buffers take
		publisher.send("/topic/full", strings.Repeat("x", 100<<10))
	}
	publisher.publish("/topic/full", "last")
	shrinkReceiveBuffer(t, stuck)
	stuck.subscribe("s", "/topic/full", "x-stream-offset", "first")
	given, still := uint64(0), 0
	await(t, "the session to take no more", func() bool {
		if now := r.gateway.Stats().Delivered.Load(); now == 0 || now != given {
			given, still = now, 0
		}
		still++
		return still > 500
	})
	pair := stomp.AppendFrame(nil, stomp.V12, stomp.NewFrame(stomp.CommandSubscribe, "id", "x", "destination", "/topic/full", "x-stream-offset", "first"))
	pair = stomp.AppendFrame(pair, stomp.V12, stomp.NewFrame(stomp.CommandUnsubscribe, "id", "x"))
	const count = 50_000
	before, received := heap(), r.gateway.Stats().Received.Load()
	for range count {
		if err := stuck.tryWrite(pair); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "all to be taken", func() bool { return r.gateway.Stats().Received.Load() >= received+count })
	if after := heap(); after > before+8<<20 {
		t.Errorf("%d ended subscriptions hold %d MB", count, (after-before)>>20)
	}
}
