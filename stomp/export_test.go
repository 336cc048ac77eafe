package stomp

// BufferBytes is how large the Reader's buffer is now.
func (r *Reader) BufferBytes() int { return len(r.buf) }

// SmallBufferBytes is how large it is while the Reader waits with nothing unread.
const SmallBufferBytes = smallBytes

// FirstBlockBytes is how large it is under traffic.
const FirstBlockBytes = blockBytesMin

// StrayBodyBytesMax bounds the bodies of frames that should have none.
const StrayBodyBytesMax = strayBodyBytesMax

// HeadersKept is how many headers the Reader has room for.
func (r *Reader) HeadersKept() int { return cap(r.headers) }

// HeadersKeptMax bounds it while the Reader waits with nothing unread.
const HeadersKeptMax = headersKeptMax
