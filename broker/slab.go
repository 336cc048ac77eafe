package broker

// This file holds the memory of queued messages: entries of fixed size in pages without pointers, named by 32-bit references,
// so that millions of waiting messages cost the garbage collector nothing and a drained queue gives its pages back.

// entry is a message in a queue.
type entry struct {
	place      Seq // in the queue's order, and the message-id; 0 in a free slot
	expiresAt  Instant
	hash       uint64 // of its record, if entryRecorded
	link       uint64 // waiting: see fifo; returned: index in the heap; unsettled: the tag; free: reference of the next free slot
	owner      uint32 // unsettled: slot of the subscription
	size       uint32 // of headers and body
	deliveries uint16 // count up to countMax
	failures   uint16
	returns    uint16
	flags      uint8
}

const (
	entryRedelivered uint8 = 1 << iota // it was delivered before
	entryUnsettled                     // it is with a subscription
	entryReturned                      // it waits in queue.returned
	entryDead                          // queue.letters knows more
	entryDirty                         // queue.dirty names it
	entryRecorded                      // its record, as it last was, is in the digest
	entryTimed                         // queue.expiry names it
)

const (
	pageBits = 10
	pageSize = 1 << pageBits // entries of a page: 48 KiB
)

type page struct {
	entries [pageSize]entry
	fresh   int    // slots from here on were never used
	free    uint32 // reference of the first free slot below fresh; 0 none
	used    int
	prev    int32 // neighbours in the list of pages with room; -1 none
	next    int32
	listed  bool
}

// slab holds pages. References start at 1; 0 names no entry.
type slab struct {
	pages   []*page // nil where given back
	vacant  []int32 // indexes of those
	room    int32   // first page with room, as index+1; 0 none
	entries int     // in use
}

// at returns the entry of a reference, valid until it is released.
func (s *slab) at(ref uint32) *entry {
	i := ref - 1
	return &s.pages[i>>pageBits].entries[i&(pageSize-1)]
}

// live returns the entry of a reference if it still holds the message of that place, else nil.
func (s *slab) live(ref uint32, place Seq) *entry {
	i := ref - 1
	p := s.pages[i>>pageBits]
	if p == nil || p.entries[i&(pageSize-1)].place != place {
		return nil
	}
	return &p.entries[i&(pageSize-1)]
}

// take returns a reference to an empty entry.
func (s *slab) take() (uint32, *entry) {
	if s.room == 0 {
		s.addPage()
	}
	at := s.room - 1
	p := s.pages[at]
	var ref uint32
	if p.free != 0 {
		ref = p.free
		p.free = uint32(s.at(ref).link)
	} else {
		ref = uint32(at)<<pageBits + uint32(p.fresh) + 1
		p.fresh++
	}
	p.used++
	s.entries++
	if p.free == 0 && p.fresh == pageSize {
		s.unlist(at)
	}
	e := s.at(ref)
	*e = entry{}
	return ref, e
}

// release frees an entry. The last page with room is kept even if it is empty.
func (s *slab) release(ref uint32) {
	at := int32((ref - 1) >> pageBits)
	p := s.pages[at]
	*s.at(ref) = entry{link: uint64(p.free)}
	p.free = ref
	p.used--
	s.entries--
	if !p.listed {
		s.list(at)
	}
	if p.used == 0 && (p.next >= 0 || p.prev >= 0) {
		s.unlist(at)
		s.pages[at] = nil
		s.vacant = append(s.vacant, at)
	}
}

func (s *slab) addPage() {
	p := &page{}
	var at int32
	if last := len(s.vacant) - 1; last >= 0 {
		at = s.vacant[last]
		s.vacant = s.vacant[:last]
		s.pages[at] = p
	} else {
		at = int32(len(s.pages))
		s.pages = append(s.pages, p)
	}
	s.list(at)
}

// list puts a page in front of those with room.
func (s *slab) list(at int32) {
	p := s.pages[at]
	p.listed, p.prev, p.next = true, -1, s.room-1
	if p.next >= 0 {
		s.pages[p.next].prev = at
	}
	s.room = at + 1
}

func (s *slab) unlist(at int32) {
	p := s.pages[at]
	if p.next >= 0 {
		s.pages[p.next].prev = p.prev
	}
	if p.prev >= 0 {
		s.pages[p.prev].next = p.next
	} else {
		s.room = p.next + 1
	}
	p.listed, p.prev, p.next = false, -1, -1
}

// count adds one, up to countMax.
func count(n uint16) uint16 {
	if n == countMax {
		return n
	}
	return n + 1
}
