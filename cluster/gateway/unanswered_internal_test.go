package gateway

import (
	"testing"

	"stampede/broker"
	"stampede/cluster"
	"stampede/stomp"
)

func TestUnansweredCommandOfTheAdminAPI(t *testing.T) {
	for _, c := range []struct {
		name    string
		inDoubt bool
		want    string
	}{
		{"is told that it did not take effect", false, stomp.CodeNoQuorum},
		{"is told that it may have", true, stomp.CodeOutcomeUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &publication{done: make(chan publishOutcome, 1)}
			new(Gateway).Unanswered(cluster.Ticket{Owner: p, Kind: ticketPublish}, c.inDoubt)
			if o := <-p.done; o.err == nil || o.err.Code != c.want || o.refusal != broker.RefusedNone {
				t.Errorf("outcome = %+v, want %s", o, c.want)
			}
		})
	}
}

func TestErrorsOfUnansweredCommandsNeverClose(t *testing.T) {
	for _, err := range []*stomp.ProtocolError{noQuorum(), outcomeUnknown()} {
		if err.Severity != stomp.Transient {
			t.Errorf("%s has severity %v, want %v", err.Code, err.Severity, stomp.Transient)
		}
	}
	if err := elsewhere(); err.Severity != stomp.Fatal {
		t.Errorf("%s has severity %v, want %v", err.Code, err.Severity, stomp.Fatal)
	}
}
