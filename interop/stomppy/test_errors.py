"""Errors: what is refused, by name, what closes and what stays open, and who may log in."""

import os
import tempfile
import unittest

import stomp
from cluster import Cluster
from session import Refused
from stage import USERS, every_way, run_broker

guarded = None  # a node with --auth users


def setUpModule():
    global guarded
    run_broker()
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write(USERS)
    unittest.addModuleCleanup(os.unlink, file.name)
    guarded = Cluster(nodes=1, args=["--log-level=warn", "--auth=users", f"--users-file={file.name}"])
    unittest.addModuleCleanup(guarded.end)


@every_way()
class Errors:
    title = "errors"

    def test_name_the_code_and_the_receipt_of_a_refused_send(self):
        session = self.open()
        with self.assertRaises(Refused) as refused:
            session.send("/nowhere/at/all", "x")
        frame = refused.exception.frame
        self.assertEqual(frame.headers["error-code"], "invalid-destination")
        self.assertEqual(frame.headers["content-type"], "text/plain")
        self.assertTrue(frame.headers["message"] and frame.body, "a message, and a body that says what to do")

    def test_of_one_frame_leave_a_service_session_open_and_close_others(self):
        # With --auth none a session over TCP counts as a service's, one over WebSocket as a person's.
        session = self.open()
        with self.assertRaises(Refused):
            session.send("/topic/a.*", "x")
        if self.way[0] == "tcp":
            session.send(self.name("topic", "t"), "still here")
            session.close()
        else:
            session.await_end()

    def test_of_the_protocol_close(self):
        session = self.open()
        session.connection.send_frame("BELIEVE", {"receipt": "never"})
        self.assertEqual(session.error().headers["error-code"], "unknown-command")
        session.await_end()

    def test_name_a_header_that_is_not_supported(self):
        session = self.open()
        with self.assertRaises(Refused) as refused:
            session.subscribe(self.name("queue", "q"), browser="true")
        self.assertEqual(refused.exception.code, "unsupported-header")

    def test_refuse_a_body_above_the_limit(self):
        # A service's session may send 16 MiB, a person's 1 MiB.
        limit = (16 if self.way[0] == "tcp" else 1) << 20
        session = self.open()
        session.post(self.name("topic", "t"), "x" * (limit + 1))
        self.assertIn(session.error().headers["error-code"], ("body-too-large", "frame-too-large"))
        session.await_end()


@every_way()
class Logins:
    title = "logins"

    def hosts(self, way):
        return [guarded.stomp(1) if way[0] == "tcp" else guarded.http(1)]

    def assert_refused(self, **credentials):
        heard = []

        class Ear(stomp.ConnectionListener):
            def on_error(self, frame):
                heard.append(frame)

        with self.assertRaises(stomp.exception.ConnectFailedException):
            self.open(listeners={"ear": Ear()}, **credentials)
        self.assertEqual([frame.headers["error-code"] for frame in heard], ["authentication-failed"])
        said = str(heard[0])
        self.assertNotIn("$2a$", said)
        self.assertNotIn(credentials.get("passcode") or "no passcode", said)

    def test_with_the_right_passcode_are_taken(self):
        session = self.open(login="alice", passcode="open sesame")
        inbox = session.subscribe("/user/queue/notes")
        session.send("/user/alice/queue/notes", "hello")
        self.assertEqual(inbox.bodies(1), ["hello"])
        session.close()

    def test_with_a_wrong_passcode_are_refused(self):
        self.assert_refused(login="alice", passcode="open barley")

    def test_of_unknown_users_are_refused(self):
        self.assert_refused(login="cassim", passcode="open sesame")

    def test_without_a_name_are_refused(self):
        self.assert_refused()
