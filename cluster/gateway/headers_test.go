package gateway_test

import (
	"strings"
	"testing"

	"stampede/stomp"
	"stampede/stomp/server"
)

func TestHeaders(t *testing.T) {
	r := start(t)
	versions := []string{"1.0", "1.1", "1.2"}
	t.Run("that nobody knows travel untouched between all versions", func(t *testing.T) {
		for _, from := range versions {
			for _, to := range versions {
				c, s := r.connect(t, "accept-version", from), r.connect(t, "accept-version", to)
				topic := "/topic/headers-" + from + "-" + to
				s.subscribe("s", topic)
				headers := []string{"note", "plain", "note", "repeated", "empty", "", "spaced", " around ", "reply-to", "/queue/answers", "correlation-id", "7", "priority", "4"}
				if from != "1.0" { // 1.0 has no escapes
					headers = append(headers, "line", "one\ntwo", "colon:name", "a:b", "slash", `back\slash\n`)
				}
				if from == "1.2" {
					headers = append(headers, "return", "a\rb")
				}
				c.send(topic, "body", headers...)
				m := s.message()
				for i := 0; i < len(headers); i += 2 {
					name, want := headers[i], headers[i+1]
					if to == "1.0" { // what it cannot say becomes a space
						want = strings.NewReplacer("\n", " ", "\r", " ").Replace(want)
					}
					if to == "1.0" && strings.Contains(name, ":") {
						continue // a name with a colon reads otherwise there
					}
					if got := valuesOf(m, name); !strings.Contains("|"+got+"|", "|"+want+"|") {
						t.Errorf("%s to %s: header %q = %q, want %q", from, to, name, got, want)
					}
				}
				check(t, "first of a repeated header", m.Value("note"), "plain")
				check(t, "body", string(m.Body), "body")
			}
		}
	})
	t.Run("of the broker are dropped from SEND", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("s", "/topic/own")
		own := []string{
			"subscription", "x", "message-id", "x", "ack", "x", "timestamp", "x", "x-stream-offset", "x", "redelivered", "x",
			"delivery-count", "x", "dropped", "x", "resume-gap", "x", "resume-lost", "x", "dead-letter-reason", "x", "dead-letter-destination", "x",
		}
		c.publishNothingElse("/topic/own", own)
		m := c.message()
		for _, name := range []string{"redelivered", "delivery-count", "dropped", "resume-gap", "resume-lost", "dead-letter-reason", "dead-letter-destination", "ack"} {
			if m.Has(name) {
				t.Errorf("MESSAGE has %s: %s", name, show(m))
			}
		}
		for _, name := range []string{"subscription", "message-id", "timestamp", "x-stream-offset"} {
			if got := valuesOf(m, name); got == "x" || strings.Contains(got, "|") || got == "" {
				t.Errorf("%s = %q, want the broker's one", name, got)
			}
		}
	})
	t.Run("that the broker consumes are not on MESSAGE", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("s", "/topic/consumed")
		c.do(stomp.CommandBegin, "transaction", "1")
		c.publish("/topic/consumed", "x", "transaction", "1", "retain", "false", "delay", "0", "AMQ_SCHEDULED_DELAY", "0")
		c.do(stomp.CommandCommit, "transaction", "1")
		m := c.message()
		for _, name := range []string{"receipt", "transaction", "retain", "delay", "AMQ_SCHEDULED_DELAY"} {
			if m.Has(name) {
				t.Errorf("MESSAGE has %s: %s", name, show(m))
			}
		}
	})
	t.Run("content-type that is none goes on as x-content-type", func(t *testing.T) {
		c := r.connect(t)
		c.subscribe("s", "/topic/mime")
		for _, good := range []string{"text/plain", "application/json;charset=utf-8", "application/vnd.a+json", "*/*", "text/plain; q=\"a b\"", `text/plain;charset="windows-1252"`, "text/plain;charset=UTF-8"} {
			c.send("/topic/mime", "x", "content-type", good)
			m := c.message()
			check(t, "content-type", m.Value("content-type"), good)
			check(t, "x-content-type of "+good, m.Value("x-content-type"), "")
		}
		for _, bad := range []string{"text/plain;charset=no-such", `application/json; charset="-x"`, "text/{x}", "text/plain;a={b}", `text/plain;a="\\b"`, "json", "", "text/", "/plain", "text plain/x", "*/json", ";;", "text/plain;="} {
			c.send("/topic/mime", "x", "content-type", bad)
			m := c.message()
			if m.Has("content-type") || !m.Has("x-content-type") {
				t.Errorf("%q came as %s, want x-content-type", bad, show(m))
			}
			check(t, "x-content-type", m.Value("x-content-type"), bad)
		}
	})
	t.Run("of a lifetime that is no number are refused", func(t *testing.T) {
		c := r.connect(t)
		for _, h := range [][2]string{{"expiration", "soon"}, {"ttl", "-1"}, {"expires", "1.5"}, {"expires", ""}} {
			c.send("/topic/x", "x", h[0], h[1])
			c.expectError(stomp.CodeInvalidHeader, false)
		}
	})
}

// publishNothingElse sends with exactly these headers besides the destination.
func (c *client) publishNothingElse(destination string, headers []string) {
	c.t.Helper()
	c.send(destination, "x", headers...)
}

// valuesOf gives all values of a header, with a bar between.
func valuesOf(f *stomp.Frame, name string) string {
	var all []string
	for _, h := range f.Headers {
		if string(h.Name) == name {
			all = append(all, string(h.Value))
		}
	}
	return strings.Join(all, "|")
}

func TestHeadersUnsupported(t *testing.T) {
	r := start(t)
	c := r.connect(t)
	for _, h := range [][2]string{
		{"dedup-id", "1"}, {"_AMQ_DUPL_ID", "1"}, {"delay", "10"}, {"AMQ_SCHEDULED_DELAY", "10"}, {"AMQ_SCHEDULED_TIME", "1"},
		{"AMQ_SCHEDULED_PERIOD", "1"}, {"AMQ_SCHEDULED_REPEAT", "1"}, {"AMQ_SCHEDULED_CRON", "* * * * *"}, {"retain", "true"},
		{"reply-to", "/temp-queue/x"},
	} {
		t.Run("SEND with "+h[0], func(t *testing.T) {
			c.send("/queue/unsupported", "x", h[0], h[1], "receipt", "r")
			check(t, "receipt-id", c.expectError(stomp.CodeUnsupportedHeader, false).Value("receipt-id"), "r")
		})
	}
	for _, h := range [][2]string{
		{"durable", "true"}, {"persistent", "true"}, {"durable-name", "x"}, {"activemq.subscriptionName", "x"},
		{"durable-subscription-name", "x"}, {"durable-subscriber-name", "x"}, {"selector", "a = 1"}, {"single-active", "true"},
		{"activemq.exclusive", "true"}, {"exclusive", "true"}, {"auto-delete", "true"}, {"overflow", "drop-new"}, {"browser", "true"},
		{"activemq.retroactive", "true"}, {"x-queue-name", "x"}, {"x-stream-filter", "x"}, {"transformation", "jms-xml"},
	} {
		t.Run("SUBSCRIBE with "+h[0], func(t *testing.T) {
			c.do(stomp.CommandSubscribe, "id", "s", "destination", "/topic/unsupported", h[0], h[1])
			c.expectError(stomp.CodeUnsupportedHeader, false)
		})
	}
	t.Run("that ask for nothing pass", func(t *testing.T) {
		c.subscribe("s", "/topic/unsupported", "durable", "false", "browser", "false", "exclusive", "false", "auto-delete", "false", "single-active", "false")
		c.publish("/queue/unsupported", "x", "reply-to", "/queue/answers", "retain", "false")
	})
	t.Run("a list of destinations", func(t *testing.T) {
		c.send("/queue/a,/queue/b", "x")
		c.expectError(stomp.CodeUnsupportedHeader, false)
		c.do(stomp.CommandSubscribe, "id", "list", "destination", "/topic/a,/topic/b")
		c.expectError(stomp.CodeUnsupportedHeader, false)
	})
}

func TestHeadersPolicy(t *testing.T) {
	refuse := func(c *client) { c.send("/queue/*", "x", "receipt", "r") }
	t.Run("strict closes after a refused destination", func(t *testing.T) {
		r := start(t, strict)
		c := r.connect(t)
		refuse(c)
		c.expectError(stomp.CodeInvalidDestination, true)
	})
	t.Run("lenient goes on", func(t *testing.T) {
		r := start(t, func(c *server.Config) { c.ErrorPolicy = server.PolicyLenient })
		c := r.connect(t)
		refuse(c)
		c.expectError(stomp.CodeInvalidDestination, false)
		c.publish("/queue/x", "alive")
	})
	t.Run("auto is lenient to services", func(t *testing.T) {
		r := start(t)
		c := r.connect(t)
		refuse(c)
		c.expectError(stomp.CodeInvalidDestination, false)
		c.publish("/queue/x", "alive")
	})
}

func TestDestination(t *testing.T) {
	r := start(t)
	t.Run("comes back byte for byte, however it was written", func(t *testing.T) {
		for written, subscribed := range map[string]string{
			"/topic/x": "/topic/x", "/exchange/amq.topic/y.z": "/topic/y.z", "/topic/a.b": "/exchange/amq.topic/a.b",
			"/exchange/amq.direct/k": "/exchange/amq.direct/k", "/exchange/amq.fanout": "/exchange/amq.fanout", "/exchange/amq.fanout/any": "/exchange/amq.fanout",
			"/queue/q": "/queue/q", "/amq/queue/r": "/queue/r", "bare": "/queue/bare", "bare/with/slash": "/queue/bare/with/slash",
			"/queue/s": "s", "/topic/über/ñ": "/topic/über/ñ", "/topic/with space": "/topic/with space", "/topic/a:b": "/topic/a:b",
		} {
			c := r.connect(t)
			c.subscribe("s", subscribed)
			c.send(written, "x")
			check(t, "destination", c.message().Value("destination"), written)
			c.close()
		}
	})
	t.Run("that is none is refused", func(t *testing.T) {
		c := r.connect(t)
		for _, d := range []string{"/", "/topic/", "/queue/", "/nowhere/x", "/exchange/other/x", "/topic", "/queue/" + strings.Repeat("x", 256), "/topic/a\nb", "/topic/\xff"} {
			c.send(d, "x")
			c.expectError(stomp.CodeInvalidDestination, false)
			c.do(stomp.CommandSubscribe, "id", "s", "destination", d)
			c.expectError(stomp.CodeInvalidDestination, false)
		}
		c.publish("/queue/"+strings.Repeat("x", 255), "the longest name")
	})
	t.Run("of dead letters can be read however long the name of the queue is", func(t *testing.T) {
		c := r.connect(t)
		long := strings.Repeat("d", 255)
		c.publish("/queue/"+long, "rejected")
		c.subscribe("q", "/queue/"+long, "ack", "client-individual")
		c.ask(stomp.CommandNack, "id", c.message().Value("ack"), "requeue", "false")
		c.subscribe("d", "/queue/dlq."+long)
		check(t, "dead letter", c.bodies(1), "rejected")
	})
}
