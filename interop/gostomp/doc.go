// Package gostomp holds no code, only tests: the public client github.com/go-stomp/stomp/v3 against freshly built nodes, over TCP and over
// WebSocket, in STOMP 1.0, 1.1 and 1.2, with one node and with three whose leader is killed. What it checks is what a program written for
// any STOMP broker relies on.
//
// The nodes run through interop/cluster, built by TestMain and, under the race detector, built with it too. The tests are skipped by -short
// alone: they build binaries and open sockets, one of them waits out three heart-beats (half a minute), and the ones that kill take as long.
package gostomp
