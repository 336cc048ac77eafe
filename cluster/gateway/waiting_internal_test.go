package gateway

import "testing"

func TestAnswersBeyondWhatWaits(t *testing.T) {
	l := &link{proposed: 5, bytes: 50}
	l.answered.Store(7) // outcomes of an incarnation that ended came behind notSubmitted, which counts all as answered
	l.answeredBytes.Store(70)
	if l.waitingCommands() > sessionCommandsMax || l.waitingBytes() >= sessionBytesMax {
		t.Errorf("%d commands and %d bytes wait, want none: nothing would come that ends the waiting", l.waitingCommands(), l.waitingBytes())
	}
}
