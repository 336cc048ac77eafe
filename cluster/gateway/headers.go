package gateway

import (
	"bytes"
	"mime"
	"strconv"
	"strings"

	"stampede/broker"
	"stampede/stomp"
)

// This file is the table of headers: which travel, which the broker consumes, which it refuses.

// headerClass says what becomes of a header of SEND.
type headerClass uint8

const (
	headerTravels     headerClass = iota // from SEND to MESSAGE, untouched
	headerDropped                        // the broker writes it on MESSAGE, or consumes it
	headerMIME                           // content-type: checked, else renamed
	headerExpires                        // travels, and bounds the message's life
	headerUnsupported                    // known, and ignoring it would do harm
)

// classOf sorts a header of SEND by its name. It does not allocate.
func classOf(name []byte) headerClass {
	switch string(name) {
	case "destination", "content-length", "receipt", "transaction", // consumed
		"subscription", "message-id", "ack", "timestamp", "x-stream-offset", "redelivered", "delivery-count", "dropped",
		"resume-gap", "resume-lost", "dead-letter-reason", "dead-letter-destination": // the broker's own on MESSAGE
		return headerDropped
	case "content-type":
		return headerMIME
	case "expiration", "expires", "ttl":
		return headerExpires
	case "dedup-id", "_AMQ_DUPL_ID", "delay", "AMQ_SCHEDULED_DELAY", "AMQ_SCHEDULED_TIME", "AMQ_SCHEDULED_PERIOD",
		"AMQ_SCHEDULED_REPEAT", "AMQ_SCHEDULED_CRON", "retain", "reply-to":
		return headerUnsupported
	}
	return headerTravels
}

// refusedOnSend tells whether this value of a headerUnsupported header has to be refused: some are harmless.
func refusedOnSend(name, value []byte) bool {
	switch string(name) {
	case "retain":
		return string(value) == "true"
	case "reply-to":
		return bytes.HasPrefix(value, []byte("/temp-"))
	case "delay", "AMQ_SCHEDULED_DELAY":
		return string(value) != "0"
	}
	return true
}

// unsupportedOnSubscribe lists the headers of SUBSCRIBE that are known and not supported, with the values that are
// harmless and pass ("" stands for none).
var unsupportedOnSubscribe = []struct{ name, harmless string }{
	{"durable", "false"}, {"persistent", "false"}, {"durable-name", ""}, {"activemq.subscriptionName", ""},
	{"durable-subscription-name", ""}, {"durable-subscriber-name", ""}, {"selector", ""},
	{"single-active", "false"}, {"activemq.exclusive", "false"}, {"exclusive", "false"}, {"auto-delete", "false"},
	{"overflow", ""}, {"browser", "false"}, {"activemq.retroactive", "false"}, {"x-queue-name", ""},
	{"x-stream-filter", ""}, {"transformation", ""},
}

func unsupported(name string) *stomp.ProtocolError {
	return &stomp.ProtocolError{
		Code: stomp.CodeUnsupportedHeader, Severity: stomp.Refused, Message: "header '" + name + "' is not supported",
		Detail: "The header '" + name + "' asks for something that this broker does not do, and ignoring it would do harm. Leave it out.",
	}
}

func invalidHeader(name, why string) *stomp.ProtocolError {
	return &stomp.ProtocolError{
		Code: stomp.CodeInvalidHeader, Severity: stomp.Refused, Message: "invalid header '" + name + "'",
		Detail: "The value of the header '" + name + "' is invalid: " + why + ".",
	}
}

// checkSubscribeHeaders refuses a SUBSCRIBE whose headers ask for what is not there. Of an exclusive queue it may be asked to be what it is:
// browsers do, as RabbitMQ would keep the queue otherwise.
func checkSubscribeHeaders(f *stomp.Frame, kind broker.Kind) *stomp.ProtocolError {
	for _, u := range unsupportedOnSubscribe {
		if kind == broker.KindExclusive && (u.name == "exclusive" || u.name == "auto-delete") {
			continue
		}
		v, ok := f.Get(u.name)
		if ok && (u.harmless == "" || string(v) != u.harmless) {
			return unsupported(u.name)
		}
	}
	return nil
}

// travelling is what sendHeaders found besides the header lines that travel.
type travelling struct {
	expiresAt broker.Instant // 0: never
	transient bool           // persistent:false
}

// sendHeaders appends the header lines of a SEND that travel on to MESSAGE, in STOMP 1.2 wire form.
// now is used for relative times only; the leader's stamp decides the order.
func (g *Gateway) sendHeaders(dst []byte, f *stomp.Frame) ([]byte, travelling, *stomp.ProtocolError) {
	var t travelling
	persistent := false // was there
	for i := range f.Headers {
		h := &f.Headers[i]
		switch classOf(h.Name) {
		case headerDropped:
			continue
		case headerUnsupported:
			if refusedOnSend(h.Name, h.Value) {
				return dst, t, unsupported(string(h.Name))
			}
			if string(h.Name) != "reply-to" {
				continue // consumed: it asks for nothing
			}
		case headerExpires:
			at, err := g.expiry(h.Name, h.Value)
			if err != nil {
				return dst, t, err
			}
			if t.expiresAt == 0 {
				t.expiresAt = at
			}
		case headerMIME:
			if !g.validMIME(h.Value) {
				dst = stomp.AppendHeaderBytes(dst, stomp.V12, []byte("x-content-type"), h.Value)
				continue
			}
		case headerTravels:
			if string(h.Name) == "persistent" { // the first one counts
				t.transient = t.transient || !persistent && string(h.Value) == "false"
				persistent = true
			}
		}
		dst = stomp.AppendHeaderBytes(dst, stomp.V12, h.Name, h.Value)
	}
	return dst, t, nil
}

// expiry reads expiration and ttl (milliseconds from now) and expires (milliseconds since the epoch); 0 is never.
func (g *Gateway) expiry(name, value []byte) (broker.Instant, *stomp.ProtocolError) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || n < 0 {
		return 0, invalidHeader(string(name), "it is a whole number of milliseconds")
	}
	if n == 0 || string(name) == "expires" {
		return broker.Instant(n), nil
	}
	const yearsMillis = 1 << 42 // 139 years: beyond it a message never expires
	if n > yearsMillis {
		return 0, nil
	}
	return broker.Instant(g.now().UnixMilli() + n), nil
}

// validMIME tells whether a content-type can be given to decoders that fail on a malformed one (Spring's does, and a
// message that nobody can read would kill every subscriber again and again). The last good value is remembered: a
// publisher rarely changes it.
func (g *Gateway) validMIME(value []byte) bool {
	if last := g.lastMIME.Load(); last != nil && string(value) == *last {
		return true
	}
	s := string(value)
	media, params, err := mime.ParseMediaType(s)
	if err != nil || strings.ContainsAny(s, `{}\`) { // valid in part, and read by no decoder that is strict
		return false
	}
	kind, sub, found := strings.Cut(media, "/")
	if !found || kind == "" || sub == "" || (kind == "*" && sub != "*") {
		return false
	}
	if charset, ok := params["charset"]; ok && !knownCharset(charset) {
		return false
	}
	g.lastMIME.Store(&s)
	return true
}

// knownCharset tells whether every Java knows the charset; Spring's decoder fails on one that its machine does not know.
func knownCharset(name string) bool {
	switch strings.ToLower(name) {
	case "utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin1", "utf-16", "utf-16be", "utf-16le", "utf-32", "utf-32be", "utf-32le",
		"iso-8859-2", "iso-8859-4", "iso-8859-5", "iso-8859-7", "iso-8859-9", "iso-8859-13", "iso-8859-15", "koi8-r", "koi8-u", "gb18030",
		"windows-1250", "windows-1251", "windows-1252", "windows-1253", "windows-1254", "windows-1257":
		return true
	}
	return false
}

// Credit of a subscription (contract: headers).
const (
	prefetchClientDefault = 100
	prefetchAutoDefault   = 1000
	prefetchMax           = 10_000
	prefetchBytesMax      = 8 << 20
)

// credit is how much a subscription may have unsettled.
type credit struct {
	messages uint32
	bytes    int64
	bytesSet bool
}

// readCredit reads prefetch-count and prefetch-bytes with their aliases. More than the most is the most.
func readCredit(f *stomp.Frame, mode broker.AckMode) (credit, *stomp.ProtocolError) {
	c := credit{messages: prefetchClientDefault}
	if mode == broker.AckAuto {
		c.messages = prefetchAutoDefault
	}
	if v, name, ok := first(f, "prefetch-count", "activemq.prefetchSize"); ok {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 1 {
			return c, invalidHeader(name, "it is a whole number of messages, at least 1")
		}
		c.messages = uint32(min(n, prefetchMax))
	}
	if v, name, ok := first(f, "prefetch-bytes", "consumer-window-size"); ok {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < -1 {
			return c, invalidHeader(name, "it is a whole number of bytes, 0 for one message at a time, -1 for the most")
		}
		if n == -1 || n > prefetchBytesMax {
			n = prefetchBytesMax
		}
		c.bytes, c.bytesSet = n, true
	}
	return c, nil
}

// first gives the value of the first of these headers that the frame has.
func first(f *stomp.Frame, names ...string) (value, name string, ok bool) {
	for _, n := range names {
		if v, ok := f.Get(n); ok {
			return string(v), n, true
		}
	}
	return "", "", false
}
