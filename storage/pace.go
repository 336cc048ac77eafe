package storage

// Pacing: how fast a snapshot is copied and sent, so that the work beside it goes on.

import (
	"io"
	"time"
)

// paceSlack is how far a pacer may fall behind its pace and still make up for it: what a timer fires late, not what a receiver took to read.
const paceSlack = 100 * time.Millisecond

// pacer keeps whoever takes bytes to a pace.
type pacer struct {
	bytesPerSecond int64     // 0: none
	due            time.Time // when what was taken so far may be over
}

// take waits until n more bytes are due, or is errBrokenOff when done is closed.
func (p *pacer) take(n int, done <-chan struct{}) error {
	var wait time.Duration
	if p.bytesPerSecond > 0 {
		now := wallClock()
		if earliest := now.Add(-paceSlack); p.due.Before(earliest) {
			p.due = earliest
		}
		p.due = p.due.Add(time.Duration(float64(n) / float64(p.bytesPerSecond) * float64(time.Second)))
		wait = p.due.Sub(now)
	}
	if wait <= 0 {
		select {
		case <-done:
			return errBrokenOff
		default:
			return nil
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-done:
		return errBrokenOff
	case <-timer.C:
		return nil
	}
}

// pacedWriter writes at a pace, until done is closed.
type pacedWriter struct {
	to   io.Writer
	pace pacer
	done <-chan struct{}
}

func (w *pacedWriter) Write(b []byte) (int, error) {
	if err := w.pace.take(len(b), w.done); err != nil {
		return 0, err
	}
	return w.to.Write(b)
}
