package gateway_test

import (
	"strconv"
	"strings"
	"testing"

	"stampede/stomp"
)

func TestIDOfAnUnloggedMessageIsNotBeforeWhatWasGiven(t *testing.T) {
	r := start(t)
	reader, committer, publisher := r.connect(t), r.connect(t), r.connect(t)
	reader.subscribe("s", "/topic/ids")
	const rounds, count = 30, 1000
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		frame := stomp.AppendFrame(nil, stomp.V12, stomp.NewFrame(stomp.CommandSend, "destination", "/topic/ids", "persistent", "false", "receipt", "r"))
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if err := publisher.tryWrite(frame); err != nil {
				stopped <- err
				return
			}
			if _, err := publisher.tryRead(); err != nil {
				stopped <- err
				return
			}
		}
	}()
	go func() {
		for i := range rounds {
			var b []byte
			id := strconv.Itoa(i)
			b = stomp.AppendFrame(b, stomp.V12, stomp.NewFrame(stomp.CommandBegin, "transaction", id))
			for range count {
				b = stomp.AppendFrame(b, stomp.V12, stomp.NewFrame(stomp.CommandSend, "destination", "/topic/ids", "transaction", id))
			}
			b = stomp.AppendFrame(b, stomp.V12, stomp.NewFrame(stomp.CommandCommit, "transaction", id, "receipt", id))
			if committer.tryWrite(b) != nil {
				return
			}
			if _, err := committer.tryRead(); err != nil {
				return
			}
		}
	}()
	last, again := 0, 0
	for logged := 0; logged < rounds*count; {
		m := reader.message()
		if m.Has("x-stream-offset") {
			last, _ = strconv.Atoi(m.Value("x-stream-offset"))
			logged++
			continue
		}
		id, _, _ := strings.Cut(strings.TrimPrefix(m.Value("message-id"), "1-0-"), ".")
		at, err := strconv.Atoi(id)
		if err != nil {
			t.Fatalf("message-id = %q", m.Value("message-id"))
		}
		again = max(again, last-at)
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if again > 0 {
		t.Errorf("who resumes after an unlogged message gets up to %d logged ones again that came before it", again)
	}
}
