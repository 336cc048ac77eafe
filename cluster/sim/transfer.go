package sim

import (
	"bytes"
	"encoding/gob"
	"io"
	"maps"
	"slices"
	"time"

	"stampede/cluster"
	"stampede/storage"
)

// This file streams a state from one disk in memory to another.

// streamed is an image as it travels.
type streamed struct {
	Position storage.Position
	Records  map[string][]byte
	Messages []streamedMessage
}

type streamedMessage struct {
	Stream uint32
	Seq    uint64
	At     int64
	Data   []byte
}

func (s *stateStore) imageLocked() image {
	return image{
		position: s.position, origin: s.origin, records: maps.Clone(s.records), messages: slices.Clone(s.messages[:s.durable]),
	}
}

// Snapshot implements cluster.StateStore. The network has a pace of its own.
func (s *stateStore) Snapshot(int64) (cluster.Outgoing, error) {
	s.mu.Lock()
	im := s.imageLocked()
	s.mu.Unlock()
	out := streamed{Position: im.position, Records: im.records}
	for _, m := range im.messages {
		out.Messages = append(out.Messages, streamedMessage{m.stream, m.seq, m.at, m.data})
	}
	var text bytes.Buffer
	if err := gob.NewEncoder(&text).Encode(out); err != nil {
		return cluster.Outgoing{}, err
	}
	return cluster.Outgoing{ReadCloser: io.NopCloser(&text), Position: im.position, Size: int64(text.Len())}, nil
}

// Origin implements cluster.StateStore.
func (s *stateStore) Origin() uint64 { return s.origin }

// incoming is a state on its way to a life.
type incoming struct {
	life *life
	text bytes.Buffer
}

// Receive implements cluster.Disk.
func (l *life) Receive() (cluster.Incoming, error) { return &incoming{life: l}, nil }

func (in *incoming) Write(b []byte) (int, error) { return in.text.Write(b) }

// Finish has it on disk, beside the one that is there.
func (in *incoming) Finish() (storage.Position, error) {
	var s streamed
	if err := gob.NewDecoder(&in.text).Decode(&s); err != nil {
		return storage.Position{}, err
	}
	im := image{position: s.Position, origin: s.Position.Index, records: s.Records}
	if im.records == nil {
		im.records = make(map[string][]byte)
	}
	for _, m := range s.Messages {
		im.messages = append(im.messages, message{m.Stream, m.Seq, m.At, m.Data})
	}
	time.Sleep(in.life.disk.delay())
	in.life.own(func(d *Disk) { d.received = &im })
	return s.Position, nil
}

func (in *incoming) Abort() error { return nil }

// TakeOver implements cluster.Disk.
func (l *life) TakeOver() error {
	time.Sleep(l.disk.delay())
	l.own(func(d *Disk) {
		if d.received != nil {
			d.state, d.received = *d.received, nil
		}
	})
	return nil
}
