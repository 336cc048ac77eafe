package broker

import (
	"maps"
	"math/rand"
	"slices"
	"strconv"
	"testing"
)

// The structures that hold millions of things are compared with naive ones, from fixed seeds.

func TestWindow(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	var w window
	naive := make(map[uint64]uint32)
	tag := uint64(0)
	for step := range 50_000 {
		if random.Intn(100) < 50 && len(naive) < 300 {
			tag++
			w.push(delivery{tag: tag, ref: uint32(tag)})
			naive[tag] = uint32(tag)
		} else {
			wanted := uint64(0)
			if tag > 0 {
				wanted = 1 + uint64(random.Int63n(int64(tag)))
			}
			if random.Intn(3) > 0 && len(naive) > 0 {
				live := slices.Sorted(maps.Keys(naive))
				wanted = live[random.Intn(len(live))]
			}
			i, ok := w.find(wanted)
			if _, want := naive[wanted]; ok != want {
				t.Fatalf("step %d: find %d = %v, want %v", step, wanted, ok, want)
			}
			if ok {
				w.settle(i)
				w.sweep()
				delete(naive, wanted)
			}
		}
		if w.live != len(naive) {
			t.Fatalf("step %d: live = %d, want %d", step, w.live, len(naive))
		}
		if most := 4*w.live + 4*windowSlack; len(w.slots) > most {
			t.Fatalf("step %d: %d slots for %d live", step, len(w.slots), w.live)
		}
		if w.live > 0 && w.first().tag != slices.Min(slices.Collect(maps.Keys(naive))) {
			t.Fatalf("step %d: first = %d", step, w.first().tag)
		}
	}
}

func TestWindowWithOneThatIsNeverSettled(t *testing.T) {
	var w window
	w.push(delivery{tag: 1, ref: 1})
	for tag := uint64(2); tag < 100_000; tag++ {
		w.push(delivery{tag: tag, ref: 1})
		i, ok := w.find(tag)
		if !ok {
			t.Fatalf("find %d = false", tag)
		}
		w.settle(i)
		w.sweep()
	}
	if got := cap(w.slots); got > 256 {
		t.Errorf("capacity = %d for one delivery, want at most 256", got)
	}
}

func TestBitset(t *testing.T) {
	random := rand.New(rand.NewSource(2))
	var b bitset
	naive := make(map[int]bool)
	const most = 10_000
	for step := range 20_000 {
		i := random.Intn(most)
		if random.Intn(100) < 30 {
			b.set(i)
			naive[i] = true
		} else {
			b.clear(i)
			delete(naive, i)
		}
		if step%10 > 0 {
			continue
		}
		from := random.Intn(most + 100)
		want, found := 0, len(naive) > 0
		members := slices.Sorted(maps.Keys(naive))
		if at, _ := slices.BinarySearch(members, from); at < len(members) {
			want = members[at]
		} else if found {
			want = members[0]
		}
		if got, ok := b.next(from); ok != found || got != want {
			t.Fatalf("step %d: next(%d) = %d %v, want %d %v", step, from, got, ok, want, found)
		}
		if b.has(i) != naive[i] {
			t.Fatalf("step %d: has(%d) = %v", step, i, b.has(i))
		}
	}
}

func TestSlab(t *testing.T) {
	random := rand.New(rand.NewSource(3))
	var s slab
	naive := make(map[uint32]Seq)
	var refs []uint32
	place := Seq(0)
	for step := range 100_000 {
		grow := step/20_000%2 == 0
		if len(refs) == 0 || random.Intn(100) < 70 == grow {
			place++
			ref, e := s.take()
			if _, taken := naive[ref]; taken || ref == 0 || *e != (entry{}) {
				t.Fatalf("step %d: reference %d is taken or not empty: %+v", step, ref, *e)
			}
			e.place = place
			naive[ref] = place
			refs = append(refs, ref)
		} else {
			at := random.Intn(len(refs))
			ref := refs[at]
			if s.live(ref, naive[ref]) == nil || s.live(ref, naive[ref]+1) != nil {
				t.Fatalf("step %d: reference %d does not hold %d", step, ref, naive[ref])
			}
			s.release(ref)
			if s.live(ref, naive[ref]) != nil {
				t.Fatalf("step %d: reference %d is live after its release", step, ref)
			}
			refs[at] = refs[len(refs)-1]
			refs = refs[:len(refs)-1]
			delete(naive, ref)
		}
		if s.entries != len(naive) {
			t.Fatalf("step %d: entries = %d, want %d", step, s.entries, len(naive))
		}
	}
	for _, ref := range refs {
		s.release(ref)
	}
	pages := 0
	for _, p := range s.pages {
		if p != nil {
			pages++
		}
	}
	if pages != 1 {
		t.Errorf("pages of an empty slab = %d, want 1", pages)
	}
}

// TestOfflineFold folds without anybody asking for changes: what came and went must not be remembered.
func TestOfflineFold(t *testing.T) {
	s := New(DefaultLimits())
	var fx Effects
	o := Origin{Node: NodeID{1}, Incarnation: 1}
	fold := func(f Fact) {
		o.N++
		fx.Reset()
		s.Apply(Event{Origin: o, Fact: f}, &fx)
	}
	fold(NodeStarted{})
	for i := range uint64(20_000) {
		fold(SessionOpened{Session: i})
		dest := "/queue/" + strconv.FormatUint(i%50, 10)
		fold(SubscriptionOpened{Session: i, Sub: i, Kind: KindQueue, Dest: dest, Mode: AckClient})
		fold(MessageSent{&Message{Kind: KindQueue, Dest: dest, ExpiresAt: instantMax}})
		fold(DeliverySettled{Sub: i, To: 1, Outcome: Acked})
		if i > 0 {
			fold(SessionClosed{Session: i})
		}
	}
	for range 20_000 {
		fold(MessageSent{&Message{Kind: KindQueue, Dest: "/queue/0", ExpiresAt: instantMax}})
		fold(DeliverySettled{Sub: 0, To: 1 << 40, Outcome: Acked})
	}
	q := s.queues["/queue/0"]
	if got, most := cap(s.keeper.dirty), 4*(s.sessions+s.subscribed+len(s.queues)+64); got > most {
		t.Errorf("dirty records = %d, want at most %d", got, most)
	}
	if got := cap(q.dirty); got > 1_000 {
		t.Errorf("dirty entries = %d, want at most 1000", got)
	}
	if got := len(q.expiry.items); got > 2*q.timed+expirySlack+1 {
		t.Errorf("items of the expiry heap = %d for %d messages", got, q.timed)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

func TestDecoderForgets(t *testing.T) {
	d := NewDecoder()
	for i := range 3 * internedMax {
		want := "/topic/" + strconv.Itoa(i)
		if got := d.intern([]byte(want)); got != want {
			t.Fatalf("intern = %q, want %q", got, want)
		}
		d.intern([]byte("/topic/again"))
	}
	if got := len(d.young) + len(d.old); got > 2*internedMax {
		t.Errorf("strings remembered = %d, want at most %d", got, 2*internedMax)
	}
	if _, young := d.young["/topic/again"]; !young {
		t.Error("a string that comes again and again was forgotten")
	}
}
