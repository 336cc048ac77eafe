// Command cluster runs Stampede nodes on loopback for a test suite in any language: it starts them, says where they are, and kills, stops
// and starts them again when it is told to.
//
// It prints one line of JSON when all nodes are ready and one for each command that it reads from standard input:
//
//	leader            {"leader":2}                               the number of the node that leads; it is waited for
//	kill N            {"killed":2}                               SIGKILL; N is a number or "leader"
//	stop N            {"stopped":2,"exitCode":0}                 SIGTERM: the node drains, and is waited for
//	start N           {"started":2,"node":{...}}                 starts it again with what is on its disk, and waits until it is ready
//	kill all          {"killed":"all"}                           all at once, as a power cut does it
//	start all         {"started":"all","nodes":[...]}            all that do not run, then waits: none is ready without a majority
//	pause N           {"paused":2}                               SIGSTOP
//	resume N          {"resumed":2}                              SIGCONT
//	status            {"nodes":[...]}                            as in the first line, with what has become of the processes
//
// A command that cannot be done is answered by {"error":"..."}. At the end of standard input, or at SIGTERM, all nodes are ended and their
// data is removed: a suite that dies leaves nothing behind.
//
// It refuses nothing that the broker takes: flags after -- go to every node as they are.
//
// # Goroutines
//
// One reads standard input; one for each process waits for its end.
//
// # Invariants
//
//	I1  A process that was started is waited for, and none is left at the end.
//	I2  Addresses are the same for a node's whole life, and no outgoing connection can take them.
package main
