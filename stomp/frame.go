package stomp

// Header is one header entry, decoded: its escapes are undone.
type Header struct{ Name, Value []byte }

// Frame is one frame, decoded. Frames that a Reader gives are views into its buffer; see Reader.ReadFrame.
type Frame struct {
	Command Command
	Headers []Header
	Body    []byte
}

// NewFrame makes a frame of names and values in turn. It panics when a name has no value.
func NewFrame(c Command, nameValuePairs ...string) *Frame {
	if len(nameValuePairs)%2 != 0 {
		panic("stomp: NewFrame " + c.String() + ": a header name without a value")
	}
	f := &Frame{Command: c, Headers: make([]Header, 0, len(nameValuePairs)/2)}
	for i := 0; i < len(nameValuePairs); i += 2 {
		f.Add(nameValuePairs[i], nameValuePairs[i+1])
	}
	return f
}

// Add appends a header entry. It does not replace one of the same name, and the first of a name is the one that counts.
func (f *Frame) Add(name, value string) {
	f.Headers = append(f.Headers, Header{Name: []byte(name), Value: []byte(value)})
}

// Get gives the value of the first header of that name. It does not allocate. [STOMP12 §Repeated Header Entries]
func (f *Frame) Get(name string) (value []byte, ok bool) {
	for i := range f.Headers {
		if string(f.Headers[i].Name) == name {
			return f.Headers[i].Value, true
		}
	}
	return nil, false
}

// Value gives the value of the first header of that name as a string of its own, "" when there is none.
func (f *Frame) Value(name string) string {
	value, _ := f.Get(name)
	return string(value)
}

// Has says whether there is a header of that name.
func (f *Frame) Has(name string) bool {
	_, ok := f.Get(name)
	return ok
}

// Size counts the bytes of all names and values and of the body: what the frame costs a budget.
func (f *Frame) Size() int {
	n := len(f.Body)
	for i := range f.Headers {
		n += len(f.Headers[i].Name) + len(f.Headers[i].Value)
	}
	return n
}

// Clone gives a copy that shares no memory with f. All its bytes lie in one allocation.
func (f *Frame) Clone() *Frame {
	c := &Frame{Command: f.Command, Headers: make([]Header, len(f.Headers))}
	pool := make([]byte, 0, f.Size())
	keep := func(b []byte) []byte {
		from := len(pool)
		pool = append(pool, b...)
		return pool[from:len(pool):len(pool)]
	}
	for i := range f.Headers {
		c.Headers[i] = Header{Name: keep(f.Headers[i].Name), Value: keep(f.Headers[i].Value)}
	}
	if len(f.Body) > 0 {
		c.Body = keep(f.Body)
	}
	return c
}

// SubscriptionID gives what names the subscription of a SUBSCRIBE or UNSUBSCRIBE: its `id`, or in 1.0, where that is
// optional, its `destination`. It is nil when there is neither, which Validate refuses.
func SubscriptionID(f *Frame, v Version) []byte {
	id, ok := f.Get(HeaderID)
	if (!ok || len(id) == 0) && v <= V10 {
		id, _ = f.Get(HeaderDestination)
	}
	return id
}
