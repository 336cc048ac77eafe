package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"stampede/broker"
	"stampede/stomp"
)

// This file is the admin API: reading the broker's state, publishing, policies.

// bodyBytesMax bounds the body of an admin request; a message above it is refused with 413.
const bodyBytesMax = 20 << 20

// rowsMax bounds the rows of a listing; the answer says when there are more.
const rowsMax = 10_000

// listing is the body of every list.
type listing[T any] struct {
	Items []T  `json:"items"`
	More  bool `json:"more"` // there are more than rowsMax
}

// list collects rows on the fold's goroutine and answers with them.
func list[T any](a *Admin, w http.ResponseWriter, r *http.Request, walk func(s *broker.State, row func(T) bool)) {
	l := listing[T]{Items: []T{}}
	err := a.node.Inspect(r.Context(), func(s *broker.State) {
		walk(s, func(row T) bool {
			if l.More = len(l.Items) == rowsMax; !l.More {
				l.Items = append(l.Items, row)
			}
			return !l.More
		})
	})
	if err != nil {
		fail(w, http.StatusServiceUnavailable, stomp.CodeInternalError, err.Error())
		return
	}
	answer(w, http.StatusOK, l)
}

type sessionRow struct {
	Node          string `json:"node"`
	Session       string `json:"session"`
	User          string `json:"user"`
	Service       bool   `json:"service"`
	RemoteAddr    string `json:"remoteAddr"`
	OpenedAt      int64  `json:"openedAt"`
	Subscriptions int    `json:"subscriptions"`
}

func (a *Admin) getSessions(w http.ResponseWriter, r *http.Request) {
	list(a, w, r, func(s *broker.State, row func(sessionRow) bool) {
		s.Sessions(func(i broker.SessionInfo) bool {
			return row(sessionRow{
				Node: i.Node.String(), Session: fmt.Sprintf("%s-%d-%d", i.Node, i.Incarnation, i.Session), User: i.User, Service: i.Service, RemoteAddr: i.RemoteAddr,
				OpenedAt: int64(i.OpenedAt), Subscriptions: i.Subscriptions,
			})
		})
	})
}

type destinationRow struct {
	Name          string `json:"name"`
	Kind          string `json:"kind"`
	Messages      uint64 `json:"messages"`
	LastOffset    uint64 `json:"lastOffset"`
	Waiting       int    `json:"waiting"`
	Unsettled     int    `json:"unsettled"`
	Bytes         int64  `json:"bytes"`
	Subscriptions int    `json:"subscriptions"`
}

func (a *Admin) getDestinations(w http.ResponseWriter, r *http.Request) {
	list(a, w, r, func(s *broker.State, row func(destinationRow) bool) {
		s.Destinations(func(i broker.DestinationInfo) bool {
			return row(destinationRow{
				Name: i.Name, Kind: kindWord(i.Kind), Messages: i.Messages, LastOffset: uint64(i.LastSeq), Waiting: i.Waiting,
				Unsettled: i.Unsettled, Bytes: i.Bytes, Subscriptions: i.Subscriptions,
			})
		})
	})
}

type subscriptionRow struct {
	Node         string `json:"node"`
	Session      uint64 `json:"session"`
	Subscription uint64 `json:"subscription"`
	Kind         string `json:"kind"`
	Destination  string `json:"destination"`
	User         string `json:"user"`
	Credit       uint32 `json:"credit"`
	Unsettled    int    `json:"unsettled"`
}

// getSubscriptions lists those that are state of the broker: to queues and user destinations.
func (a *Admin) getSubscriptions(w http.ResponseWriter, r *http.Request) {
	list(a, w, r, func(s *broker.State, row func(subscriptionRow) bool) {
		s.Subscriptions(func(i broker.SubscriptionInfo) bool {
			return row(subscriptionRow{
				Node: i.Node.String(), Session: i.Session, Subscription: i.Sub, Kind: kindWord(i.Kind), Destination: i.Dest,
				User: i.User, Credit: i.Credit, Unsettled: i.Unsettled,
			})
		})
	})
}

func kindWord(k broker.Kind) string {
	switch k {
	case broker.KindTopic:
		return "topic"
	case broker.KindQueue:
		return "queue"
	case broker.KindUser:
		return "user"
	case broker.KindExclusive:
		return "exclusive"
	}
	return "unknown"
}

// message is the body of POST /api/v1/messages.
type message struct {
	Destination string            `json:"destination"`
	Headers     map[string]string `json:"headers"`
	Body        string            `json:"body"`
	BodyBase64  []byte            `json:"bodyBase64"` // instead of body
}

// postMessage publishes for who has no STOMP client at hand; it answers when the message is durable.
func (a *Admin) postMessage(w http.ResponseWriter, r *http.Request) {
	var m message
	if !decode(w, r, &m) {
		return
	}
	if m.Destination == "" {
		fail(w, http.StatusBadRequest, stomp.CodeMissingHeader, "destination is missing")
		return
	}
	body := m.BodyBase64
	if body == nil {
		body = []byte(m.Body)
	}
	headers := make([]string, 0, 2*len(m.Headers))
	for name, value := range m.Headers {
		headers = append(headers, name, value)
	}
	seq, err := a.broker.Publish(r.Context(), m.Destination, headers, body)
	if err != nil {
		failWith(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]any{"offset": uint64(seq)})
}

// decode reads a JSON body strictly.
func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyBytesMax))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	var large *http.MaxBytesError
	switch {
	case err == nil:
		return true
	case errors.As(err, &large):
		fail(w, http.StatusRequestEntityTooLarge, stomp.CodeBodyTooLarge, "the body is larger than 20 MiB")
	case errors.Is(err, io.EOF):
		fail(w, http.StatusBadRequest, stomp.CodeMalformedFrame, "the body is empty; send JSON")
	default:
		fail(w, http.StatusBadRequest, stomp.CodeMalformedFrame, "the body is not what is asked for: "+err.Error())
	}
	return false
}

// failWith answers with a refusal of the broker, or says that the node cannot answer.
func failWith(w http.ResponseWriter, err error) {
	var refused *stomp.ProtocolError
	if !errors.As(err, &refused) {
		fail(w, http.StatusServiceUnavailable, stomp.CodeInternalError, err.Error())
		return
	}
	status := http.StatusBadRequest
	if refused.Code == stomp.CodeQueueFull || refused.Code == stomp.CodeOutcomeUnknown {
		status = http.StatusServiceUnavailable
	}
	fail(w, status, refused.Code, refused.Message+": "+refused.Detail)
}
