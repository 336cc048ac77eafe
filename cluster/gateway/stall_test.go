package gateway_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestUnloggedMessageWaitsOnceForAllWhoAreFull(t *testing.T) {
	const subscriptions, count = 12, 30 // 36 MB: more than the socket's buffers take
	r := start(t, smallOutbox)
	stuck, publisher := r.connect(t), r.connect(t)
	shrinkReceiveBuffer(t, stuck)
	for i := range subscriptions {
		stuck.subscribe(strconv.Itoa(i), "/topic/burst")
	}
	body := strings.Repeat("x", 100<<10)
	begun := time.Now()
	for i := range count {
		publisher.send("/topic/burst", fmt.Sprintf("m%d %s", i, body), unlogged...)
	}
	publisher.publish("/topic/nobody", "", unlogged...)
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("publishing took %v beside one session that does not read, want its %d subscriptions to be waited for together, for a second", took, subscriptions)
	}
	if r.gateway.Stats().Dropped.Load() == 0 {
		t.Error("nothing was dropped, want the session to have been full")
	}
}
