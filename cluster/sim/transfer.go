package sim

import (
	"bytes"
	"context"
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

// store is a stateStore that begins with an image.
func (l *life) store(im image) *stateStore {
	return &stateStore{
		life: l, position: im.position, origin: im.origin, records: maps.Clone(im.records),
		messages: slices.Clone(im.messages), durable: len(im.messages),
	}
}

func (s *stateStore) imageLocked() image {
	return image{
		position: s.position, origin: s.origin, records: maps.Clone(s.records), messages: slices.Clone(s.messages[:s.durable]),
	}
}

// Snapshot implements cluster.StateStore. The network has a pace of its own.
func (s *stateStore) Snapshot(context.Context, int64) (cluster.Outgoing, error) {
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
func (s *stateStore) Origin() storage.Position { return s.origin }

// incoming is a state on its way to a life. A crash forgets it.
type incoming struct {
	life *life
	text bytes.Buffer
	all  image
}

// Receive implements cluster.Disk.
func (l *life) Receive(storage.Options) (cluster.Incoming, error) { return &incoming{life: l}, nil }

func (in *incoming) Write(b []byte) (int, error) { return in.text.Write(b) }

// Finish has it on disk, beside the one that is there.
func (in *incoming) Finish() (cluster.StateStore, error) {
	var s streamed
	if err := gob.NewDecoder(&in.text).Decode(&s); err != nil {
		return nil, err
	}
	in.all = image{position: s.Position, origin: s.Position, records: s.Records}
	if in.all.records == nil {
		in.all.records = make(map[string][]byte)
	}
	for _, m := range s.Messages {
		in.all.messages = append(in.all.messages, message{m.Stream, m.Seq, m.At, m.Data})
	}
	time.Sleep(in.life.disk.delay())
	return in.life.store(in.all), nil
}

// TakeOver implements cluster.Incoming: a crash before it leaves the state that was there, one after it the one that came.
func (in *incoming) TakeOver() error {
	time.Sleep(in.life.disk.delay())
	in.life.own(func(d *Disk) { d.state = in.all })
	return nil
}

func (in *incoming) Close() error { return nil }
