package cluster

// This file holds the duties of a running node: what it does besides folding.

import (
	"context"
	"time"

	"stampede/broker"
)

// proposeLeaderFacts brings into the log what the leader answers for: the limits of its configuration where they differ, and the version of
// the fold once every node knows it. What is proposed twice because the first was not folded yet changes nothing.
func (n *Node) proposeLeaderFacts() {
	var limits, version bool
	err := n.fold.inspect(func(s *broker.State) {
		limits = s.Limits() != n.cfg.Limits
		version = s.Version() < broker.FoldVersion
		if version {
			s.Nodes(func(i broker.NodeInfo) bool {
				version = i.Lost || i.Version >= broker.FoldVersion
				return version
			})
		}
	})
	if err != nil {
		return // the node is stopping
	}
	if limits {
		n.proposeOwn(broker.LimitsChanged{Limits: n.cfg.Limits})
	}
	if version {
		n.proposeOwn(broker.FoldVersionRaised{Version: broker.FoldVersion})
	}
}

// proposeOwn proposes a fact of the leader itself. Nobody waits for it: if it is lost, it is proposed again when it is due again.
func (n *Node) proposeOwn(f broker.Fact) {
	entry := broker.AppendFact(make([]byte, entryHeadBytes), f)
	putEntryHead(entry, n.stamp(), envelope{count: 1})
	n.propose(entry)
}

// runTicks lets time pass in the fold when something is due, gives silent nodes up, compares the nodes, asks what became of proposals that take too long, and
// tells those who have waited for answerWait that there is no outcome.
func (n *Node) runTicks(ctx context.Context) error {
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	var heard silence
	for ticks := 1; ; ticks++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		n.doubt.tick(n.leads.Load())
		n.fold.giveUp()
		if !n.leads.Load() {
			heard = silence{}
		} else {
			n.proposeLeaderFacts()
			n.proposeLosses(&heard)
			if ticks%checkTicks == 0 {
				n.proposeCheck()
			}
			if due := broker.Instant(n.fold.due.Load()); due != 0 && n.stamp() >= due {
				n.proposeOwn(broker.TimeAdvanced{})
			}
		}
		if o := n.proposer.oldest(); o != nil {
			select {
			case n.answers <- o:
			default: // one is being asked already; this one is asked at a later tick
			}
		}
	}
}

// runAnswers waits for the fate of proposals that take too long. One that is not in the log is proposed again with all that follow it.
func (n *Node) runAnswers(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case o := <-n.answers:
			fate := make(chan error, 1)
			go awaitFate(o, fate)
			select {
			case <-ctx.Done():
				return nil // Raft answers when it is shut down
			case err := <-fate:
				if err != nil {
					n.logger.Warn("proposal failed, proposed again", "error", err)
					n.proposer.resend()
				}
			}
		}
	}
}

// awaitFate waits until Raft says what became of a proposal, at the latest when it shuts down.
func awaitFate(o outcome, fate chan<- error) { fate <- o.Error() }

// runPositions hands the state's changes to the store, FlushInterval after the first of them.
func (n *Node) runPositions(ctx context.Context) error {
	pause := time.NewTimer(n.cfg.FlushInterval)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.fold.dirty:
		}
		pause.Reset(n.cfg.FlushInterval)
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
			n.fold.takePosition()
		}
	}
}
