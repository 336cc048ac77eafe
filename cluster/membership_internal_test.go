package cluster

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func goldenFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "formats", "v1", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// goldenIdentity is that of a candidate that has named its cluster.
func goldenIdentity() identity {
	id := identity{
		Version: 1, Incarnation: 3, Founded: true, Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), node: nodeID(1), cluster: nodeID(9),
		Pledge: &pledge{Candidate: nodeID(1).String(), Founders: []founder{{nodeID(1).String(), "10.0.0.1:7400"}, {nodeID(2).String(), "10.0.0.2:7400"}}},
	}
	id.Node, id.Cluster = id.node.String(), id.cluster.String()
	return id
}

func TestIdentityFormat(t *testing.T) {
	disk, err := OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := disk.Close(); err != nil {
			t.Error(err)
		}
	}()
	golden := goldenFile(t, "node.json")
	if err := goldenIdentity().save(disk); err != nil {
		t.Fatal(err)
	}
	if got, err := disk.Identity(); err != nil || !bytes.Equal(got, golden) {
		t.Errorf("identity is written as\n%s%v, want\n%s", got, err, golden)
	}
	if err := disk.SaveIdentity(golden); err != nil {
		t.Fatal(err)
	}
	if got, err := readIdentity(disk); err != nil || !reflect.DeepEqual(got, goldenIdentity()) {
		t.Errorf("identity is read as %+v, %v, want %+v", got, err, goldenIdentity())
	}
}

func goldenMessages() (question, reply) {
	from := peerStatus{
		Node: nodeID(1).String(), Addr: "10.0.0.1:7400", Expect: 3, Seeds: "00000000000000ff", Promised: nodeID(1).String(),
	}
	founders := []founder{{nodeID(1).String(), "10.0.0.1:7400"}, {nodeID(2).String(), "10.0.0.2:7400"}}
	to := peerStatus{
		Node: nodeID(2).String(), Addr: "10.0.0.2:7400", Cluster: nodeID(9).String(), Expect: 3, Seeds: "00000000000000ff", Members: founders, Leader: "10.0.0.1:7400",
	}
	return question{Ask: askPromise, From: from, Founders: founders}, reply{Status: to, Reason: "no"}
}

func TestMembershipFormat(t *testing.T) {
	q, r := goldenMessages()
	golden := goldenFile(t, "membership.bin")
	var written bytes.Buffer
	for _, m := range []any{q, r} {
		if err := writeMessage(&written, m); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(written.Bytes(), golden) {
		t.Errorf("messages are written as\n%q\nwant\n%q", written.Bytes(), golden)
	}
	var gotQ question
	var gotR reply
	from := bytes.NewReader(golden)
	if err := readMessage(from, &gotQ); err != nil || !reflect.DeepEqual(gotQ, q) {
		t.Errorf("question is read as %+v, %v, want %+v", gotQ, err, q)
	}
	if err := readMessage(from, &gotR); err != nil || !reflect.DeepEqual(gotR, r) {
		t.Errorf("reply is read as %+v, %v, want %+v", gotR, err, r)
	}
	t.Run("passes over what it does not know", func(t *testing.T) {
		text := `{"ask":"status","later":{"x":1}}`
		m := append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...)
		var got question
		if err := readMessage(bytes.NewReader(m), &got); err != nil || got.Ask != askStatus {
			t.Errorf("question = %+v, %v, want status", got, err)
		}
	})
	t.Run("is bounded before anything is allocated", func(t *testing.T) {
		m := binary.BigEndian.AppendUint32(nil, membershipBytesMax+1)
		if err := readMessage(bytes.NewReader(m), &question{}); err == nil || !strings.Contains(err.Error(), "longer than") {
			t.Errorf("a message that is too long = %v, want it refused by its length", err)
		}
	})
}

// What a node cannot answer it refuses, and goes on.
func TestUnknownQuestion(t *testing.T) {
	nodes := openSorted(t, seedConfigs(t, 2, 2))
	r, err := nodes[0].ask(t.Context(), nodes[1].port.advertise.String(), question{Ask: "later"}, membershipTimeout)
	if err != nil || r.Yes || r.Reason != errUnknownQuestion.Error() {
		t.Errorf("reply = %+v, %v, want %v", r, err, errUnknownQuestion)
	}
}
