package main

import (
	"net"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestCluster runs the built broker through what a suite may ask.
func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	binary := filepath.Join(t.TempDir(), "stampede")
	if out, err := exec.Command("go", "build", "-o", binary, "stampede/cmd/stampede").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	c, err := newCluster(binary, t.TempDir(), 3, []string{"--log-level=warn"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.end)
	if err := c.startAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	obey := func(words ...string) any {
		t.Helper()
		answer, err := c.obey(t.Context(), words)
		if err != nil {
			t.Fatalf("%v: %v", words, err)
		}
		return answer
	}

	t.Run("kills_the_leader_and_finds_the_next", func(t *testing.T) {
		killed := obey("kill", "leader").(map[string]int)["killed"]
		next := obey("leader").(map[string]int)["leader"]
		if next == killed {
			t.Errorf("leader = %d, which was killed", next)
		}
		if conn, err := net.Dial("tcp", c.nodes[killed-1].STOMP); err == nil {
			conn.Close()
			t.Errorf("node %d still takes connections", killed)
		}
		if v := obey("start", string(rune('0'+killed))).(map[string]any)["node"].(view); !v.Running || v.Starts != 2 || v.Crashes != 0 {
			t.Errorf("node after the start: %+v", v)
		}
	})
	t.Run("stops_a_node_politely", func(t *testing.T) {
		if got, want := obey("stop", "3").(map[string]int)["exitCode"], 0; got != want {
			t.Errorf("exit code = %d, want %d", got, want)
		}
		obey("start", "3")
	})
	t.Run("tells_of_a_node_that_ended_by_itself", func(t *testing.T) {
		n := c.nodes[0]
		n.mu.Lock()
		err := n.proc.Kill() // not by a command
		n.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		<-n.exited
		if got, want := n.view().Crashes, 1; got != want {
			t.Errorf("crashes = %d, want %d", got, want)
		}
		obey("start", "1")
	})
	t.Run("starts_all_again_when_all_were_killed_at_once", func(t *testing.T) {
		obey("kill", "all")
		for _, n := range c.nodes {
			if v := n.view(); v.Running || v.Crashes > 1 {
				t.Errorf("node after kill all: %+v, want it ended as it was told to", v)
			}
		}
		obey("start", "all")
		obey("leader")
		for _, n := range c.nodes {
			if !n.view().Running {
				t.Errorf("node %d does not run after start all", n.Number)
			}
		}
		obey("start", "all") // all run: nothing to do
	})
	for _, words := range [][]string{{"kill"}, {"kill", "4"}, {"start", "1"}, {"sing", "1"}, {"stop", "all"}, {"leader", "1"}} {
		if answer, err := c.obey(t.Context(), words); err == nil {
			t.Errorf("%v = %v, want an error", words, answer)
		}
	}
}
