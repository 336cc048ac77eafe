// Command stampede is the broker, and all that an operator runs beside it: serve, pub, sub, bench, status, drain, log, check-config,
// version. It wires the packages together and is the only reader of flags, environment and files.
//
// What it refuses: a setting that it does not know, whether flag, variable or key of a file; a listening address beyond loopback
// when nothing was decided about who may come in. A configuration is told all of its faults at once and nothing is started.
//
// Goroutines: those of serve are listed at its top; the other commands say theirs in their own files.
//
// Invariants:
//
//	C1: exit code 0 is a command done or a drain that was asked for, 1 a failure, 2 bad usage or configuration; what is wrong stands on
//	    standard error, one line a fault.
//	C2: a flag beats the environment, the environment beats the file, the file beats the default.
//	C3: no secret is printed: passcodes, hashes, tokens and keys live in files that are named and never shown.
package main
