package storage

// The flusher: what is flushed when, and what readers see of it. One flush is one transaction.

import (
	"context"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// flusher is the state of Run.
type flusher struct {
	s       *Store
	builder blockBuilder
	changes []change
	parts   []part
	keys    []uint64
	last    time.Time // begin of the last flush

	jobs    chan *unsealed
	results chan sealResult
	sealing bool
}

// part is what one flush adds to one segment.
type part struct {
	base                  *unsealed // nil for a new segment
	info                  segmentInfo
	spansFrom, spansUntil int // its blocks in the builder
	keysFrom, keysUntil   int // its places in the flusher's keys
}

func newFlusher(s *Store) *flusher {
	return &flusher{s: s, jobs: make(chan *unsealed, 1), results: make(chan sealResult, 1)}
}

func (f *flusher) run(ctx context.Context) error {
	sealing, cancel := context.WithCancel(ctx)
	defer cancel()
	go f.s.runSealer(sealing, f.jobs, f.results)
	err := f.loop(ctx)
	if err == nil {
		err = f.flush()
	}
	if err != nil {
		err = f.s.fail(err)
	}
	cancel()
	close(f.jobs)
	for r := range f.results { // a segment whose files are not finished is sealed after the next start
		if err == nil && r.err == nil {
			if err = f.adopt(r.info); err != nil {
				err = f.s.fail(err)
			}
		}
	}
	return err
}

// loop flushes when it is due, and tells state.db of each segment that was sealed.
func (f *flusher) loop(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		f.startSealing()
		due, wait := f.due()
		if due {
			if err := f.flush(); err != nil {
				return err
			}
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-f.s.handover.wake:
		case <-timer.C:
		case r := <-f.results:
			f.sealing = false
			if r.err != nil {
				if ctx.Err() != nil {
					return nil // sealing ended with ctx
				}
				return r.err
			}
			if err := f.adopt(r.info); err != nil {
				return err
			}
		}
	}
	return nil
}

// due says whether to flush now, or for how long nothing has to be done unless something happens.
func (f *flusher) due() (now bool, wait time.Duration) {
	const idle = time.Hour
	bytes, some, urgent := f.s.handover.state()
	switch {
	case !some:
		return false, idle
	case urgent:
		return true, 0
	case len(f.s.view.Load().unsealed) > closedSegmentsMax:
		return false, idle // the sealer's result wakes us
	case bytes >= int64(f.s.options.FlushBytes):
		return true, 0
	}
	wait = f.s.options.FlushInterval - f.s.now().Sub(f.last)
	return wait <= 0, wait
}

// startSealing gives the sealer the oldest closed segment.
func (f *flusher) startSealing() {
	v := f.s.view.Load()
	if f.sealing || len(v.unsealed) == 0 || v.unsealed[0].state != segmentClosed {
		return
	}
	f.sealing = true
	f.jobs <- v.unsealed[0]
}

// flush writes what was handed over.
func (f *flusher) flush() error {
	b, ok := f.s.handover.take()
	if !ok {
		return nil
	}
	f.last = f.s.now()
	v := f.s.view.Load()
	pending := f.plan(v, b.upto)
	if err := f.gather(b.changes); err != nil {
		return fmt.Errorf("flush up to seq %d: %w", b.pos.Seq, err)
	}
	if err := f.s.update(func(tx *bbolt.Tx) error { return f.write(tx, &b) }); err != nil {
		return fmt.Errorf("flush up to seq %d: %w", b.pos.Seq, err)
	}
	f.publish(v, pending)
	f.forget()
	f.s.position.Store(&b.pos)
	f.s.pendingBytes.Add(-b.bytes)
	f.s.handover.flushed(b.commits)
	f.s.figures.flushes.Add(1)
	f.s.figures.flush.observe(f.s.now().Sub(f.last))
	return nil
}

// forget lets go of what the last flush wrote.
func (f *flusher) forget() {
	f.builder.reset()
	clear(f.parts)
	clear(f.changes)
	f.parts, f.changes, f.keys = f.parts[:0], f.changes[:0], f.keys[:0]
}

// plan lays the pending messages up to a seq out in blocks of segments, and returns where pending begins afterwards.
func (f *flusher) plan(v *view, upto uint64) cursor {
	if n := len(v.unsealed); n > 0 && v.unsealed[n-1].state == segmentOpen {
		f.parts = append(f.parts, part{base: v.unsealed[n-1], info: v.unsealed[n-1].segmentInfo})
	}
	at := v.pending
	var messages, bytes uint64
	for {
		next := at
		m := next.next()
		if m == nil || m.seq > upto {
			break
		}
		at = next
		p := f.partFor(m)
		p.info.add(m)
		f.keys = append(f.keys, placeKey(m.stream, p.info.place(m.seq)))
		f.builder.add(m)
		messages++
		bytes += uint64(len(m.data))
	}
	f.endPart()
	f.s.figures.messages.Add(messages)
	f.s.figures.messageBytes.Add(bytes)
	return at
}

// partFor returns the part that a message goes to, which is a new one when the rule of the roll says so.
func (f *flusher) partFor(m *message) *part {
	n := len(f.parts)
	if n > 0 && f.parts[n-1].info.takes(m, &f.s.options) {
		return &f.parts[n-1]
	}
	if n > 0 {
		f.endPart()
		f.parts[n-1].info.state = segmentClosed
	}
	f.parts = append(f.parts, part{info: segmentInfo{state: segmentOpen}, spansFrom: len(f.builder.spans), keysFrom: len(f.keys)})
	return &f.parts[n]
}

// endPart ends the block of the last part.
func (f *flusher) endPart() {
	f.builder.finish()
	if n := len(f.parts); n > 0 {
		f.parts[n-1].spansUntil, f.parts[n-1].keysUntil = len(f.builder.spans), len(f.keys)
	}
}

// gather brings the changes into one sorted list.
func (f *flusher) gather(buffers [][]byte) (err error) {
	for _, b := range buffers {
		if f.changes, err = appendChanges(f.changes, b); err != nil {
			return err
		}
	}
	f.s.figures.recordsGiven.Add(uint64(len(f.changes)))
	f.changes = coalesce(f.changes)
	f.s.figures.records.Add(uint64(len(f.changes)))
	return nil
}

// publish shows readers what is durable now.
func (f *flusher) publish(old *view, pending cursor) {
	v := &view{sealed: old.sealed, pending: pending, last: old.last}
	v.unsealed = append(v.unsealed, old.unsealed...)
	for i := range f.parts {
		p := &f.parts[i]
		u := &unsealed{segmentInfo: p.info}
		if p.base != nil {
			u.blocks, u.runs = p.base.blocks, p.base.runs
			v.unsealed = v.unsealed[:len(v.unsealed)-1]
		}
		for _, sp := range f.builder.spans[p.spansFrom:p.spansUntil] {
			u.blocks = append(u.blocks, sp.first)
		}
		u.runs = addRun(u.runs, f.keys[p.keysFrom:p.keysUntil])
		v.unsealed = append(v.unsealed, u)
		v.last = p.info.last
	}
	f.s.view.Store(v)
}

// adopt takes the oldest closed segment out of state.db, now that its files are there.
// Readers are sent to the files first: whoever then finds the blocks gone finds the file in the newest view.
func (f *flusher) adopt(info segmentInfo) error {
	old := f.s.view.Load()
	if len(old.unsealed) == 0 || old.unsealed[0].first != info.first {
		return fmt.Errorf("sealed segment %d is not the oldest unsealed one", info.first)
	}
	f.s.view.Store(&view{
		sealed:   append(old.sealed, info), // readers of older views see a shorter slice
		unsealed: old.unsealed[1:], pending: old.pending, last: old.last,
	})
	err := f.s.update(func(tx *bbolt.Tx) error {
		key := segmentKey(info.first)
		if err := tx.Bucket([]byte(bucketBlocks)).DeleteBucket(key); err != nil {
			return err
		}
		return tx.Bucket([]byte(bucketSegments)).Put(key, appendSegmentInfo(nil, &info))
	})
	if err != nil {
		return fmt.Errorf("take segment %d out of state.db: %w", info.first, err)
	}
	return nil
}
