"""Three nodes, and the leader is killed in the middle: who is on a survivor notices nothing, the others dial a survivor and go on."""

import threading

from cluster import Cluster, until
from session import Session
from stage import every_version
from wire import Closed

BEFORE, DURING, AFTER = 10, 10, 10


class Client:
    """A session with the first node that takes it; `again` dials until one does."""

    def __init__(self, addresses, version):
        self.addresses, self.version = addresses, version
        self.session, self.dials = None, 0
        self.again()

    def again(self):
        if self.session:
            self.session.drop()
        self.session = until("a node that takes the session", self._dial)
        self.dials += 1

    def _dial(self):
        for address in self.addresses:
            try:
                return Session(address, self.version)
            except (Closed, OSError):
                continue
        return None


class Publisher(Client):
    """Sends numbered messages. What got no receipt because the connection was lost is sent once more, and is noted: it may be there twice."""

    def __init__(self, addresses, version, destination, word):
        super().__init__(addresses, version)
        self.destination, self.word = destination, word
        self.sent, self.open, self.repeated = [], [], []

    def post(self, count):
        for _ in range(count):
            body = f"{self.word} {len(self.sent)}"
            self.sent.append(body)
            self.open.append(body)
            self._post(body)

    def settle(self):
        """Waits for the receipts of all that was posted; they come in order."""
        while self.open:
            try:
                self.session.await_receipt(self.open[0])
                self.open.pop(0)
            except (Closed, OSError):
                self.again()
                self.repeated += self.open
                for body in self.open:
                    self._post(body)

    def _post(self, body):
        try:
            self.session.post("SEND", {"destination": self.destination, "receipt": body}, body.encode())
        except OSError:
            pass  # settle finds out


class Follower(Client):
    """Subscribes to a topic, and again after the last message that it saw."""

    def __init__(self, addresses, version, topic):
        super().__init__(addresses, version)
        self.topic, self.got, self.last = topic, [], None
        self.session.subscribe(topic)

    def read_to(self, body):
        while not self.got or self.got[-1] != body:
            try:
                message = self.session.message()
            except (Closed, OSError):
                self.again()
                self.session.subscribe(self.topic, **{"resume-after": self.last})
                continue
            self.got.append(message.body.decode())
            self.last = message.headers["message-id"]


class Worker(Client):
    """Takes from a queue and acknowledges with receipts in a thread of its own, until it is stopped."""

    def __init__(self, addresses, version, queue):
        super().__init__(addresses, version)
        self.queue = queue
        self.settled, self.unsure, self.late, self.wrong = set(), set(), [], []
        self.session.subscribe(queue, ack="client-individual")
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stopping:
            try:
                self._work()
            except (Closed, OSError):
                if not self._stopping:
                    self.again()
                    self.session.subscribe(self.queue, ack="client-individual")
            except Exception as error:  # told to the test, which runs elsewhere
                self.wrong.append(repr(error))
                return

    def _work(self):
        message = self.session.message()
        body = message.body.decode()
        if body == "the end":
            self._stopping = True
        if body in self.settled:
            self.late.append(body)
        self.unsure.add(body)  # until its receipt is here
        self.session.ack(message)
        self.unsure.discard(body)
        self.settled.add(body)

    def working(self):
        return self._thread.is_alive()

    def leave(self):
        self._thread.join()
        self.session.close()


@every_version()
class LeaderKilled:
    title = "a killed leader"

    def setUp(self):
        self.cluster = Cluster(nodes=3, args=["--log-level=warn"])
        self.addCleanup(self.cluster.end)
        self.dead = self.cluster.leader()
        alive = [n for n in (1, 2, 3) if n != self.dead]
        self.here, self.there = [[self.cluster.stomp(n)] for n in alive]
        self.everywhere = [self.cluster.stomp(n) for n in (self.dead, *alive)]

    def live_through(self, *publishers):
        """Posts before, during and after the end of the leader, and waits for all receipts."""
        for publisher in publishers:
            publisher.post(BEFORE)
            publisher.settle()
        for publisher in publishers:
            publisher.post(DURING)  # not waited for: some are on their way when the leader dies
        self.assertEqual(self.cluster.kill("leader"), self.dead)
        for publisher in publishers:
            publisher.post(AFTER)
            publisher.settle()

    def test_is_not_noticed_on_a_surviving_node_and_followed_by_the_others(self):
        topic = self.name("topic", "t")
        staying, coming = Follower(self.here, self.version, topic), Follower(self.everywhere, self.version, topic)
        steady = Publisher(self.there, self.version, topic, "steady")
        restless = Publisher(self.everywhere, self.version, topic, "restless")
        self.live_through(steady, restless)
        steady.session.send(topic, "the end")
        for follower in (staying, coming):
            follower.read_to("the end")

        self.assertEqual((staying.dials, steady.dials, steady.repeated), (1, 1, []), "dials and repeats of who is on a survivor")
        self.assertGreater(coming.dials, 1, "dials of who was on the leader")
        self.assertEqual(coming.got, staying.got, "who resumed against who stayed")
        for publisher in (steady, restless):
            for body in publisher.sent:
                times, most = staying.got.count(body), 2 if body in publisher.repeated else 1
                self.assertTrue(1 <= times <= most, f"{body!r} came {times} times, want 1 to {most}")
        self.assertEqual([body for body in staying.got if body in steady.sent], steady.sent, "one session's order")

    def test_loses_no_queue_message_and_brings_none_back_that_was_settled(self):
        queue = self.name("queue", "q")
        staying, coming = Worker(self.here, self.version, queue), Worker(self.everywhere, self.version, queue)
        publisher = Publisher(self.there, self.version, queue, "job")
        self.live_through(publisher)

        def all_settled():
            missing = set(publisher.sent) - staying.settled - coming.settled - coming.unsure
            self.assertEqual((missing, staying.wrong, coming.wrong), (set(), [], []), "jobs that nobody has acknowledged; what went wrong")
            return True

        until("acknowledgements of all jobs", all_settled)
        for number in (1, 2):  # each worker takes one of these and ends
            publisher.session.send(queue, "the end")
            until("the end of a worker", lambda: [staying.working(), coming.working()].count(False) >= number)
        staying.leave()
        coming.leave()
        self.assertEqual((staying.dials, publisher.dials, publisher.repeated), (1, 1, []), "dials and repeats of who is on a survivor")
        self.assertEqual((staying.late, coming.late), ([], []), "jobs that came again after the receipt of their ACK")
        # What is left was acknowledged without a receipt by who was on the leader, and by nobody else.
        left = {message.body.decode() for message in self.left(queue)}
        self.assertEqual(left - (coming.unsure - staying.settled - coming.settled), set())

    def open(self, version=None, **headers):
        session = Session(self.here[0], version or self.version, **headers)
        self.addCleanup(session.drop)
        return session
