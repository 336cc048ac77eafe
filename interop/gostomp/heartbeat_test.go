package gostomp_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3"
)

// beatTimeout is how long three beats may take: the broker offers one in 10 s.
const beatTimeout = 90 * time.Second

// TestHeartBeats keeps an idle session for three beats of the broker, which is longer than the broker waits for a silent client on TCP,
// and ends the one of a client that promised beats and is silent. The sessions of all ways wait at the same time.
func TestHeartBeats(t *testing.T) {
	skipWhenShort(t)
	t.Parallel()
	idle, silent := map[way]idleSession{}, map[way]*stomp.Subscription{}
	for _, w := range ways() {
		idle[w] = openIdle(t, w)
		if w.over == "tcp" { // over WebSocket a silent client is given a minute at least
			silent[w] = openSilent(t, w)
		}
	}
	for _, w := range ways() {
		t.Run(w.String()+"/keep_an_idle_session", func(t *testing.T) { idle[w].stays(t, w) })
		if w.over == "tcp" {
			t.Run(w.String()+"/missing_from_a_client_that_promised_them_end_its_session", func(t *testing.T) { awaitGivenUp(t, silent[w]) })
		}
	}
}

type idleSession struct {
	client
	beats <-chan struct{}
}

func openIdle(t *testing.T, w way) idleSession {
	t.Helper()
	tap := &beatTap{ReadWriteCloser: mustOpen(t, w), beats: make(chan struct{}, 16)}
	return idleSession{connect(t, w, tap, stomp.ConnOpt.HeartBeat(time.Second, time.Second)), tap.beats}
}

func (s idleSession) stays(t *testing.T, w way) {
	timer := time.NewTimer(beatTimeout)
	defer timer.Stop()
	for beat := range 3 {
		select {
		case <-s.beats:
		case <-timer.C:
			t.Fatalf("%d heart-beats within %v, want 3", beat, beatTimeout)
		}
	}
	s.send("/topic/"+w.over+"."+string(w.version)+".still.here", "yes")
	s.close()
}

// openSilent promises heart-beats and sends none. go-stomp does not know of it: its own are held back.
func openSilent(t *testing.T, w way) *stomp.Subscription {
	t.Helper()
	c := connect(t, w, &beatSwallower{mustOpen(t, w)}, stomp.ConnOpt.HeartBeat(time.Second, 0))
	s, err := c.Subscribe("/topic/silence", stomp.AckAuto)
	if err != nil {
		t.Fatalf("SUBSCRIBE: %v", err)
	}
	return s
}

// awaitGivenUp waits for the ERROR, which go-stomp hands to each subscription.
func awaitGivenUp(t *testing.T, s *stomp.Subscription) {
	timer := time.NewTimer(beatTimeout)
	defer timer.Stop()
	select {
	case end := <-s.C:
		var answer *stomp.Error
		if end == nil || !errors.As(end.Err, &answer) || answer.Frame == nil || answer.Frame.Header.Get("error-code") != "heart-beat-timeout" {
			t.Errorf("the session of a silent client ended with %+v, want the ERROR heart-beat-timeout", end)
		}
	case <-timer.C:
		t.Errorf("the session of a silent client is there after %v", beatTimeout)
	}
}

func mustOpen(t *testing.T, w way) io.ReadWriteCloser {
	t.Helper()
	stream, err := w.open(shared.all[0])
	if err != nil {
		t.Fatalf("open a connection over %s: %v", w.over, err)
	}
	return stream
}

// beatSwallower lets everything through but the client's heart-beats.
type beatSwallower struct{ io.ReadWriteCloser }

func (b *beatSwallower) Write(p []byte) (int, error) {
	if len(p) == 1 && p[0] == '\n' {
		return 1, nil
	}
	return b.ReadWriteCloser.Write(p)
}

// beatTap reports each heart-beat that comes alone: a read of one end of line.
type beatTap struct {
	io.ReadWriteCloser
	beats chan struct{} // never blocks the reader: a full one drops the beat
}

func (b *beatTap) Read(p []byte) (int, error) {
	n, err := b.ReadWriteCloser.Read(p)
	if n == 1 && p[0] == '\n' {
		select {
		case b.beats <- struct{}{}:
		default:
		}
	}
	return n, err
}
