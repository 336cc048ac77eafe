// Package gostomp holds no code, only tests: the public client github.com/go-stomp/stomp/v3 against a freshly built broker,
// over TCP and over WebSocket. What it checks is what a program written for any STOMP broker relies on.
//
// The broker runs as a process of its own, built by TestMain and, under the race detector, built with it too. The tests
// are skipped by -short alone: they build a binary and open sockets, and one of them waits out three heart-beats (half a minute).
package gostomp
