// Package stomptest plays transcripts of STOMP connections: text files in which a client's and a server's bytes are written
// down line by line, to be read by people and checked, or rewritten, by tests.
//
//	# A comment. Blank lines separate the steps.
//	set policy lenient
//
//	> CONNECT
//	> accept-version:1.2
//	>
//	> ^@
//	< CONNECTED
//	< version:1.2
//	<
//	< ^@
//	@+5s
//	<
//	closed 1002
//
// `set` lines, before all others, are the test's to understand. A line that begins with > is sent, one that begins with < is
// expected; both stand for the text after them and an LF, but for lines that end with a NUL, which have none, and lines that
// end with ^$, which stands for nothing. ^@ is a NUL, ^M a CR, ^ and a letter any other control byte, ^x80 a byte that is no
// UTF-8, ^' the caret itself. In lines that are sent, {1000*ab} is ab a thousand times. `@+5s` lets time pass, for players
// whose clock is fake. `closed` expects the server to close, over WebSocket with that code.
//
// What arrives has to be what stands there, neither less nor more: also between two steps of the client, where nothing may
// arrive.
//
// What it refuses: transcripts with lines of any other form, or without a step. Goroutines: a Player has one, which reads
// until the stream ends; Play returns after it did. Only tests import the package.
package stomptest
