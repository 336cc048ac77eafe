// Command clientstable writes docs/clients.md: which clients were run against the broker, and what was tried with each. It reads what the suites
// printed when they ran, so the page cannot say more than was done.
//
//	clientstable [--check] RESULTS [PAGE]
//
// RESULTS is the folder that the suites wrote into (ARTIFACTS of .ci/run): SUITE.log with the lines of Node's test runner (TAP) or of `go test -v`,
// and clients/SUITE.jsonl with a line of JSON a test. PAGE is docs/clients.md; what stands between its two marks is replaced, or, with --check,
// compared. A test that ran over several transports and versions stands once, with all of them. A suite that has left nothing is an error, as is a test that failed.
//
// It refuses to guess: the clients and their versions are read from the files that pin them.
//
// # Goroutines
//
// None.
//
// # Invariants
//
//	I1  The page depends on the tests and their outcome alone: no time, no number of a port, no name of a machine is in it.
package main
