package gateway_test

import "testing"

func TestFirstOfARepeatedHeaderCounts(t *testing.T) {
	r := start(t)
	c := r.connect(t)
	c.publish("/topic/repeated", "x", "persistent", "true", "persistent", "false")
	if _, last := r.node.Bounds("/topic/repeated"); last == 0 {
		t.Error("the message is not in the log, want the first persistent header to count")
	}
}
