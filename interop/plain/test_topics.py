"""Topics: every subscriber gets every message, in order, and can go on where it stopped."""

from session import VERSIONS
from stage import every_version, run_broker


def setUpModule():
    run_broker()


@every_version()
class Topics:
    title = "topics"

    def test_give_every_subscriber_every_message_in_order(self):
        publisher, subscribers, topic = self.open(), [self.open(), self.open()], self.name("topic", "t")
        for session in subscribers:
            session.subscribe(topic)
        sent = [f"message {i}" for i in range(50)]
        for body in sent:
            publisher.post("SEND", {"destination": topic}, body.encode())
        for session in subscribers:
            self.assertEqual(session.bodies(len(sent)), sent)
            session.close()
        publisher.close()

    def test_give_back_the_headers_of_the_sender_and_the_ones_of_the_broker(self):
        session, topic = self.open(), self.name("topic", "t")
        id = session.subscribe(topic)
        session.send(topic, "x", correlation="7", **{"content-type": "text/plain"})
        headers = session.message().headers
        want = {"destination": topic, "content-type": "text/plain", "correlation": "7", "content-length": "1", "subscription": id}
        self.assertEqual({name: headers.get(name) for name in want}, want)
        self.assertRegex(headers["message-id"], r"^[A-Za-z0-9_.-]+$")
        self.assertRegex(headers["x-stream-offset"], r"^\d+$")
        self.assertRegex(headers["timestamp"], r"^\d{13}$")
        for absent in ("receipt", "ack", "redelivered"):
            self.assertNotIn(absent, headers)
        session.close()

    def test_go_on_after_the_last_message_seen(self):
        publisher, first, topic = self.open(), self.open(), self.name("topic", "t")
        first.subscribe(topic)
        for body in ("one", "two", "three"):
            publisher.send(topic, body)
        seen = first.message()
        first.drop()
        publisher.send(topic, "four")
        after = self.open()
        after.subscribe(topic, **{"resume-after": seen.headers["message-id"]})
        publisher.send(topic, "five")
        self.assertEqual(after.bodies(4), ["two", "three", "four", "five"])

    def test_are_read_from_a_position(self):
        session, topic = self.open(), self.name("topic", "t")
        session.subscribe(topic)
        for body in ("one", "two", "three"):
            session.send(topic, body)
        offset = [session.message().headers["x-stream-offset"] for _ in range(3)][1]
        for headers, want in (
            ({"x-stream-offset": "first"}, ["one", "two", "three"]),
            ({"x-stream-offset": f"offset={offset}"}, ["two", "three"]),
            ({"last": "1"}, ["three"]),
        ):
            reader = self.open()
            reader.subscribe(topic, **headers)
            self.assertEqual(reader.bodies(len(want)), want, f"from {headers}")

    def test_match_wildcards(self):
        session, topic = self.open(), self.name("topic", "wild")
        one, many = session.subscribe(f"{topic}.*.end"), session.subscribe(f"{topic}.#")
        for destination in (f"{topic}.a.end", f"{topic}.a.b.end"):
            session.send(destination, destination)
        got = sorted((m.headers["subscription"], m.body.decode()) for m in (session.message() for _ in range(3)))
        self.assertEqual(got, sorted([(one, f"{topic}.a.end"), (many, f"{topic}.a.end"), (many, f"{topic}.a.b.end")]))
        session.close()

    def test_are_shared_by_clients_of_all_versions(self):
        topic, listeners = self.name("topic", "t"), {version: self.open(version=version) for version in VERSIONS}
        for session in listeners.values():
            session.subscribe(topic)
        self.open().send(topic, "to all")
        for version, session in listeners.items():
            self.assertEqual(session.bodies(1), ["to all"], f"in {version}")

    def test_send_nothing_more_after_unsubscribe(self):
        session, topic = self.open(), self.name("topic", "t")
        id = session.subscribe(topic)
        session.send(topic, "one")
        self.assertEqual(session.bodies(1), ["one"])
        session.unsubscribe(id)
        session.send(topic, "two")
        session.ask("DISCONNECT", {})
        self.assertEqual((session.kept, session.wire.at_end()), ([], []))
