package server_test

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"stampede/stomp"
	"stampede/stomp/server"
)

// echoBackend is a broker in which every session is alone: what it sends comes back to its own subscriptions. Anything for
// /error/<code> is refused with that code. Hooks change what a link does.
type echoBackend struct {
	refusal *stomp.ProtocolError // of every session
	hooks   hooks
	links   chan *echoLink // of every session that was opened

	quiet bool // calls are not noted

	sessions atomic.Int64
}

// hooks stand in for parts of a link; nil means the usual.
type hooks struct {
	send       func(l *echoLink, f *stomp.Frame) *stomp.ProtocolError
	disconnect func(l *echoLink, receipt string)
	refill     func(l *echoLink, space int)
	written    func(l *echoLink, end uint64)
	closed     func(l *echoLink)
}

// linksMax is how many sessions a backend may open before somebody looks at them.
const linksMax = 4096

func newBackend() *echoBackend {
	return &echoBackend{links: make(chan *echoLink, linksMax)}
}

// Open implements server.Backend.
func (b *echoBackend) Open(s *server.Session) (string, server.Link, *stomp.ProtocolError) {
	if b.refusal != nil {
		return "", nil, b.refusal
	}
	l := &echoLink{backend: b, session: s, subscriptions: map[string]subscription{}, unacked: map[string]bool{}}
	b.links <- l
	return "s-" + strconv.FormatInt(b.sessions.Add(1), 10), l, nil
}

type subscription struct{ destination, ack string }

// echoLink implements server.Link.
type echoLink struct {
	backend *echoBackend
	session *server.Session

	// Of the reading goroutine.
	subscriptions map[string]subscription
	unacked       map[string]bool
	deliveries    int

	flushes, heards, closes atomic.Int64
	sends                   atomic.Int64

	mu    sync.Mutex
	calls []string // guarded by mu
}

// note remembers a call for tests that look at their order.
func (l *echoLink) note(call string) {
	if l.backend.quiet {
		return
	}
	l.mu.Lock()
	l.calls = append(l.calls, call)
	l.mu.Unlock()
}

func (l *echoLink) noted() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.calls, " ")
}

func refused(destination string) *stomp.ProtocolError {
	code, ok := strings.CutPrefix(destination, "/error/")
	if !ok {
		return nil
	}
	return stomp.NewProtocolError(code, "refused by the test", "The test refuses this with "+code+".")
}

func (l *echoLink) Send(f *stomp.Frame) *stomp.ProtocolError {
	l.note("send")
	l.sends.Add(1)
	if l.backend.hooks.send != nil {
		return l.backend.hooks.send(l, f)
	}
	if e := refused(f.Value("destination")); e != nil {
		return e
	}
	l.echo(f)
	l.receipt(f.Value("receipt"))
	return nil
}

// echo gives a message to the subscriptions of its destination, in the order of their ids.
func (l *echoLink) echo(f *stomp.Frame) {
	for i := range 10 {
		id := strconv.Itoa(i)
		sub, ok := l.subscriptions[id]
		if !ok || sub.destination != f.Value("destination") {
			continue
		}
		l.deliveries++
		number := strconv.Itoa(l.deliveries)
		m := stomp.NewFrame(stomp.CommandMessage, "subscription", id, "message-id", number, "destination", sub.destination)
		if sub.ack != "" && sub.ack != "auto" {
			l.unacked[number] = true
			m.Add("ack", number)
		}
		for _, h := range f.Headers {
			switch string(h.Name) {
			case "destination", "receipt", "content-length", "transaction":
			default:
				m.Add(string(h.Name), string(h.Value))
			}
		}
		m.Body = f.Body
		l.session.Write(nil, stomp.AppendFrame(nil, l.session.Version(), m), true, false)
	}
	l.session.Wake()
}

func (l *echoLink) receipt(id string) {
	if id != "" && l.session.Receipt(id) {
		l.session.Wake()
	}
}

func (l *echoLink) Subscribe(f *stomp.Frame) *stomp.ProtocolError {
	l.note("subscribe")
	if e := refused(f.Value("destination")); e != nil {
		return e
	}
	id := string(stomp.SubscriptionID(f, l.session.Version()))
	l.subscriptions[id] = subscription{f.Value("destination"), f.Value("ack")}
	l.receipt(f.Value("receipt"))
	return nil
}

func (l *echoLink) Unsubscribe(f *stomp.Frame) *stomp.ProtocolError {
	l.note("unsubscribe")
	delete(l.subscriptions, string(stomp.SubscriptionID(f, l.session.Version())))
	l.receipt(f.Value("receipt"))
	return nil
}

func (l *echoLink) Refused(string) bool { return false }

func (l *echoLink) Ack(f *stomp.Frame) *stomp.ProtocolError {
	l.note(strings.ToLower(f.Command.String()))
	id := f.Value("id") + f.Value("message-id")
	if !l.unacked[id] {
		return stomp.NewProtocolError(stomp.CodeUnknownAck, "unknown ack", "Nothing was delivered as '"+id+"'.")
	}
	delete(l.unacked, id)
	l.receipt(f.Value("receipt"))
	return nil
}

func (l *echoLink) Commit(actions []*stomp.Frame, receipt string) *stomp.ProtocolError {
	l.note("commit")
	for _, f := range actions {
		if f.Command == stomp.CommandSend {
			l.echo(f)
		}
	}
	l.receipt(receipt)
	return nil
}

func (l *echoLink) Disconnect(receipt string) {
	l.note("disconnect")
	if l.backend.hooks.disconnect != nil {
		l.backend.hooks.disconnect(l, receipt)
		return
	}
	l.receipt(receipt)
	l.session.Finish()
}

func (l *echoLink) Flush() { l.flushes.Add(1) }

func (l *echoLink) Heard() { l.heards.Add(1) }

func (l *echoLink) Close() {
	l.closes.Add(1)
	l.note("close")
	if l.backend.hooks.closed != nil {
		l.backend.hooks.closed(l)
	}
}

func (l *echoLink) Refill(space int) {
	if l.backend.hooks.refill != nil {
		l.backend.hooks.refill(l, space)
	}
}

func (l *echoLink) Written(end uint64) {
	if l.backend.hooks.written != nil {
		l.backend.hooks.written(l, end)
	}
}
