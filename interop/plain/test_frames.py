"""Frames, byte for byte: lines, lengths, escapes, and the habits of old clients."""

from session import encode
from stage import every_version, run_broker


def setUpModule():
    run_broker()


@every_version()
class Bodies:
    title = "bodies"

    def test_end_at_nul_when_there_is_no_content_length(self):
        session, topic = self.open(), self.name("topic", "t")
        session.subscribe(topic)
        session.post("SEND", {"destination": topic}, b"one")
        session.post("SEND", {"destination": topic}, b"")
        for want in (b"one", b""):
            message = session.message()
            self.assertEqual((message.body, message.headers["content-length"]), (want, str(len(want))))
        session.close()

    def test_carry_every_byte_with_content_length(self):
        session, topic, body = self.open(), self.name("topic", "t"), bytes(range(256)) * 4
        session.subscribe(topic)
        session.post("SEND", {"destination": topic, "content-length": len(body)}, body)
        self.assertEqual(session.message().body, body)
        session.close()

    def test_of_1_mib_come_whole_though_they_come_in_pieces(self):
        session, topic, body = self.open(), self.name("topic", "t"), b"abcdefg\0" * (1 << 17)
        session.subscribe(topic)
        data = encode("SEND", {"destination": topic, "content-length": len(body)}, body)
        for at in range(0, len(data), 50_021):
            session.wire.send(data[at:at + 50_021])
        self.assertTrue(session.message().body == body, "the body changed on its way")
        session.close()

    def test_longer_or_shorter_than_content_length_are_an_error_that_closes(self):
        for length in (2, 0):
            session = self.open()
            session.post("SEND", {"destination": "/topic/x", "content-length": length}, b"abc")
            self.assert_error(session, "malformed-frame")
            self.assertEqual(session.wire.at_end(), [])

    def test_of_a_content_length_that_is_no_number_are_an_error_that_closes(self):
        for length in ("-1", "three", ""):
            session = self.open()
            session.post("SEND", [("destination", "/topic/x"), ("content-length", length)], b"abc")
            self.assert_error(session, "malformed-frame")
            self.assertEqual(session.wire.at_end(), [])


@every_version()
class Lines:
    title = "lines"

    def test_may_end_in_cr_lf_and_frames_in_nul_lf(self):
        session, topic = self.open(), self.name("topic", "t")
        session.subscribe(topic)
        for end, nul in (("\r\n", b"\0\n"), ("\n", b"\0\r\n"), ("\r\n", b"\0\n\n\n")):
            session.post("SEND", {"destination": topic, "odd": "value"}, b"body\r\n", end=end, nul=nul)
            message = session.message()
            self.assertEqual((message.body, message.headers["odd"]), (b"body\r\n", "value"), f"lines end in {end!r}, the frame in {nul!r}")
        session.close()

    def test_that_are_empty_between_frames_are_heart_beats(self):
        session, topic = self.open(), self.name("topic", "t")
        session.subscribe(topic)
        session.wire.send(b"\n\r\n\n" + encode("SEND", {"destination": topic}, b"x") + b"\n\n")
        self.assertEqual(session.bodies(1), ["x"])
        session.close()

    def test_of_the_broker_end_in_lf_alone(self):
        session, topic = self.open(), self.name("topic", "t")
        session.subscribe(topic)
        session.post("SEND", {"destination": topic, "odd": "x"}, b"y", end="\r\n")
        self.assertNotIn(b"\r", session.message().raw)
        session.close()

    def test_that_repeat_a_header_do_not_count(self):
        session, topic = self.open(), self.name("topic", "t")
        session.subscribe(topic)
        session.post("SEND", [("destination", topic), ("odd", "first"), ("odd", "second"), ("destination", "/topic/elsewhere")], b"x")
        self.assertEqual(session.message().headers["odd"], "first")
        session.close()

    def test_without_a_colon_are_an_error_that_closes(self):
        session = self.open()
        session.wire.send(b"SEND\ndestination:/topic/x\nodd\n\nx\0")
        self.assert_error(session, "malformed-header")
        self.assertEqual(session.wire.at_end(), [])


@every_version()
class Headers:
    title = "headers"

    def through(self, line, receiver=None):
        """Sends a header line as it is; gives the one that came to a subscriber of this version."""
        session, topic = self.open(), self.name("topic", "t")
        listener = self.open(version=receiver or self.version)
        listener.subscribe(topic)
        session.wire.send(f"SEND\ndestination:{topic}\n{line}\n\nx\0".encode())
        message = listener.message()
        name = line.partition(":")[0].encode()
        return next(each for each in message.lines if each.startswith(name + b":")).decode()

    def test_come_back_in_the_same_bytes(self):
        lines = {
            "1.0": ["odd:plain", "odd:a:b", "odd:a\\nb", "odd:C:\\temp\\", "odd:\\c\\\\\\r", "odd:grüße 世界 🐃", "odd:"],
            "1.1": ["odd:plain", "odd:a\\cb", "odd:a\\nb", "odd:C\\c\\\\temp\\\\", "odd:grüße 世界 🐃", "odd: spaces ", "odd:", "o\\cd:1"],
            "1.2": ["odd:plain", "odd:a\\cb", "odd:a\\nb", "odd:C\\c\\\\temp\\\\", "odd:a\\r\\nb", "odd:grüße 世界 🐃", "odd: spaces ", "odd:", "o\\cd:1"],
        }[self.version]
        for line in lines:
            self.assertEqual(self.through(line), line)

    def test_are_escaped_for_the_version_of_who_reads_them(self):
        wanted = {"1.0": "odd:a:b\\n", "1.1": "odd:a\\cb\\\\n", "1.2": "odd:a\\cb\\\\n"}
        sent = "odd:a:b\\n" if self.version == "1.0" else "odd:a\\cb\\\\n"
        for receiver, want in wanted.items():
            self.assertEqual(self.through(sent, receiver), want, f"from {self.version} to {receiver}")


@every_version("1.1", "1.2")
class Escapes:
    title = "escapes"

    def test_that_do_not_exist_are_an_error_that_closes(self):
        for line in ("odd:a\\tb", "odd:trailing\\", "o\\dd:1"):
            session = self.open()
            session.wire.send(f"SEND\ndestination:/topic/x\n{line}\n\nx\0".encode())
            self.assert_error(session, "invalid-escape")
            self.assertEqual(session.wire.at_end(), [])

    def test_of_line_ends_become_spaces_for_1_0_which_cannot_say_them(self):
        sender, listener, topic = self.open(), self.open(version="1.0"), self.name("topic", "t")
        listener.subscribe(topic)
        sender.post("SEND", {"destination": topic, "odd": "a\\nb"}, b"x")
        self.assertIn(b"odd:a b", listener.message().lines)
