package main

// cluster_stage_test.go: a cluster of three processes for the tests that break it.

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"stampede/cluster/admin"
	"stampede/internal/loopback"
)

// testCluster is three brokers on one machine.
type testCluster []*crashBroker

// newTestCluster gives three brokers that know each other's addresses; none is started.
func newTestCluster(t *testing.T) testCluster {
	t.Helper()
	var seeds []string
	for range 3 {
		seeds = append(seeds, loopback.Addr(t))
	}
	var c testCluster
	for _, addr := range seeds {
		b := newCrashBroker(t)
		b.args = append(b.args, "--cluster-addr="+addr, "--cluster-seeds="+strings.Join(seeds, ","), "--log-level=warn")
		c = append(c, b)
	}
	return c
}

// start starts all of them together and waits until they are ready.
func (c testCluster) start(t *testing.T) {
	t.Helper()
	for _, b := range c {
		b.launch(t)
	}
	for _, b := range c {
		b.awaitReady(t)
	}
}

// status asks a node what it knows.
func (b *crashBroker) status(t *testing.T) (s admin.Status) {
	t.Helper()
	code, body := fetch(t, http.MethodGet, b.admin+"/api/v1/status")
	if err := json.Unmarshal([]byte(body), &s); code != http.StatusOK || err != nil {
		t.Fatalf("status = %d %s, %v", code, body, err)
	}
	return s
}

// leader gives the broker that all of these say leads, and the others of them.
func (c testCluster) leader(t *testing.T) (leader *crashBroker, others testCluster) {
	t.Helper()
	await(t, "one leader", func() bool {
		leader, others = nil, nil
		named := map[string]bool{}
		for _, b := range c {
			s := b.status(t)
			named[s.Leader] = true
			if s.Role == "leader" && s.Leader == s.Node {
				leader = b
			} else {
				others = append(others, b)
			}
		}
		return leader != nil && len(named) == 1
	})
	return leader, others
}

// awaitAgreement waits until all nodes have folded the same, and checks that it made the same of them.
func (c testCluster) awaitAgreement(t *testing.T) {
	t.Helper()
	var all []admin.Status
	await(t, "equal positions", func() bool {
		all = all[:0]
		for _, b := range c {
			all = append(all, b.status(t))
		}
		return !slices.ContainsFunc(all, func(s admin.Status) bool {
			return s.DigestSeq != all[0].DigestSeq || s.AppliedSeq != s.DigestSeq || s.AppliedIndex != all[0].AppliedIndex
		})
	})
	for i, s := range all {
		if s.Digest != all[0].Digest || s.Chain != all[0].Chain {
			t.Errorf("node %d at seq %d: digest %s chain %s, node 1 has %s and %s", i+1, s.DigestSeq, s.Digest, s.Chain, all[0].Digest, all[0].Chain)
		}
	}
}

// checkTopic reads the topic at each node, compares, and holds it against what was receipted.
func (c testCluster) checkTopic(t *testing.T, marker *crashPublisher, publishers []*crashPublisher) (all []delivery) {
	t.Helper()
	for i, b := range c {
		marker.url = b.tcp
		read := b.checkTopic(t, all, nil, marker, publishers)
		if i > 0 && len(read) != len(all)+1 { // the marker of this node
			t.Errorf("node %d has %d messages in the topic, the one before had %d", i+1, len(read), len(all))
		}
		all = read
	}
	return all
}

// stopAndVerify ends all of them in order and checks what is on their disks.
func (c testCluster) stopAndVerify(t *testing.T) {
	t.Helper()
	c.awaitAgreement(t)
	for _, b := range c {
		b.stopAndVerify(t)
	}
}

// figure prints what was measured, as a row of the table that `make cluster-torture` shows. Nothing is asserted of it.
func figure(t *testing.T, what string, values []time.Duration) {
	t.Helper()
	if len(values) == 0 {
		return
	}
	slices.Sort(values)
	seconds := func(of int) float64 { return values[min(len(values)*of/100, len(values)-1)].Seconds() }
	t.Logf("| %s | %d | %.3f | %.3f | %.3f |", what, len(values), seconds(50), seconds(99), seconds(100))
}
