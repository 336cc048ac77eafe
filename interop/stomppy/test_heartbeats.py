"""Heart-beats: an idle session of a client that keeps its word stays, one of a client that falls silent is given up.

The broker offers 10 s, so both take half a minute; the sessions of all ways wait at the same time.
"""

import queue
import unittest

import stage
from session import WAIT_SECONDS, WAYS, Session
from stage import every_way, run_broker

BEATING = [way for way in WAYS if way[1] != "1.0"]  # 1.0 has none
SILENT = [way for way in BEATING if way[0] == "tcp"]  # over WebSocket a silent client is given a minute at least

idle, silent = {}, {}


def setUpModule():
    run_broker()
    hosts = lambda way: [stage.Stage.broker.stomp(1) if way[0] == "tcp" else stage.Stage.broker.http(1)]
    for way in BEATING:
        idle[way] = Session(hosts(way), way, heartbeats=(10_000, 1_000))
    for way in SILENT:  # behind the back of stomp.py, which sends no beats then
        silent[way] = Session(hosts(way), way, connect_headers={"heart-beat": "1000,0"})
    for session in (*idle.values(), *silent.values()):
        unittest.addModuleCleanup(stage.Stage.let_go, session)


@every_way(BEATING)
class HeartBeats:
    title = "heart-beats"

    def test_are_negotiated_and_keep_an_idle_session(self):
        # The broker takes the slower of both: three of its beats are longer than it waits for a silent client.
        session = idle[self.way]
        self.assertEqual(session.connected.headers["heart-beat"], "10000,10000")
        for beat in range(3):
            try:
                session.beats.get(timeout=WAIT_SECONDS)
            except queue.Empty:
                self.fail(f"{beat} heart-beats, want 3, each within {WAIT_SECONDS} s")
        session.send(self.name("topic", "t"), "still here")
        session.close()

    def test_are_none_for_who_asked_for_none(self):
        session = self.open(heartbeats=(0, 0))
        self.assertEqual(session.connected.headers["heart-beat"], "0,0")
        session.close()


@every_way(SILENT)
class Silence:
    title = "silence"

    def test_of_a_client_that_promised_beats_ends_the_session(self):
        silent[self.way].await_end()
        self.assertEqual(silent[self.way].error().headers["error-code"], "heart-beat-timeout")
