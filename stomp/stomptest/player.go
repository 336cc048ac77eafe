package stomptest

import (
	"bytes"
	"fmt"
	"sync"
	"time"
)

// patience is how long a Player waits for what has to come.
const patience = 30 * time.Second

// Player plays the client of a transcript.
type Player struct {
	// Settle waits until the server has done all that it will do (testing/synctest.Wait). Without it the Player waits for as
	// many bytes as the transcript expects, and finds what comes beyond them later, at the end at the latest.
	Settle func()
	// Pass lets time pass (time.Sleep in a bubble of testing/synctest). Nil: the transcript may not ask for it.
	Pass func(time.Duration)

	stream Stream

	mu    sync.Mutex
	got   []byte // received and not looked at; guarded by mu
	fresh chan struct{}
	done  chan struct{} // the stream has ended
}

// Play plays the transcript on a fresh connection and gives it back as it happened: equal to the transcript, as String writes
// both, if all was as expected. It closes the stream.
func (p *Player) Play(t *Transcript, stream Stream) (*Transcript, error) {
	p.stream, p.fresh, p.done = stream, make(chan struct{}, 1), make(chan struct{})
	go p.runReader()
	played := &Transcript{Settings: t.Settings, head: t.head}
	err := p.playSteps(t, played)
	if closeErr := stream.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("close: %w", closeErr)
	}
	<-p.done
	return played, err
}

func (p *Player) playSteps(t, played *Transcript) error {
	for i := range t.Steps {
		step := t.Steps[i]
		switch step.Kind {
		case StepSend:
			p.foundExtra(played)
			// An error is no fault: the server may have closed, which the transcript has to expect.
			_, _ = p.stream.Write(step.Bytes)
		case StepPass:
			p.foundExtra(played)
			if p.Pass == nil {
				return fmt.Errorf("the transcript lets time pass, which this player cannot")
			}
			p.Pass(step.Pass)
		case StepReceive:
			got := p.await(len(step.Bytes))
			if !bytes.Equal(got, step.Bytes) {
				step.Bytes, step.lines = got, nil
			}
		case StepClosed:
			p.foundExtra(played)
			if !p.awaitClosed() {
				return fmt.Errorf("step %d: the server did not close within %v", i+1, patience)
			}
			p.foundExtra(played)
			if w, ok := p.stream.(*WebSocketStream); ok && w.CloseCode() != step.Code {
				step.Code, step.lines = w.CloseCode(), nil
			}
		}
		played.Steps = append(played.Steps, step)
	}
	p.foundExtra(played)
	return nil
}

// foundExtra writes down what came and was not expected.
func (p *Player) foundExtra(played *Transcript) {
	if got := p.await(0); len(got) > 0 {
		played.Steps = append(played.Steps, Step{Kind: StepReceive, Bytes: got})
	}
}

// await takes what came: all after the server settled, or at least n bytes if they come in time.
func (p *Player) await(n int) []byte {
	if p.Settle != nil {
		p.Settle()
		return p.take()
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	for p.received() < n {
		select {
		case <-p.fresh:
			continue
		case <-late.C:
		case <-p.done:
		}
		break
	}
	return p.take()
}

func (p *Player) awaitClosed() bool {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-p.done:
		return true
	case <-late.C:
		return false
	}
}

func (p *Player) received() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.got)
}

func (p *Player) take() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.got
	p.got = nil
	return got
}

// runReader reads until the stream ends.
func (p *Player) runReader() {
	defer close(p.done)
	buf := make([]byte, 32<<10)
	for {
		n, err := p.stream.Read(buf)
		p.mu.Lock()
		p.got = append(p.got, buf[:n]...)
		p.mu.Unlock()
		select {
		case p.fresh <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}
