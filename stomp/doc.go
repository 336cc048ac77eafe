// Package stomp is the wire: frames of STOMP 1.0, 1.1 and 1.2, read from and appended to bytes.
//
// What it does
//
//   - Reader takes frames out of a stream that comes in pieces of any size, within Limits, without an allocation a frame.
//   - AppendFrame, AppendHeader and TranscodeHeaders write them, escaped as the version asks.
//   - Validate knows which headers a client's frame must have in which version.
//   - NegotiateVersion, ParseHeartBeat and NegotiateHeartBeat are the arithmetic of CONNECT.
//   - Codes is the table of error codes, ProtocolError one fault, ErrorFrame its answer.
//
// What it refuses: sockets, clocks, sessions, destinations. It does not know what a frame means, whether it may come now,
// or who sent it: that is the business of package stomp/server and what lies above. It imports the standard library alone.
//
// Goroutines: none. A Reader belongs to one goroutine at a time; everything else is a function of its arguments.
//
// # Tolerance
//
// LF and CR LF end a line in every version, EOLs between frames are skipped (they are heart-beats), `content-length` may have
// spaces around it, a body on a frame that should have none is dropped up to a small limit, and 1.1 may escape CR. Nothing
// else is forgiven: an undefined escape, a header line without a colon, a NUL among the headers, a body that is longer than
// its `content-length`, or a command that does not exist ends the stream.
//
// # Invariants
//
//  1. A frame of a Reader, its headers and its body are views: they are valid until the next ReadFrame. Clone keeps them.
//  2. The same bytes give the same frames and the same error code, however they were cut into pieces.
//  3. Each byte of the stream is searched a bounded number of times and copied O(1) times on average, however small the pieces.
//  4. Memory follows the bytes that have come, never a length that was only announced: a buffer at most doubles when it is full.
//  5. A Reader with nothing unread holds only its small buffer while it waits for its source.
//  6. Frames are parsed only when asked for, so that SetVersion and SetLimits hold from the next frame on.
//  7. After a *ProtocolError a Reader gives that fault for ever; after any other error it can go on where it was.
//  8. What AppendFrame writes, a Reader of the same version reads back equal, save for what 1.0 and CONNECT cannot express
//     (a CR, an LF, a colon in a name: each becomes a space) and a NUL among the headers (a space in every version).
//  9. No text of an error holds a control byte, a header value or more than a few dozen bytes of what the peer sent.
package stomp
