package sim

import (
	"fmt"
	"sync"
	"time"
)

// This file is what happened, as clients saw it, and the checks of it. Each check costs as much as there is to look at.

// History is written by all clients.
type History struct {
	mu     sync.Mutex // guards all below
	began  time.Time
	notes  []string
	faults []string

	bodies   map[string]*fate
	topics   map[string]map[string]*reading // by topic and subscriber
	offsets  map[uint64]string              // bodies of topics
	lives    int
	unlogged map[string]int // bodies sent, by number of deliveries to each subscriber
}

// fate is what is known of one logged body.
type fate struct {
	dest      string
	receipted bool
	refused   string // the code of its ERROR

	id         string // message-id in a queue
	deliveries int
	life       int // of the consumer that got it last
	settled    bool
}

// reading is what one subscriber was given.
type reading struct {
	last     uint64
	given    map[string]bool
	numbers  map[string]int // last number of each publisher
	unlogged map[string]int // likewise, of unlogged bodies
}

// faultsMax is how many faults are kept: one is enough to fail, a few help to understand.
const faultsMax = 10

// NewHistory begins at the time of the call.
func NewHistory() *History {
	return &History{
		began: time.Now(), bodies: make(map[string]*fate), topics: make(map[string]map[string]*reading), offsets: make(map[uint64]string),
		unlogged: make(map[string]int),
	}
}

func (h *History) faultLocked(format string, args ...any) {
	if len(h.faults) < faultsMax {
		h.faults = append(h.faults, fmt.Sprintf("%8v %s", time.Since(h.began).Round(time.Millisecond), fmt.Sprintf(format, args...)))
	}
}

// Fault notes what must not be.
func (h *History) Fault(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faultLocked(format, args...)
}

// Note keeps what happened, for whoever reads of a fault.
func (h *History) Note(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes = append(h.notes, fmt.Sprintf("%8v %s", time.Since(h.began).Round(time.Millisecond), fmt.Sprintf(format, args...)))
}

// Faults gives what must not have been, and what went on meanwhile.
func (h *History) Faults() (faults, notes []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.faults, h.notes
}

// Sent notes a logged SEND that is about to be written.
func (h *History) Sent(dest, body string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bodies[body] = &fate{dest: dest}
}

// SentUnlogged notes one that is not logged.
func (h *History) SentUnlogged(_, body string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unlogged[body] = 0
}

// Receipted notes what a receipt has promised.
func (h *History) Receipted(bodies ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range bodies {
		h.bodies[b].receipted = true
	}
}

// Refused notes what an ERROR has said.
func (h *History) Refused(code string, bodies ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range bodies {
		h.bodies[b].refused = code
		if code != "no-quorum" && code != "outcome-unknown" && code != "resume-elsewhere" {
			h.faultLocked("%q was refused: %s", b, code)
		}
	}
}

func (h *History) readingLocked(topic, who string) *reading {
	readers := h.topics[topic]
	if readers == nil {
		readers = make(map[string]*reading)
		h.topics[topic] = readers
	}
	r := readers[who]
	if r == nil {
		r = &reading{given: make(map[string]bool), numbers: make(map[string]int), unlogged: make(map[string]int)}
		readers[who] = r
	}
	return r
}

// Got notes a logged message of a topic: each once, in the order of offsets, each publisher's in its order, and the same at the same offset
// for everybody.
func (h *History) Got(who, topic, body string, offset uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.readingLocked(topic, who)
	sent := h.bodies[body]
	name, number := publisherOf(body)
	switch {
	case sent == nil || sent.dest != topic:
		h.faultLocked("%s got %q on %s, where nobody sent it", who, body, topic)
	case sent.refused == "no-quorum":
		h.faultLocked("%s got %q, which was said to be surely not in the log", who, body)
	case r.given[body]:
		h.faultLocked("%s got %q twice, again at %d", who, body, offset)
	case offset <= r.last:
		h.faultLocked("%s got offset %d after %d", who, offset, r.last)
	case number <= r.numbers[name]:
		h.faultLocked("%s got %q after number %d of the same publisher", who, body, r.numbers[name])
	case number <= r.unlogged[name]:
		h.faultLocked("%s got %q after the unlogged number %d of the same session", who, body, r.unlogged[name])
	}
	if other, known := h.offsets[offset]; known && other != body {
		h.faultLocked("%s got %q at %d, where others got %q", who, body, offset, other)
	}
	h.offsets[offset] = body
	r.given[body], r.last, r.numbers[name] = true, offset, number
}

// GotUnlogged notes one that is not logged: at most once, each publisher's in its order.
func (h *History) GotUnlogged(who, topic, body string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.readingLocked(topic, who)
	name, number := publisherOf(body)
	if _, sent := h.unlogged[body]; !sent {
		h.faultLocked("%s got %q, which nobody sent unlogged", who, body)
	}
	if number <= r.unlogged[name] {
		h.faultLocked("%s got the unlogged %q after number %d", who, body, r.unlogged[name])
	}
	if number <= r.numbers[name] {
		h.faultLocked("%s got the unlogged %q after the logged number %d of the same session", who, body, r.numbers[name])
	}
	r.unlogged[name] = number
	h.unlogged[body]++
}

// NextLife numbers the sessions of consumers.
func (h *History) NextLife() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lives++
	return h.lives
}

// Delivered notes a message of a queue: at one place, marked when it comes again, and never after its ACK was receipted.
func (h *History) Delivered(who string, life int, body, id string, redelivered bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.bodies[body]
	switch {
	case f == nil:
		h.faultLocked("%s got %q, which nobody sent", who, body)
		return
	case f.refused == "no-quorum":
		h.faultLocked("%s got %q, which was said to be surely not in the log", who, body)
	case f.settled:
		h.faultLocked("%s got %q again after its ACK was receipted", who, body)
	case f.deliveries > 0 && f.id != id:
		h.faultLocked("%s got %q as %s, it came as %s before", who, body, id, f.id)
	case f.deliveries > 0 && !redelivered:
		h.faultLocked("%s got %q again and unmarked", who, body)
	case f.deliveries > 0 && f.life == life:
		h.faultLocked("%s got %q twice in one session", who, body)
	}
	f.deliveries++
	f.id, f.life = id, life
}

// Settled notes that an ACK was receipted.
func (h *History) Settled(body string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bodies[body].settled = true
}

// Check looks at the whole, once everything has come that will: nothing that was receipted is lost, and all subscribers of a topic were
// given the same.
func (h *History) Check() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for body, f := range h.bodies {
		if readers := h.topics[f.dest]; readers != nil {
			got := 0
			for who, r := range readers {
				if r.given[body] {
					got++
				} else if f.receipted {
					h.faultLocked("%q was receipted and %s never got it", body, who)
				}
			}
			if got != 0 && got != len(readers) {
				h.faultLocked("%q came to %d of %d subscribers", body, got, len(readers))
			}
		} else if f.receipted && f.deliveries == 0 {
			h.faultLocked("%q was receipted and never came from %s", body, f.dest)
		}
	}
}

// Summary counts what happened.
func (h *History) Summary() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	receipted, refused, settled, unlogged := 0, 0, 0, 0
	for _, f := range h.bodies {
		if f.receipted {
			receipted++
		}
		if f.refused != "" {
			refused++
		}
		if f.settled {
			settled++
		}
	}
	for _, n := range h.unlogged {
		unlogged += n
	}
	return fmt.Sprintf("%d sent, %d receipted, %d refused, %d settled; %d unlogged sent, %d given", len(h.bodies), receipted, refused, settled, len(h.unlogged), unlogged)
}
