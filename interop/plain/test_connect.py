"""CONNECT, byte for byte: who says no version speaks 1.0, and CONNECTED is the same in all of them."""

from stage import every_version, run_broker


def setUpModule():
    run_broker()


@every_version()
class Connect:
    title = "connect"

    def hello(self, command="CONNECT", end="\n"):
        lines = [command] if self.version == "1.0" else [command, f"accept-version:{self.version}", "host:example"]
        return (end.join([*lines, "", ""])).encode() + b"\0"

    def assert_connected(self, frame, version=None):
        version = version or self.version
        self.assertEqual(frame.command, b"CONNECTED", repr(frame))
        self.assertEqual(frame.body, b"")
        self.assertEqual(sorted(frame.headers), ["heart-beat", "server", "session", "version"], repr(frame))
        self.assertEqual((frame.headers["version"], frame.headers["heart-beat"]), (version, "0,0"))
        self.assertRegex(frame.headers["session"], r"^[A-Za-z0-9_.-]+$")
        self.assertRegex(frame.headers["server"], r"^stampede/")

    def connected(self, data, version=None):
        wire = self.wire()
        wire.send(data)
        self.assert_connected(wire.frame(), version)
        return wire

    def test_says_version_session_server_and_heart_beat(self):
        self.connected(self.hello())

    def test_may_be_called_stomp(self):
        self.connected(self.hello(command="STOMP"))

    def test_may_have_cr_lf(self):
        self.connected(self.hello(end="\r\n"))

    def test_may_come_after_ends_of_line(self):
        for before in (b"\n", b"\r\n", b"\n\n\r\n"):
            self.connected(before + self.hello())

    def test_may_come_with_a_line_feed_behind_its_nul_and_byte_by_byte(self):
        wire = self.wire()
        wire.trickle(self.hello() + b"\n")
        self.assert_connected(wire.frame())
        wire.trickle(b"DISCONNECT\nreceipt:bye\n\n\0\n")
        self.assertEqual(wire.frame("RECEIPT").lines, [b"receipt-id:bye"])
        self.assertEqual(wire.at_end(), [])

    def test_is_answered_before_what_came_with_it(self):
        wire = self.wire()
        wire.send(self.hello() + b"SEND\ndestination:/topic/x\nreceipt:1\n\nx\0" + b"DISCONNECT\nreceipt:2\n\n\0")
        self.assert_connected(wire.frame())
        self.assertEqual([frame.lines for frame in wire.at_end()], [[b"receipt-id:1"], [b"receipt-id:2"]])

    def test_chooses_the_highest_version_that_both_know(self):
        offers = {"1.0": "1.0", "1.1": "1.0,1.1", "1.2": "1.0,1.1,1.2,2.0"}
        self.connected(f"CONNECT\naccept-version:{offers[self.version]}\n\n\0".encode())

    def test_twice_is_an_error_that_closes(self):
        wire = self.connected(self.hello())
        wire.send(self.hello())
        self.assertEqual(wire.frame("ERROR").headers["error-code"], "already-connected")
        self.assertEqual(wire.at_end(), [])


@every_version("1.0")
class Unconnected:
    title = "before connect"

    def test_no_common_version_is_an_error_that_names_them(self):
        wire = self.wire()
        wire.send(b"CONNECT\naccept-version:2.0,3.1\n\n\0")
        frame = wire.frame("ERROR")
        self.assertEqual(frame.headers["error-code"], "unsupported-version")
        self.assertEqual(frame.headers["version"], "1.0,1.1,1.2")
        self.assertEqual(wire.at_end(), [])

    def test_another_frame_is_an_error_that_closes(self):
        wire = self.wire()
        wire.send(b"SEND\ndestination:/queue/a\n\nx\0")
        self.assertEqual(wire.frame("ERROR").headers["error-code"], "not-connected")
        self.assertEqual(wire.at_end(), [])

    def test_the_error_arrives_while_the_client_goes_on_sending(self):
        wire = self.wire()
        wire.send(b"BELIEVE\n\n\0")
        try:
            for _ in range(50):
                wire.send(b"SEND\ndestination:/queue/a\n\n" + b"x" * 1000 + b"\0")
        except OSError:
            self.fail("the broker reset the connection while the client still sent")
        self.assertEqual([frame.headers["error-code"] for frame in wire.at_end()], ["unknown-command"])
