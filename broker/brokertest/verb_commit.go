package brokertest

import (
	"strings"

	"github.com/cockroachdb/datadriven"

	"stampede/broker"
)

// commit s1, with one send, ack, nack or cover a line below it, commits a transaction.
func commit(w *World, a args) string {
	var f broker.TransactionCommitted
	for line := range strings.Lines(a.d.Input) {
		cmd, cmdArgs, err := datadriven.ParseLine(line)
		if err != nil {
			a.fail("%v", err)
		}
		action := args{w, &datadriven.TestData{Pos: a.d.Pos, Cmd: cmd, CmdArgs: cmdArgs}}
		switch cmd {
		case "send":
			f.Actions = append(f.Actions, broker.MessageSent{Message: message(a.session(), action)})
		case "ack":
			f.Actions = append(f.Actions, settled(action, broker.Acked))
		case "nack":
			f.Actions = append(f.Actions, settled(action, nackOutcome(action)))
		case "cover":
			f.Actions = append(f.Actions, broker.UserCovered{Sub: action.sub().number, UpTo: broker.Seq(action.number("upto", 0))})
		default:
			a.fail("%s is not for transactions", cmd)
		}
	}
	return w.fold(a.session().node, f)
}
