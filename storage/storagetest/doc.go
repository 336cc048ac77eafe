// Package storagetest tests what claims to be a storage.Store or a storage.Log, and lends its tools to the tests of others.
//
// A Script is a workload that is a pure function of its seed: step n is the same for who writes it, for who checks it
// afterwards and for a process that was killed in between. Faults fails or observes the named operations of a store.
// TestStore and TestLog are the contracts, TestFiles what only a store of files promises.
//
// It refuses to be imported by anything but tests. Goroutines: those of the stores that it runs.
//
// Invariants:
//
//	S1  After any fault and any crash, a store that is opened again is at the position of one step n of its script,
//	    or at none; it has exactly the records and the messages of the steps 1 to n.
//	S2  n is at least the last step that Sync had returned for.
package storagetest
