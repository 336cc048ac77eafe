package gostomp_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-stomp/stomp/v3"
)

// story is one thing that a client relies on, told over one way. name(x) is a word of this story's own for destinations.
type story struct {
	title string
	tell  func(t *testing.T, w way, name func(string) string)
}

// stories are told over every way.
var stories = []story{
	{"connected_says_version_session_and_server", tellConnected},
	{"topic_gives_every_subscriber_every_message_in_order", tellTopic},
	{"topic_resumes_after_the_last_message_seen", tellResume},
	{"queue_keeps_messages_until_somebody_subscribes", tellWaiting},
	{"queue_shares_messages_among_subscriptions", tellSharing},
	{"ack_auto_settles_what_the_socket_took", tellAuto},
	{"ack_client_settles_all_up_to_the_message", tellCumulative},
	{"ack_client_individual_settles_the_message_alone", tellIndividual},
	{"nack_gives_the_message_again", tellNack},
	{"nack_five_times_moves_it_to_the_dead_letters", tellDeadLetter},
	{"transaction_takes_effect_at_commit", tellCommit},
	{"transaction_leaves_nothing_at_abort", tellAbort},
	{"transaction_settles_and_sends_at_once", tellTransactionalAck},
	{"body_carries_every_byte", tellBytes},
	{"body_of_1_MiB_comes_as_it_was_sent", tellLargeBody},
	{"unsubscribe_ends_the_messages", tellUnsubscribe},
	{"error_names_its_code", tellError},
	{"headers_come_as_they_were_sent", tellHeaders},
	{"clients_of_all_versions_share_a_topic", tellShared},
	{"receipts_come_for_each_of_many", tellReceipts},
	{"user_destination_reaches_all_sessions_of_the_user", tellUser},
	{"error_of_the_protocol_ends_the_session", tellClose},
}

func TestGoStomp(t *testing.T) {
	skipWhenShort(t)
	for _, w := range ways() {
		for _, s := range stories {
			if strings.HasPrefix(s.title, "nack_") && w.version == stomp.V10 {
				continue // 1.0 has no NACK
			}
			t.Run(w.String()+"/"+s.title, func(t *testing.T) {
				t.Parallel()
				s.tell(t, w, func(word string) string { return strings.Join([]string{w.over, string(w.version), s.title, word}, ".") })
			})
		}
	}
}

func tellTopic(t *testing.T, w way, name func(string) string) {
	publisher, first, second := dial(t, w), dial(t, w), dial(t, w)
	one := first.subscribe("/topic/"+name("t"), stomp.AckAuto)
	two := second.subscribe("/topic/"+name("t"), stomp.AckAuto)
	want := []string{"a", "b", "c", "d", "e"}
	for _, body := range want {
		publisher.send("/topic/"+name("t"), body, "x-odd", "colon: and \\")
	}
	for _, s := range []*stomp.Subscription{one, two} {
		if got := bodies(t, s, len(want)); !slices.Equal(got, want) {
			t.Errorf("bodies = %q, want %q", got, want)
		}
	}
	publisher.send("/topic/"+name("t"), "headers", "x-odd", "colon: and \\")
	message := next(t, one)
	if got, want := message.Header.Get("x-odd"), "colon: and \\"; got != want {
		t.Errorf("header x-odd = %q, want %q", got, want)
	}
	if got, want := message.Destination, "/topic/"+name("t"); got != want {
		t.Errorf("destination = %q, want %q", got, want)
	}
}

func tellResume(t *testing.T, w way, name func(string) string) {
	publisher, first := dial(t, w), dial(t, w)
	before := first.subscribe("/topic/"+name("t"), stomp.AckAuto)
	publisher.send("/topic/"+name("t"), "a")
	publisher.send("/topic/"+name("t"), "b")
	seen := next(t, before)
	first.close()
	publisher.send("/topic/"+name("t"), "c")

	after := dial(t, w).subscribe("/topic/"+name("t"), stomp.AckAuto, "resume-after", seen.Header.Get("message-id"))
	publisher.send("/topic/"+name("t"), "d")
	if got, want := bodies(t, after, 3), []string{"b", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("bodies after %s = %q, want %q", seen.Header.Get("message-id"), got, want)
	}
}

func tellWaiting(t *testing.T, w way, name func(string) string) {
	c := dial(t, w)
	c.send("/queue/"+name("q"), "a")
	c.send("/queue/"+name("q"), "b")
	s := c.subscribe("/queue/"+name("q"), stomp.AckAuto)
	if got, want := bodies(t, s, 2), []string{"a", "b"}; !slices.Equal(got, want) {
		t.Errorf("bodies = %q, want %q", got, want)
	}
}

func tellSharing(t *testing.T, w way, name func(string) string) {
	publisher := dial(t, w)
	one := dial(t, w).subscribe("/queue/"+name("q"), stomp.AckClientIndividual)
	two := dial(t, w).subscribe("/queue/"+name("q"), stomp.AckClientIndividual)
	want := []string{"a", "b", "c", "d", "e", "f"}
	for _, body := range want {
		publisher.send("/queue/"+name("q"), body)
	}
	got := append(bodies(t, one, 3), bodies(t, two, 3)...)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("both subscriptions together got %q, want %q", got, want)
	}
}

// left is what waits in the queue: all that a new subscription gets before a marker that is sent last.
func left(t *testing.T, w way, queue string) []*stomp.Message {
	t.Helper()
	c := dial(t, w)
	c.send(queue, "marker")
	s := c.subscribe(queue, stomp.AckAuto)
	var messages []*stomp.Message
	for {
		message := next(t, s)
		if string(message.Body) == "marker" {
			c.close()
			return messages
		}
		messages = append(messages, message)
	}
}

// wantLeft compares the bodies of what waits, which was all handed out before and is marked so.
func wantLeft(t *testing.T, w way, queue string, want ...string) {
	t.Helper()
	var got []string
	for _, message := range left(t, w, queue) {
		got = append(got, string(message.Body))
		if redelivered := message.Header.Get("redelivered"); redelivered != "true" {
			t.Errorf("%s: message %q has redelivered = %q, want true", queue, message.Body, redelivered)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s holds %q, want %q", queue, got, want)
	}
}

// take sends three messages, receives them in the mode, settles the second and ends the session.
func take(t *testing.T, w way, queue string, mode stomp.AckMode) {
	t.Helper()
	c := dial(t, w)
	for _, body := range []string{"a", "b", "c"} {
		c.send(queue, body)
	}
	s := c.subscribe(queue, mode)
	for _, want := range []string{"a", "b", "c"} {
		message := next(t, s)
		if got := string(message.Body); got != want {
			t.Fatalf("body = %q, want %q", got, want)
		}
		if want == "b" && mode != stomp.AckAuto {
			if err := c.Ack(message); err != nil {
				t.Fatalf("ACK: %v", err)
			}
		}
	}
	c.close()
}

func tellAuto(t *testing.T, w way, name func(string) string) {
	take(t, w, "/queue/"+name("q"), stomp.AckAuto)
	wantLeft(t, w, "/queue/"+name("q"))
}

func tellCumulative(t *testing.T, w way, name func(string) string) {
	take(t, w, "/queue/"+name("q"), stomp.AckClient)
	wantLeft(t, w, "/queue/"+name("q"), "c")
}

func tellIndividual(t *testing.T, w way, name func(string) string) {
	take(t, w, "/queue/"+name("q"), stomp.AckClientIndividual)
	wantLeft(t, w, "/queue/"+name("q"), "a", "c")
}

func tellNack(t *testing.T, w way, name func(string) string) {
	c := dial(t, w)
	c.send("/queue/"+name("q"), "a")
	s := c.subscribe("/queue/"+name("q"), stomp.AckClientIndividual)
	if err := c.Nack(next(t, s)); err != nil {
		t.Fatalf("NACK: %v", err)
	}
	again := next(t, s)
	for header, want := range map[string]string{"redelivered": "true", "delivery-count": "2"} {
		if got := again.Header.Get(header); got != want {
			t.Errorf("second attempt: %s = %q, want %q", header, got, want)
		}
	}
	if err := c.Ack(again); err != nil {
		t.Fatalf("ACK: %v", err)
	}
	c.close()
	wantLeft(t, w, "/queue/"+name("q"))
}

func tellDeadLetter(t *testing.T, w way, name func(string) string) {
	c := dial(t, w)
	dead := c.subscribe("/queue/dlq."+name("q"), stomp.AckAuto)
	c.send("/queue/"+name("q"), "poison")
	s := c.subscribe("/queue/"+name("q"), stomp.AckClientIndividual)
	for range 5 {
		if err := c.Nack(next(t, s)); err != nil {
			t.Fatalf("NACK: %v", err)
		}
	}
	letter := next(t, dead)
	if got, want := string(letter.Body), "poison"; got != want {
		t.Errorf("dead letter = %q, want %q", got, want)
	}
	if got, want := letter.Header.Get("dead-letter-reason"), "max-deliveries"; got != want {
		t.Errorf("dead-letter-reason = %q, want %q", got, want)
	}
	if got, want := letter.Header.Get("dead-letter-destination"), "/queue/"+name("q"); got != want {
		t.Errorf("dead-letter-destination = %q, want %q", got, want)
	}
}

func tellCommit(t *testing.T, w way, name func(string) string) {
	c := dial(t, w)
	s := c.subscribe("/topic/"+name("t"), stomp.AckAuto)
	tx := c.Begin()
	for _, body := range []string{"inside 1", "inside 2"} {
		if err := tx.Send("/topic/"+name("t"), "text/plain", []byte(body)); err != nil {
			t.Fatalf("SEND in a transaction: %v", err)
		}
	}
	c.send("/topic/"+name("t"), "outside")
	if err := tx.CommitWithReceipt(); err != nil {
		t.Fatalf("COMMIT: %v", err)
	}
	if got, want := bodies(t, s, 3), []string{"outside", "inside 1", "inside 2"}; !slices.Equal(got, want) {
		t.Errorf("bodies = %q, want %q", got, want)
	}
}

func tellAbort(t *testing.T, w way, name func(string) string) {
	c := dial(t, w)
	tx := c.Begin()
	if err := tx.Send("/queue/"+name("q"), "text/plain", []byte("never")); err != nil {
		t.Fatalf("SEND in a transaction: %v", err)
	}
	if err := tx.AbortWithReceipt(); err != nil {
		t.Fatalf("ABORT: %v", err)
	}
	wantLeft(t, w, "/queue/"+name("q"))
}

func tellTransactionalAck(t *testing.T, w way, name func(string) string) {
	c := dial(t, w)
	answers := c.subscribe("/queue/"+name("answers"), stomp.AckAuto)
	c.send("/queue/"+name("orders"), "order")
	orders := c.subscribe("/queue/"+name("orders"), stomp.AckClientIndividual)
	order := next(t, orders)

	tx := c.Begin()
	if err := errors.Join(tx.Ack(order), tx.Send("/queue/"+name("answers"), "text/plain", []byte("done"))); err != nil {
		t.Fatalf("fill the transaction: %v", err)
	}
	if err := tx.CommitWithReceipt(); err != nil {
		t.Fatalf("COMMIT: %v", err)
	}
	if got, want := string(next(t, answers).Body), "done"; got != want {
		t.Errorf("answer = %q, want %q", got, want)
	}
	c.close()
	wantLeft(t, w, "/queue/"+name("orders"))
}

func tellBytes(t *testing.T, w way, name func(string) string) {
	want := make([]byte, 512)
	for i := range want {
		want[i] = byte(i)
	}
	c := dial(t, w)
	s := c.subscribe("/topic/"+name("t"), stomp.AckAuto)
	if err := c.Send("/topic/"+name("t"), "application/octet-stream", want, stomp.SendOpt.Receipt); err != nil {
		t.Fatalf("SEND: %v", err)
	}
	message := next(t, s)
	if !bytes.Equal(message.Body, want) {
		t.Errorf("body of %d bytes changed on its way: %x", len(want), message.Body)
	}
	if got := message.ContentType; got != "application/octet-stream" {
		t.Errorf("content-type = %q, want application/octet-stream", got)
	}
}

func tellLargeBody(t *testing.T, w way, name func(string) string) {
	const mebibyte = 1 << 20
	want := strings.Repeat("abcdefgh", mebibyte/8)
	c := dial(t, w)
	s := c.subscribe("/topic/"+name("t"), stomp.AckAuto)
	c.send("/topic/"+name("t"), want)
	if got := string(next(t, s).Body); got != want {
		t.Errorf("body of %d bytes came as %d other bytes", len(want), len(got))
	}
}

func tellUnsubscribe(t *testing.T, w way, name func(string) string) {
	c := dial(t, w)
	ended := c.subscribe("/topic/"+name("t"), stomp.AckAuto)
	kept := c.subscribe("/topic/"+name("t"), stomp.AckAuto)
	if err := ended.Unsubscribe(); err != nil {
		t.Fatalf("UNSUBSCRIBE: %v", err)
	}
	c.send("/topic/"+name("t"), "a")
	if got, want := string(next(t, kept).Body), "a"; got != want {
		t.Errorf("the other subscription got %q, want %q", got, want)
	}
	for message := range ended.C {
		if message.Err == nil { // go-stomp's own note of the end is no message
			t.Errorf("a message after UNSUBSCRIBE: %q", message.Body)
		}
	}
}

func tellError(t *testing.T, w way, _ func(string) string) {
	c := dial(t, w)
	err := c.Send("/nowhere/at/all", "text/plain", nil, stomp.SendOpt.Receipt)
	var answer stomp.Error
	if !errors.As(err, &answer) || answer.Frame == nil {
		t.Fatalf("SEND to no known destination: %v, want an ERROR frame", err)
	}
	if got, want := answer.Frame.Header.Get("error-code"), "invalid-destination"; got != want {
		t.Errorf("error-code = %q, want %q", got, want)
	}
}
