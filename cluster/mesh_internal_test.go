package cluster

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stampede/broker"
)

// collector takes the unlogged messages of other nodes.
type collector struct {
	mu     sync.Mutex
	pause  time.Duration // that each message takes; set before use
	rests  int           // how often no more was said to be at hand
	bodies []string
	afters []broker.Seq
	gate   chan struct{} // nothing is taken before it is closed; nil: at once
}

func (c *collector) ReceiveUnlogged(m *broker.Message, after broker.Seq, _ uint64) {
	c.mu.Lock()
	gate := c.gate
	c.mu.Unlock()
	if gate != nil {
		<-gate
	}
	if c.pause > 0 {
		time.Sleep(c.pause)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bodies = append(c.bodies, string(m.Body))
	c.afters = append(c.afters, after)
}

func (c *collector) FlushUnlogged() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rests++
}

// hold keeps the collector from taking anything until release is called.
func (c *collector) hold() (release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gate = make(chan struct{})
	return sync.OnceFunc(func() { close(c.gate) })
}

func (c *collector) got() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprint(c.bodies, c.afters)
}

// meshPair is two meshes with one link between them, over a pipe: what b wants of a comes.
type meshPair struct {
	a, b *Node
	took *collector
	end  context.CancelFunc
	done sync.WaitGroup
}

func newMeshPair() *meshPair {
	p := &meshPair{took: &collector{}}
	for _, n := range []**Node{&p.a, &p.b} {
		*n = &Node{cfg: Config{Addr: "x"}, logger: discard()}
		(*n).mesh = newMesh(*n)
	}
	p.b.mesh.receiver = p.took
	return p
}

// link opens the link; it ends with the context, or with whoever closes its connections.
func (p *meshPair) link() (here, there net.Conn) {
	here, there = net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	p.end = cancel
	p.done.Go(func() { p.a.mesh.take(here, member{node: nodeID(2)}) })
	p.done.Go(func() { p.b.mesh.serve(ctx, there, nodeID(1)) })
	return here, there
}

func (p *meshPair) unlink() {
	p.end()
	p.done.Wait()
}

func unlogged(dest, body string) *broker.Message {
	return &broker.Message{Kind: broker.KindTopic, Dest: dest, Body: []byte(body), Node: nodeID(1)}
}

func TestMesh(t *testing.T) {
	t.Run("brings what is wanted, and nothing else", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newMeshPair()
			p.b.AddInterest("/topic/before", false)
			p.link()
			defer p.unlink()
			synctest.Wait()
			p.b.AddInterest("/topic/a.*", true)
			synctest.Wait()
			for i, dest := range []string{"/topic/before", "/topic/a.b", "/topic/c", "/topic/a.b.c", "/topic/a.b"} {
				p.a.SendUnlogged(unlogged(dest, dest), broker.Seq(i), nil, nil)
			}
			synctest.Wait()
			if got, want := p.took.got(), "[/topic/before /topic/a.b /topic/a.b] [0 1 4]"; got != want {
				t.Errorf("took %s, want %s", got, want)
			}
		})
	})

	t.Run("stops when the last subscription has gone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newMeshPair()
			p.link()
			defer p.unlink()
			for range 2 {
				p.b.AddInterest("/topic/a", false)
			}
			p.b.RemoveInterest("/topic/a", false)
			synctest.Wait()
			p.a.SendUnlogged(unlogged("/topic/a", "one is left"), 0, nil, nil)
			synctest.Wait()
			p.b.RemoveInterest("/topic/a", false)
			synctest.Wait()
			p.a.SendUnlogged(unlogged("/topic/a", "none is left"), 0, nil, nil)
			synctest.Wait()
			if got, want := p.took.got(), "[one is left] [0]"; got != want {
				t.Errorf("took %s, want %s", got, want)
			}
		})
	})

	t.Run("confirms an interest once the other side knows it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newMeshPair()
			if _, confirmed := p.b.AddInterest("/topic/alone", false); confirmed != nil {
				t.Error("a node without links waits for a confirmation")
			}
			p.link()
			defer p.unlink()
			synctest.Wait()
			began := time.Now()
			_, confirmed := p.b.AddInterest("/topic/a", false)
			if confirmed == nil {
				t.Fatal("an interest that nobody has heard of is confirmed")
			}
			<-confirmed
			if took := time.Since(began); took != 0 {
				t.Errorf("confirmation took %v of idle time, want none", took)
			}
		})
	})

	t.Run("waits for a confirmation no longer than a second", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newMeshPair()
			here, there := net.Pipe() // the other side reads nothing
			ctx, cancel := context.WithCancel(context.Background())
			p.done.Go(func() { p.b.mesh.serve(ctx, there, nodeID(1)) })
			synctest.Wait()
			began := time.Now()
			_, confirmed := p.b.AddInterest("/topic/a", false)
			<-confirmed
			if took := time.Since(began); took != confirmWait {
				t.Errorf("waited %v, want %v", took, confirmWait)
			}
			cancel()
			_ = here.Close() // nothing was read from it
			p.done.Wait()
		})
	})

	t.Run("gives a silent link up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newMeshPair()
			_, there := net.Pipe()
			began := time.Now()
			p.b.mesh.serve(context.Background(), there, nodeID(1))
			if took := time.Since(began); took > meshPing+meshSilence {
				t.Errorf("gave it up after %v, want at most %v", took, meshPing+meshSilence)
			}
			if got := p.b.MeshStats().Links; got != 0 {
				t.Errorf("links = %d, want none", got)
			}
		})
	})

	t.Run("keeps an idle link", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newMeshPair()
			p.link()
			defer p.unlink()
			time.Sleep(10 * meshSilence)
			if got := p.b.MeshStats().Links; got != 1 {
				t.Errorf("links = %d, want 1", got)
			}
		})
	})

	t.Run("drops for a node that takes nothing, and waits no longer than it is told", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newMeshPair()
			here, there := net.Pipe()
			p.done.Go(func() { p.a.mesh.take(here, member{node: nodeID(2)}) })
			if _, err := there.Write(appendInterest(nil, 1, interest{text: "/topic/a"}, true)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			large := unlogged("/topic/a", string(make([]byte, 1<<20)))
			for range 4 {
				p.a.SendUnlogged(large, 0, nil, nil)
			}
			asked := 0
			began := time.Now()
			p.a.SendUnlogged(large, 0, func(l *MeshLink) bool { asked++; return l.AwaitRoom(time.Second) }, nil)
			if took := time.Since(began); asked != 1 || took != time.Second {
				t.Errorf("asked %d times for %v, want once for a second", asked, took)
			}
			if s := p.a.MeshStats(); s.Dropped != 1 || s.Sent != 4 {
				t.Errorf("stats = %+v, want 4 sent and 1 dropped", s)
			}
			p.a.SendUnlogged(large, 0, func(*MeshLink) bool { return true }, nil)
			p.a.SendUnlogged(large, 0, func(*MeshLink) bool { // who subscribes meanwhile may have had it elsewhere
				if _, err := there.Write(appendInterest(nil, 2, interest{text: "/topic/a"}, true)); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				return true
			}, nil)
			if s := p.a.MeshStats(); s.Dropped != 2 || s.Sent != 5 {
				t.Errorf("stats = %+v, want 5 sent and 2 dropped", s)
			}
			_ = there.Close() // ends the link
			p.done.Wait()
			if s := p.a.MeshStats(); s.QueuedBytes != 0 {
				t.Errorf("queued bytes = %d after the link's end, want none", s.QueuedBytes)
			}
		})
	})

	t.Run("tells when what was sent has been taken", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newMeshPair()
			p.b.AddInterest("/topic/a", false)
			var trail MeshTrail
			p.link()
			synctest.Wait()
			p.a.SendUnlogged(unlogged("/topic/b", "nobody wants it"), 0, nil, &trail)
			if !trail.Taken() {
				t.Error("what went nowhere is waited for")
			}
			release := p.took.hold()
			for range 2 * meshTakenEvery {
				p.a.SendUnlogged(unlogged("/topic/a", "one"), 0, nil, &trail)
			}
			synctest.Wait()
			if trail.Taken() {
				t.Error("what the other side has not taken is said to be taken")
			}
			taken := make(chan struct{})
			go func() { trail.Await(nil); close(taken) }()
			synctest.Wait()
			release()
			<-taken
			if !trail.Taken() {
				t.Error("the wait has ended, and not all is taken")
			}
			p.unlink()
		})
	})

	t.Run("does not wait for a node whose link has ended, nor for who is gone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newMeshPair()
			p.b.AddInterest("/topic/a", false)
			var trail MeshTrail
			p.link()
			synctest.Wait()
			release := p.took.hold()
			p.a.SendUnlogged(unlogged("/topic/a", "one"), 0, nil, &trail)
			gone := make(chan struct{})
			close(gone)
			trail.Await(gone)
			p.end()
			trail.Await(nil)
			if !trail.Taken() {
				t.Error("what is lost with its link is waited for")
			}
			release()
			p.done.Wait()
		})
	})

	t.Run("takes nothing any more once it was held up for longer than the other side may wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newMeshPair()
			p.b.AddInterest("/topic/a", false)
			p.link()
			synctest.Wait()
			release := p.took.hold()
			for _, body := range []string{"one", "two", "three"} {
				p.a.SendUnlogged(unlogged("/topic/a", body), 0, nil, nil)
			}
			time.Sleep(meshStale + time.Second) // in fake time
			release()
			p.done.Wait() // the link ends
			if got, want := p.took.got(), "[one] [0]"; got != want {
				t.Errorf("took %s, want %s", got, want)
			}
		})
	})

	t.Run("keeps a link on which there is always more, and lets its subscribers have what came", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newMeshPair()
			p.took.pause = 10 * time.Millisecond // what comes in a second takes longer than that
			here, there := net.Pipe()
			p.done.Go(func() { p.b.mesh.serve(context.Background(), there, nodeID(1)) })
			go func() { _, _ = io.Copy(io.Discard, here) }()
			var frames []byte
			for range 1 << 10 {
				frames = append(frames, appendUnlogged(nil, unlogged("/topic/a", string(make([]byte, 1000))), 0)...)
			}
			broken := make(chan error, 1)
			go func() { // pieces that end in the middle of a message, as those of a full socket do
				for off := 0; ; off = (off + 60_000) % len(frames) {
					if _, err := here.Write(append(frames[off:len(frames):len(frames)], frames...)[:60_000]); err != nil {
						broken <- err
						return
					}
				}
			}()
			time.Sleep(5 * meshSilence)
			p.took.mu.Lock()
			if len(p.took.bodies) < 1000 || p.took.rests < 100 {
				t.Errorf("took %d messages and told %d times that they may be given, want thousands and hundreds", len(p.took.bodies), p.took.rests)
			}
			p.took.mu.Unlock()
			select {
			case err := <-broken:
				t.Errorf("the link was ended: %v", err)
			default:
				_ = here.Close() // ends it
			}
			p.done.Wait()
		})
	})

	t.Run("knows the new link to a node when the one before ends after that has begun", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newMeshPair()
			here, there := net.Pipe() // where the node was
			go func() { _, _ = io.Copy(io.Discard, here) }()
			ctx, endFirst := context.WithCancel(context.Background())
			p.done.Go(func() { p.b.mesh.serve(ctx, there, nodeID(1)) })
			synctest.Wait()
			p.link() // where it is now
			synctest.Wait()
			endFirst()
			synctest.Wait()
			if got := p.b.MeshStats().Links; got != 1 {
				t.Errorf("links = %d, want 1: no change of interest would be told on the link that is open", got)
			}
			p.unlink()
		})
	})

	t.Run("takes the newest link of a node", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newMeshPair()
			first, _ := p.link()
			synctest.Wait() // else either may be taken first
			end := p.end
			p.link()
			synctest.Wait()
			if got := len(*p.a.mesh.outs.Load()); got != 1 {
				t.Errorf("links to the node = %d, want 1", got)
			}
			if _, err := first.Write([]byte{0}); err == nil {
				t.Error("the link before is open still")
			}
			end()
			p.unlink()
		})
	})
}

func TestFrameOfTheMeshIsHeldAgainstItsBounds(t *testing.T) {
	for _, c := range []struct {
		name  string
		bytes []byte
	}{
		{"longer than the largest message", []byte{0xff, 0xff, 0xff, 0xff, 'M'}},
		{"an interest longer than a name", []byte{0, 1, 0, 0, 'I'}},
		{"without a kind", []byte{0, 0, 0, 0, 'P'}},
		{"of an unknown kind", []byte{0, 0, 0, 1, 'X'}},
		{"an interest cut short", []byte{0, 0, 0, 3, 'I', 0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newMeshPair()
				here, there := net.Pipe()
				p.done.Go(func() { p.a.mesh.take(here, member{node: nodeID(2)}) })
				go exchange(there, c.bytes)
				p.done.Wait() // the link ends
			})
		})
	}
}
