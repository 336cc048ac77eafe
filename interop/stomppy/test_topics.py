"""Topics: every subscriber gets every message, in order, and can go on where it stopped."""

from session import WAYS
from stage import every_way, run_broker


def setUpModule():
    run_broker()


@every_way()
class Topics:
    title = "topics"

    def test_connected_says_version_session_server_and_heart_beat(self):
        session = self.open()
        headers = session.connected.headers
        self.assertEqual(headers["version"], self.way[1])
        self.assertRegex(headers["session"], r"^[A-Za-z0-9_.-]+$")
        self.assertRegex(headers["server"], r"^stampede/")
        self.assertEqual(headers["heart-beat"], "0,0", "heart-beat of a client that asked for none")
        session.close()

    def test_give_every_subscriber_every_message_in_order(self):
        publisher, subscribers = self.open(), [self.open(), self.open()]
        inboxes = [s.subscribe(self.name("topic", "t")) for s in subscribers]
        sent = [f"message {i}" for i in range(50)]
        for waiter in [publisher.post(self.name("topic", "t"), body) for body in sent]:
            waiter.wait()
        for inbox in inboxes:
            self.assertEqual(inbox.bodies(len(sent)), sent)
        for session in (publisher, *subscribers):
            session.close()

    def test_give_back_the_headers_of_the_sender_and_the_ones_of_the_broker(self):
        session, topic = self.open(), self.name("topic", "t")
        inbox = session.subscribe(topic)
        session.send(topic, "x", correlation="7")
        headers = inbox.next().headers
        want = {"destination": topic, "content-type": "text/plain", "correlation": "7", "content-length": "1", "subscription": inbox.id}
        self.assertEqual({name: headers.get(name) for name in want}, want)
        self.assertRegex(headers["message-id"], r"^[A-Za-z0-9_.-]+$")
        self.assertRegex(headers["x-stream-offset"], r"^\d+$")
        self.assertRegex(headers["timestamp"], r"^\d{13}$")
        for absent in ("receipt", "ack", "redelivered"):
            self.assertNotIn(absent, headers)
        session.close()

    def test_go_on_after_the_last_message_seen(self):
        publisher, first, topic = self.open(), self.open(), self.name("topic", "t")
        before = first.subscribe(topic)
        for body in ("one", "two", "three"):
            publisher.send(topic, body)
        seen = before.next()
        first.drop()
        publisher.send(topic, "four")
        after = self.open().subscribe(topic, **{"resume-after": seen.headers["message-id"]})
        publisher.send(topic, "five")
        self.assertEqual(after.bodies(4), ["two", "three", "four", "five"])

    def test_are_read_from_a_position(self):
        session, topic = self.open(), self.name("topic", "t")
        live = session.subscribe(topic)
        for body in ("one", "two", "three"):
            session.send(topic, body)
        offset = live.take(2)[1].headers["x-stream-offset"]
        for headers, want in (
            ({"x-stream-offset": "first"}, ["one", "two", "three"]),
            ({"x-stream-offset": f"offset={offset}"}, ["two", "three"]),
            ({"last": "1"}, ["three"]),
        ):
            self.assertEqual(session.subscribe(topic, **headers).bodies(len(want)), want, f"from {headers}")
        session.close()

    def test_match_wildcards(self):
        session, topic = self.open(), self.name("topic", "wild")
        one, many = session.subscribe(f"{topic}.*.end"), session.subscribe(f"{topic}.#")
        sent = [topic, f"{topic}.a.end", f"{topic}.a.b.end", f"{topic}.b.end"]
        for destination in sent:
            session.send(destination, destination)
        self.assertEqual(one.bodies(2), [sent[1], sent[3]])
        self.assertEqual(many.bodies(4), sent)
        session.close()

    def test_keep_a_message_with_persistent_false_out_of_the_log(self):
        session, topic = self.open(), self.name("topic", "t")
        live = session.subscribe(topic)
        session.send(topic, "passing", persistent="false")
        session.send(topic, "kept")
        self.assertEqual(live.bodies(2), ["passing", "kept"])
        self.assertEqual(session.subscribe(topic, **{"x-stream-offset": "first"}).bodies(1), ["kept"])
        session.close()

    def test_send_nothing_more_after_unsubscribe(self):
        session, topic = self.open(), self.name("topic", "t")
        ended, kept = session.subscribe(topic), session.subscribe(topic)
        session.send(topic, "one")
        self.assertEqual(ended.bodies(1), ["one"])
        session.unsubscribe(ended)
        session.send(topic, "two")
        self.assertEqual(kept.bodies(2), ["one", "two"])
        session.close()  # with its receipt: all that was sent before has come
        ended.put("the end")
        self.assertEqual(ended.next(), "the end")

    def test_reach_all_sessions_of_a_user(self):
        user = f"user-{'-'.join(self.way)}"
        sessions = [self.open(login=user, passcode="x") for _ in range(2)]
        inboxes = [session.subscribe("/user/queue/notes") for session in sessions]
        sessions[0].send(f"/user/{user}/queue/notes", "hello")
        for inbox in inboxes:
            self.assertEqual(inbox.bodies(1), ["hello"])
        for session in sessions:
            session.close()

    def test_are_shared_by_clients_of_all_versions(self):
        topic = self.name("topic", "t")
        inboxes = [self.open(way=way).subscribe(topic) for way in WAYS]
        self.open().send(topic, "to all")
        for way, inbox in zip(WAYS, inboxes):
            self.assertEqual(inbox.bodies(1), ["to all"], f"over {way}")
