package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFoldWays(t *testing.T) {
	got := foldWays([]story{
		{"a page", []string{"loads"}},
		{"queues over tcp in STOMP 1.0", []string{"give", "keep"}},
		{"queues over tcp in STOMP 1.1", []string{"give", "keep", "nack"}},
		{"queues over tcp in STOMP 1.2", []string{"give", "keep", "nack"}},
		{"queues over websocket in STOMP 1.0", []string{"give"}},
		{"queues over websocket in STOMP 1.1", []string{"give", "nack"}},
		{"queues over websocket in STOMP 1.2", []string{"escape", "give", "nack"}},
	})
	want := []story{
		{"a page", []string{"loads"}},
		{"queues over tcp and websocket in STOMP 1.0 to 1.2", []string{"give"}},
		{"queues over tcp and websocket in STOMP 1.1 and 1.2", []string{"nack"}},
		{"queues over tcp in STOMP 1.0 to 1.2", []string{"keep"}},
		{"queues over websocket in STOMP 1.2", []string{"escape"}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(story{})); diff != "" {
		t.Errorf("stories (-want +got):\n%s", diff)
	}
	if got, want := describeWays([]way{{"tcp", "1.0"}, {"websocket", "1.2"}, {"websocket", "1.1"}}), "tcp in STOMP 1.0, websocket in STOMP 1.1 and 1.2"; got != want {
		t.Errorf("ways %q, want %q", got, want)
	}
}
