"""Three nodes, and the leader is killed in the middle: who is on a survivor notices nothing, the others come back by stomp.py's own means."""

import threading

from cluster import Cluster, until
from session import WAYS, Lost
from stage import Stage, every_way

BEFORE, DURING, AFTER = 10, 10, 10


class Publisher:
    """Sends numbered messages. What got no receipt because the connection was lost is sent once more, and is noted: it may be there twice."""

    def __init__(self, session, destination, word):
        self.session, self.destination, self.word = session, destination, word
        self.sent, self.repeated, self._open = [], [], []

    def post(self, count):
        for _ in range(count):
            body = f"{self.word} {len(self.sent)}"
            self.sent.append(body)
            try:
                self._open.append((body, self.session.post(self.destination, body)))
            except Exception:  # stomp.py raises whatever the socket or its own state says
                self._open.append((body, None))

    def settle(self):
        """Waits for the receipts of all that was posted."""
        while self._open:
            body, waiter = self._open.pop(0)
            try:
                if waiter is None:
                    raise Lost(f"{body!r} was not sent")
                waiter.wait()
            except Lost:
                self.repeated.append(body)
                self._repeat(body)

    def _repeat(self, body):
        def again():
            try:
                return self.session.send(self.destination, body)
            except Exception:  # it is not back yet
                return None

        until(f"receipt of {body!r} after the connection was lost", again)


class Worker:
    """Takes from a queue and acknowledges with receipts, whatever becomes of its connection."""

    def __init__(self, queue):
        self.queue = queue
        self.settled, self.unsure, self.late = set(), set(), []
        self.wrong = []  # what it did not expect
        self._lock = threading.Lock()
        self._inbox = None
        self._thread = None

    def work(self, session):
        """Subscribes, and works until the connection is lost or stop() is called."""
        self._inbox = session.subscribe(self.queue, ack="client-individual")
        self._thread = threading.Thread(target=self._run, args=(session, self._inbox), daemon=True)
        self._thread.start()

    def _run(self, session, inbox):
        while (message := inbox.wait()) is not None:
            with self._lock:
                if message.body in self.settled:
                    self.late.append(message.body)
            try:
                session.ack(message)
            except Exception as error:  # with the connection: it may have been settled, or come again
                self.unsure.add(message.body)
                if not isinstance(error, Lost) and session.connection.is_connected():
                    self.wrong.append(f"ACK of {message.body!r}: {error!r}")
                return
            with self._lock:
                self.settled.add(message.body)

    def stop(self):
        self._inbox.put(None)
        self._thread.join(60)


@every_way()
class LeaderKilled:
    title = "a killed leader"

    def setUp(self):
        self.cluster = Cluster(nodes=3, args=["--log-level=warn"])
        self.addCleanup(self.cluster.end)
        self.dead = self.cluster.leader()
        self.alive = [n for n in (1, 2, 3) if n != self.dead]

    def on(self, *numbers, **options):
        """A session with the first of these nodes that answers. stomp.py tries them in this order until it has one."""
        address = self.cluster.stomp if self.way[0] == "tcp" else self.cluster.http
        self.hosts = lambda way: [address(n) for n in numbers]
        return self.open(reconnect_sleep_initial=0.1, reconnect_attempts_max=60, **options)

    def follow(self, topic):
        """A subscriber that begins on the leader, comes back on another node and goes on after the last message it saw."""
        inboxes = []

        def resume(session):
            last = inboxes[-1].so_far()[-1]
            inboxes.append(session.subscribe(topic, **{"resume-after": last.headers["message-id"]}))

        session = self.on(self.dead, *self.alive, again=resume)
        inboxes.append(session.subscribe(topic))
        return session, lambda: [m.body for inbox in inboxes for m in inbox.so_far()]

    def test_is_not_noticed_on_a_surviving_node_and_followed_by_the_others(self):
        topic = self.name("topic", "t")
        here = self.on(self.alive[0])
        inbox = here.subscribe(topic)
        _, followed = self.follow(topic)
        staying = Publisher(self.on(self.alive[1]), topic, "staying")
        coming = Publisher(self.on(self.dead, *self.alive, again=lambda _: None), topic, "coming")

        for publisher in (staying, coming):
            publisher.post(BEFORE)
            publisher.settle()
        until("messages before the kill", lambda: len(followed()) == 2 * BEFORE)
        for publisher in (staying, coming):
            publisher.post(DURING)  # not waited for: some are on their way when the leader dies
        self.assertEqual(self.cluster.kill("leader"), self.dead)
        for publisher in (staying, coming):
            publisher.post(AFTER)
            publisher.settle()

        self.assertFalse(staying.session.ended.is_set(), "the publisher on a survivor lost its connection")
        self.assertEqual(staying.repeated, [])
        here.send(topic, "the end")
        got = []
        while not got or got[-1] != "the end":
            got.append(inbox.next().body)
        self.assertFalse(here.ended.is_set(), "the subscriber on a survivor lost its connection")
        self.assert_complete(got, staying, coming)
        until("the end on the session that came back", lambda: followed()[-1:] == ["the end"])
        self.assertEqual(followed(), got, "who resumed against who stayed")

    def assert_complete(self, got, *publishers):
        for publisher in publishers:
            for body in publisher.sent:
                times = got.count(body)
                most = 2 if body in publisher.repeated else 1
                self.assertTrue(1 <= times <= most, f"{body!r} came {times} times, want 1 to {most}")
            firsts = [body for i, body in enumerate(got) if body in publisher.sent and body not in got[:i] and body not in publisher.repeated]
            self.assertEqual(firsts, [body for body in publisher.sent if body not in publisher.repeated], "the publisher's own order")

    def test_loses_no_queue_message_and_brings_none_back_that_was_settled(self):
        queue = self.name("queue", "q")
        steady, restless = Worker(queue), Worker(queue)
        publisher = Publisher(self.on(self.alive[0]), queue, "job")
        here = self.on(self.alive[1])
        steady.work(here)
        moving = self.on(self.dead, *self.alive, again=restless.work)
        restless.work(moving)
        publisher.post(BEFORE)
        publisher.settle()
        publisher.post(DURING)
        self.assertEqual(self.cluster.kill("leader"), self.dead)
        publisher.post(AFTER)
        publisher.settle()
        self.assertEqual(publisher.repeated, [])

        def all_settled():
            self.assertEqual(set(publisher.sent) - steady.settled - restless.settled - restless.unsure, set(), "jobs that nobody has acknowledged")
            return True

        until("acknowledgements of all jobs", all_settled)
        steady.stop()
        restless.stop()
        self.assertEqual((steady.wrong, restless.wrong), ([], []))
        self.assertEqual((steady.late, restless.late), ([], []), "jobs that came again after the receipt of their ACK")
        self.assertFalse(here.ended.is_set(), "the worker on a survivor lost its connection")
        for session in (here, moving):
            session.close()
        self.assertEqual([m.body for m in self.left(queue) if m.body not in restless.unsure - steady.settled - restless.settled], [])
