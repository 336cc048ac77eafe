package broker

// This file holds the unsettled deliveries of a subscription, by tag.

// delivery is one of a subscription's; ref 0 marks a settled one that is not swept yet.
type delivery struct {
	tag uint64
	at  Instant
	ref uint32
}

// window is a queue of deliveries in the order of their tags, out of which any may be taken. Its first one is never a settled one.
// It never holds more than twice the live ones and a few, however far apart their tags are.
type window struct {
	slots []delivery
	head  int
	live  int
}

// windowSlack is how many swept or settled slots are put up with.
const windowSlack = 32

// list returns the slots in order; settled ones have no ref.
func (w *window) list() []delivery { return w.slots[w.head:] }

// first returns the oldest; there must be one.
func (w *window) first() *delivery { return &w.slots[w.head] }

func (w *window) push(d delivery) {
	w.slots = append(w.slots, d)
	w.live++
}

// seek returns the index of the first slot whose tag is at least that.
func (w *window) seek(tag uint64) int {
	low, high := w.head, len(w.slots)
	if low == high || w.slots[low].tag >= tag {
		return low
	}
	// Tags go up by at least one a slot, so the tag is at most this far away, and exactly if none is missing.
	if ahead := tag - w.slots[low].tag; ahead < uint64(high-low) {
		guess := low + int(ahead)
		if w.slots[guess].tag == tag {
			return guess
		}
		high = guess
	}
	for low < high {
		middle := int(uint(low+high) >> 1)
		if w.slots[middle].tag < tag {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// find returns the index of a live delivery.
func (w *window) find(tag uint64) (int, bool) {
	i := w.seek(tag)
	return i, i < len(w.slots) && w.slots[i].tag == tag && w.slots[i].ref != 0
}

// settle marks a live one as settled; sweep must follow before anything else is asked.
func (w *window) settle(i int) {
	w.slots[i].ref = 0
	w.live--
}

// sweep drops settled ones from the front, and everywhere when they become too many.
func (w *window) sweep() {
	if w.live == 0 {
		w.slots, w.head = w.slots[:0], 0
		return
	}
	for w.slots[w.head].ref == 0 {
		w.head++
	}
	if w.head > w.live+windowSlack {
		n := copy(w.slots, w.slots[w.head:])
		w.slots, w.head = w.slots[:n], 0
	}
	if len(w.slots)-w.head <= 2*w.live+windowSlack {
		return
	}
	kept := w.slots[:0]
	for _, d := range w.slots[w.head:] {
		if d.ref != 0 {
			kept = append(kept, d)
		}
	}
	w.slots, w.head = kept, 0
}
