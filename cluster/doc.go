// Package cluster makes a node of a broker: its identity, its log, its state and its members.
//
// A Node takes encoded facts (Submit), puts them in the replicated log, folds the log with package broker, and hands what follows to a
// Performer. It keeps the messages for whoever reads them by place, destination or time (Scan, Message, Bounds, SeqAt). ReadLog and
// Verify do so with the data directory of a node that does not run. A node with seeds finds or founds its cluster with the others, submits to
// whoever leads, and exchanges unlogged messages with them (AddInterest, SendUnlogged, Receiver). FORMAT.md has the bytes, DESIGN.md the reasons.
//
// It refuses: a data directory that another process uses; a log that lacks what the node had folded or acknowledged; an entry or a node
// of another cluster, group or version; a submission that no entry can hold; to go on after a panic of the fold or a failure of the disk.
// It knows nothing of STOMP, and a queue is nothing but a kind of destination to it.
//
// Invariants, each kept by the test named:
//
//	C1 An outcome is told only for what is fsynced on a majority and folded; after any crash it is in the log, at its Seq.
//	   (TestCrashLosesNothingThatWasAcknowledged)
//	C2 What one node submits is folded in the order of the calls, each fact once, whatever changes of leadership lie between.
//	   (TestProposer, TestRepeatAfterLostLeadershipTakesEffectOnce)
//	C3 A message can be read (Recent, Message, Scan) before the effects of its event are performed. (TestScan)
//	C4 What is performed begins with the node's own NodeStarted; the log before that is folded in silence. (TestNode)
//	C5 What is on disk of the state belongs to one place of the log, with the digest and the chain hash of that place. (TestVerify)
//	C6 A follower never folds an entry that its leader did not compare with its own log. (TestTransport...)
//	C7 The stamps of the log never go backwards. (TestClock; the fold itself takes an earlier stamp for the one before)
//	C8 The goroutine of the fold never waits for the disk, nor for a client.
//	C9 Submit allocates nothing per command. (TestSubmitAllocatesNothingPerCommand)
//	C10 Two sets of nodes of one list of seeds never found a cluster each. (TestPromise, TestFounding, TestCandidates)
//	C11 What was told as surely not in the log never comes into it. (TestWaitingEnds, the simulation)
//	C12 For an incarnation that has ended nothing is submitted any more. (TestEvictionLetsEverythingGo)
//	C13 A node that folded something else than its leader stops. (TestNodeThatDiffersFromTheLeaderStops)
//	C14 No entry is acknowledged and no vote given whose loss the next start would not notice. (TestBegunLog)
//	C15 The answer to a call of Raft comes from the member that is meant. (TestPortReachesTheMemberThatIsMeant)
//
// Goroutines of a running Node, all started by Run and ended when it returns:
//
//	runRoute        keeps the proposer connected to whoever leads; dialLeader one at a time, stand when the leader's process is gone
//	runWriter,      of the stream to a leader elsewhere
//	runReader
//	takeForward,    for each node that submits to this one while it leads
//	settleForward
//	runRebirth      begins a new incarnation when the one before has ended
//	runMesh         keeps links to the other members: runLink for each, with a writer; take and a writer for each link of another
//	runDelays       proposes what has gathered behind an entry that takes longer than BatchDelayMax
//	runTicks        lets time pass in the fold when something is due; gives silent nodes up, compares the nodes; looks for proposals that take too
//	                long and commands that have waited too long
//	runAnswers      asks Raft what became of such a proposal
//	runPositions    hands the changes of the state to the store, once a FlushInterval
//	runAnnounce     sees to it that the members know where this node is; askStatus, one a seed, looks for the others
//	awaitEnd        waits for the end of the context or for a failure
//	runFlusher      the flusher of package storage
//	forward         hands calls of other nodes to Raft (safeTransport); nudgePeer one at a time a follower; install for each state that comes
//	accept, shake   the port between nodes, and each connection of it: its handshake and then its handler, if the node listens
//	Raft's own      its main loop, its fold goroutine (which runs fold.apply), one or two a follower
package cluster
