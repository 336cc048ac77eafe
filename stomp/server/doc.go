// Package server carries STOMP sessions over TCP, TLS and WebSocket. It reads frames, keeps the protocol's rules (machine.go,
// without I/O), asks a Backend for everything that is a broker's matter, and writes what the Backend gives back.
//
// What it refuses: frames before CONNECT, a second CONNECT, everything that stomp.Validate refuses, more connections,
// subscriptions, transactions or bytes than Config allows, handshakes from foreign origins.
//
// Goroutines: Serve runs one accept loop a listener. Each session has one reading goroutine, which calls the Link, and a
// writing goroutine that exists only while there is something to write. One sweeper a server (pulse.go) sends
// heart-beats and finds late clients, so that an idle session has no timer. A connection above the limit is told so by a
// goroutine of its own, for LingerTimeout at most. Shutdown returns when all have ended.
//
// Invariants:
//
//	S1: nothing writes to a socket but the session's writing goroutine, in the order of the outbox.
//	S2: no frame is handled before CONNECT, and none after an ERROR that closes.
//	S3: a Link is closed exactly once, by the session's reading goroutine, after its last other call from there.
//	S4: an idle session holds no buffer above 1 KiB and no goroutine but its reader.
//	S5: an ERROR that closes is followed by a half-close, and the socket is read until the client closes or
//	    LingerTimeout has passed, so that the ERROR is not lost to a reset [STOMP12 §Connection Lingering].
//	S6: after the RECEIPT of DISCONNECT, and after an ERROR that closes, nothing is taken from the Link; what it writes then
//	    is NeverWritten.
package server
