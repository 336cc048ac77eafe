package gostomp_test

import (
	"io"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3"
)

// beatTimeout is how long three beats may take: the broker offers one in 10 s.
const beatTimeout = 45 * time.Second

// TestHeartBeats keeps an idle session for three beats of the broker, which is longer than the broker waits for a silent client on TCP.
func TestHeartBeats(t *testing.T) {
	skipWhenShort(t)
	for _, way := range transports() {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			stream, err := way.open()
			if err != nil {
				t.Fatalf("open a %s connection: %v", way.name, err)
			}
			tap := &beatTap{ReadWriteCloser: stream, beats: make(chan struct{}, 16)}
			c := connect(t, tap, stomp.ConnOpt.HeartBeat(time.Second, time.Second))
			timer := time.NewTimer(beatTimeout)
			defer timer.Stop()
			for beat := range 3 {
				select {
				case <-tap.beats:
				case <-timer.C:
					t.Fatalf("%d heart-beats within %v, want 3", beat, beatTimeout)
				}
			}
			c.send("/topic/"+way.name+".still.here", "yes")
			c.close()
		})
	}
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
