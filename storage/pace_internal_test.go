package storage

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestPacer(t *testing.T) {
	const pace = 1 << 20
	synctest.Test(t, func(t *testing.T) {
		var to bytes.Buffer
		done := make(chan struct{})
		w := &pacedWriter{to: &to, pace: pacer{bytesPerSecond: pace}, done: done}
		write := func(times int) time.Duration {
			start := time.Now()
			for range times {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					t.Fatal(err)
				}
			}
			return time.Since(start)
		}
		if got, want := write(10*16), 10*time.Second-paceSlack; got != want {
			t.Errorf("10 s worth of bytes took %v, want %v", got, want)
		}
		time.Sleep(time.Hour) // what a reader did not take is not made up for
		if got, want := write(10*16), 10*time.Second-paceSlack; got != want {
			t.Errorf("after a rest 10 s worth of bytes took %v, want %v", got, want)
		}
		w.pace.bytesPerSecond = 0
		if got := write(100); got != 0 {
			t.Errorf("without a pace it took %v", got)
		}
		w.pace.bytesPerSecond = 1
		time.AfterFunc(time.Second, func() { close(done) })
		if _, err := w.Write(make([]byte, 3600)); !errors.Is(err, errBrokenOff) {
			t.Errorf("write at a byte a second, broken off = %v, want %v", err, errBrokenOff)
		}
		if _, err := w.Write(nil); !errors.Is(err, errBrokenOff) {
			t.Errorf("write after that = %v, want %v", err, errBrokenOff)
		}
	})
}
