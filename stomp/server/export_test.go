package server

// Queued is how many bytes of the outbox the socket has not taken.
func (s *Session) Queued() int64 { return s.outbox.queued.Load() }

// UnreadBytesMax is how much of the server's own answers is written beyond a full outbox.
const UnreadBytesMax = unreadBytesMax

// WSFrameBytesMax is the payload of one WebSocket frame.
const WSFrameBytesMax = wsFrameBytesMax

// DrainPaceMin is the slowest pace of a drain, in sessions a second.
const DrainPaceMin = drainPaceMin
