"""Heart-beats: an idle session of a client that keeps its word stays, one of a client that falls silent is given up."""

import queue

from session import WAIT_SECONDS, WAYS
from stage import every_way, run_broker

BEATING = [way for way in WAYS if way[1] != "1.0"]  # 1.0 has none


def setUpModule():
    run_broker()


@every_way(BEATING)
class HeartBeats:
    title = "heart-beats"

    def test_are_negotiated_and_keep_an_idle_session(self):
        # The broker offers 10 s both ways and takes the slower: three of its beats are longer than it waits for a silent client.
        session = self.open(heartbeats=(10_000, 1_000))
        self.assertEqual(session.connected.headers["heart-beat"], "10000,10000")
        for beat in range(3):
            try:
                session.beats.get(timeout=WAIT_SECONDS)
            except queue.Empty:
                self.fail(f"{beat} heart-beats, want 3, each within {WAIT_SECONDS} s")
        session.send(self.name("topic", "t"), "still here")
        session.close()

    def test_are_not_sent_to_who_asked_for_none(self):
        session = self.open(heartbeats=(0, 0))
        self.assertEqual(session.connected.headers["heart-beat"], "0,0")
        session.close()


@every_way([("tcp", "1.1"), ("tcp", "1.2")])  # over WebSocket a silent client is given a minute at least
class Silence:
    title = "silence"

    def test_of_a_client_that_promised_beats_ends_the_session(self):
        session = self.open(connect_headers={"heart-beat": "1000,0"})  # behind the back of stomp.py, which sends none then
        session.await_end()
        self.assertEqual(session.error().headers["error-code"], "heart-beat-timeout")
