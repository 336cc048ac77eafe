package broker

// This file holds heaps of things that become due at a time.

// dueOwner is a thing that becomes due.
type dueOwner interface {
	comparable
	dueSlot() *dueSlot
	dueOrder() uint64               // unique: the order of what is due at the same time
	dueAt(s *State) (Instant, bool) // the exact time; false if there is none
}

// dueSlot is what an owner keeps for its heap.
type dueSlot struct {
	at  Instant // never later than the exact time
	pos int     // index in the heap, plus one; 0: not in it
}

// dueHeap orders owners by times that may lag behind the exact ones and are mended when they come to the front:
// what makes an owner due later costs nothing. What makes one due earlier must call note, or rebuild for all.
type dueHeap[T dueOwner] struct{ owners []T }

// note makes an owner known that has become due at that time, or earlier than it was.
func (h *dueHeap[T]) note(owner T, at Instant) {
	slot := owner.dueSlot()
	if slot.pos == 0 {
		slot.at = at
		h.owners = append(h.owners, owner)
		slot.pos = len(h.owners)
		h.up(slot.pos - 1)
	} else if at < slot.at {
		slot.at = at
		h.up(slot.pos - 1)
	}
}

// remove takes an owner out if it is in.
func (h *dueHeap[T]) remove(owner T) {
	slot := owner.dueSlot()
	if slot.pos == 0 {
		return
	}
	at, last := slot.pos-1, len(h.owners)-1
	slot.pos = 0
	moved := h.owners[last]
	var none T
	h.owners[last] = none
	h.owners = h.owners[:last]
	if at == last {
		return
	}
	h.place(at, moved)
	h.up(at)
	h.down(moved.dueSlot().pos - 1)
}

// first returns the owner that is due first and its exact time.
func (h *dueHeap[T]) first(s *State) (owner T, at Instant, ok bool) {
	for len(h.owners) > 0 {
		owner = h.owners[0]
		at, ok = owner.dueAt(s)
		if !ok {
			h.remove(owner)
			continue
		}
		slot := owner.dueSlot()
		if at <= slot.at {
			return owner, at, true
		}
		slot.at = at
		h.down(0)
	}
	return owner, 0, false
}

// clear empties the heap.
func (h *dueHeap[T]) clear() {
	for _, owner := range h.owners {
		owner.dueSlot().pos = 0
	}
	clear(h.owners)
	h.owners = h.owners[:0]
}

func (h *dueHeap[T]) less(a, b T) bool {
	x, y := a.dueSlot().at, b.dueSlot().at
	return x < y || x == y && a.dueOrder() < b.dueOrder()
}

func (h *dueHeap[T]) place(i int, owner T) {
	h.owners[i] = owner
	owner.dueSlot().pos = i + 1
}

func (h *dueHeap[T]) up(i int) {
	owner := h.owners[i]
	for i > 0 {
		parent := (i - 1) / 2
		if !h.less(owner, h.owners[parent]) {
			break
		}
		h.place(i, h.owners[parent])
		i = parent
	}
	h.place(i, owner)
}

func (h *dueHeap[T]) down(i int) {
	owner := h.owners[i]
	for {
		child := 2*i + 1
		if child >= len(h.owners) {
			break
		}
		if child+1 < len(h.owners) && h.less(h.owners[child+1], h.owners[child]) {
			child++
		}
		if !h.less(h.owners[child], owner) {
			break
		}
		h.place(i, h.owners[child])
		i = child
	}
	h.place(i, owner)
}
