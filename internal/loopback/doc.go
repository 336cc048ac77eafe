// Package loopback finds addresses on loopback for brokers that come and go: those of tests, and of the clusters that public clients are tried on.
//
// A port that the system chose (port 0) does not do for them: while its broker is away, the system may give it to a client's outgoing
// connection. So ports are drawn from below those that it gives, and reserved beyond the process.
//
// A Gate is a network between brokers that can be shut.
//
// The package does not listen on what it reserved, does not keep others from doing so who do not ask it, and finds no addresses but of 127.0.0.1. It has no
// goroutines.
//
// Invariants:
//
//  1. Two Reserved that are open at the same time, in whatever processes, have no address in common.
//  2. Nobody listened on an address when it was given.
package loopback
