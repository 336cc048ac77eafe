"""Heart-beats: what is agreed, what the broker sends, and what becomes of who falls silent. All wait at the same time."""

import unittest

from session import Session
from stage import Stage, every_version, run_broker

silent, idle = {}, {}


def setUpModule():
    run_broker()
    address = Stage.broker.stomp(1)
    for version in ("1.1", "1.2"):
        silent[version] = Session(address, version, **{"heart-beat": "1000,0"})
        idle[version] = Session(address, version, **{"heart-beat": "0,1000"})
    for session in (*silent.values(), *idle.values()):
        unittest.addModuleCleanup(session.drop)


@every_version("1.1", "1.2")
class HeartBeats:
    title = "heart-beats"

    def test_are_agreed_on_at_connect(self):
        for asked, want in (
            ("10000,10000", "10000,10000"),
            ("60000,60000", "10000,10000"),
            ("0,0", "0,0"),
            ("0, 0", "0,0"),
        ):
            session = self.open(**{"heart-beat": asked})
            got = session.connected.headers["heart-beat"]
            self.assertEqual(got, want, f"heart-beat asked for: {asked}")

    def test_that_are_no_numbers_are_an_error_that_closes(self):
        for asked in ("abc", "1000", "-1,0", "1,2,3"):
            wire = self.wire()
            wire.send(f"CONNECT\naccept-version:{self.version}\nheart-beat:{asked}\n\n\0".encode())
            self.assertEqual(wire.frame("ERROR").headers["error-code"], "invalid-heart-beat", f"heart-beat: {asked}")
            self.assertEqual(wire.at_end(), [])

    def test_come_as_line_feeds(self):
        session = idle[self.version]
        while session.wire.beats < 2:
            session.wire.await_beat()
        session.send(self.name("topic", "t"), "still here")
        session.close()

    def test_of_a_client_that_promised_them_and_is_silent_end_the_session(self):
        self.assertEqual([frame.headers["error-code"] for frame in silent[self.version].wire.at_end()], ["heart-beat-timeout"])
