"""Headers and bodies: what goes in comes out, whatever is in it, as far as the version can say it."""

import stomp.utils
from session import WAYS
from stage import every_way, run_broker

UNICODE = "grüße, 世界 🐃"
# What a header value may have in each version. 1.0 has no escapes, and 1.1 none for carriage return.
VALUES = {
    "1.0": ["plain", UNICODE, "a:b", r"C:\temp", "trailing\\", ""],
    "1.1": ["plain", UNICODE, "a:b", r"C:\new", "line\nend", r"\n is not a line end", "\\\\:\n", ""],
    "1.2": ["plain", UNICODE, "a:b", r"C:\new", "line\nend", "carriage\rreturn\r\n", r"\r\n\c are none", "\\\\:\r\n", ""],
}
MIB = 1 << 20


def setUpModule():
    run_broker()


@every_way()
class Content:
    title = "content"

    def test_headers_come_as_they_were_sent(self):
        session, topic = self.open(), self.name("topic", "t")
        inbox = session.subscribe(topic)
        for value in VALUES[self.way[1]]:
            session.send(topic, "x", odd=value)
            self.assertEqual(inbox.next().headers["odd"], value, f"header odd sent as {value!r}")
        session.close()

    def test_header_names_may_have_what_values_may(self):
        session, topic = self.open(), self.name("topic", "t")
        inbox = session.subscribe(topic)
        session.send(topic, "x", **{UNICODE: "1"})
        self.assertEqual(inbox.next().headers[UNICODE], "1")
        session.close()

    def test_destinations_may_be_unicode(self):
        session, topic = self.open(), self.name("topic", "größe.世界")
        inbox = session.subscribe(topic)
        session.send(topic, "x")
        self.assertEqual(inbox.next().headers["destination"], topic)
        session.close()

    def test_unicode_bodies_have_their_length_in_bytes(self):
        session, topic = self.open(), self.name("topic", "t")
        inbox = session.subscribe(topic)
        session.send(topic, UNICODE)
        message = inbox.next()
        self.assertEqual((message.body, message.headers["content-length"]), (UNICODE, str(len(UNICODE.encode()))))
        session.close()

    def test_empty_bodies_come_empty(self):
        session, topic = self.open(), self.name("topic", "t")
        inbox = session.subscribe(topic)
        session.send(topic, "")
        message = inbox.next()
        self.assertEqual((message.body, message.headers["content-length"]), ("", "0"))
        session.close()

    def test_bodies_carry_every_byte(self):
        options = {"auto_decode": False}
        if self.way[0] == "websocket":
            options["binary_mode"] = True
        session, topic = self.open(**options), self.name("topic", "t")
        inbox = session.subscribe(topic)
        body = bytes(range(256)) * 2
        session.send(topic, body, content_type="application/octet-stream")
        message = inbox.next()
        self.assertEqual((message.body, message.headers["content-type"]), (body, "application/octet-stream"))
        session.close()

    def test_bodies_of_1_mib_come_as_they_were_sent(self):
        session, topic = self.open(), self.name("topic", "t")
        inbox = session.subscribe(topic)
        body = "abcdefgh" * (MIB // 8)
        session.send(topic, body)
        message = inbox.next()
        self.assertTrue(message.body == body, f"a body of {len(body)} bytes came as {len(message.body)} other bytes")
        session.close()


@every_way([way for way in WAYS if way[1] != "1.0"])
class Escapes:
    title = "escapes"

    def test_headers_of_a_1_0_sender_are_escaped_for_later_versions(self):
        sender, session, topic = self.open(way=("tcp", "1.0")), self.open(), self.name("topic", "t")
        inbox = session.subscribe(topic)
        for value in (r"\n\c\\ as they are", "a:b"):
            sender.send(topic, "x", odd=value)
            self.assertEqual(inbox.next().headers["odd"], value, f"header odd sent in 1.0 as {value!r}")

    def test_headers_are_escaped_on_the_wire_as_the_version_says(self):
        session, topic = self.open(), self.name("topic", "t")
        lines = []
        parse, stomp.utils.parse_headers = stomp.utils.parse_headers, lambda raw, offset=0: (lines.extend(raw), parse(raw, offset))[1]
        self.addCleanup(setattr, stomp.utils, "parse_headers", parse)
        inbox = session.subscribe(topic)
        session.send(topic, "x", odd="a:b\\c\nd")
        inbox.next()
        self.assertIn(r"odd:a\cb\\c\nd", lines)
        session.close()
