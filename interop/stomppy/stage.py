"""The broker of a file of tests, and test classes that are told over every way to it."""

import sys
import unittest

from cluster import Cluster
from session import WAYS, Session

# alice may log in with "open sesame"; a cheap hash, as it guards nothing.
USERS = "alice:$2a$04$4x1eYCDhuQoMy/.VCmQlzu.HMt4u6aAq3VQ6LNtCA.57iZa9ySX96\n"


class Stage(unittest.TestCase):
    """Sessions with one node, kept apart by destination and closed with the test."""

    title = "?"
    way = ("tcp", "1.2")
    broker = None  # set by the file's setUpModule

    def hosts(self, way):
        return [self.broker.stomp(1) if way[0] == "tcp" else self.broker.http(1)]

    def open(self, way=None, **options):
        way = way or self.way
        session = Session(self.hosts(way), way, **options)
        self.addCleanup(self.let_go, session)
        return session

    def name(self, kind, word):
        """A destination of this test's own."""
        return f"/{kind}/{'.'.join(self.way)}.{self._testMethodName}.{word}"

    def fill(self, destination, *bodies):
        session = self.open()
        for body in bodies:
            session.send(destination, body)
        session.close()

    def left(self, queue):
        """What waits in the queue: all that a new subscription gets before a marker that is sent last."""
        session = self.open()
        session.send(queue, "marker")
        inbox = session.subscribe(queue)
        messages = []
        while (message := inbox.next()).body != "marker":
            messages.append(message)
        session.close()
        return messages

    @staticmethod
    def let_go(session):
        if not session.ended.is_set():
            session.drop()


def run_broker(*args):
    """For setUpModule: one node for all tests of the file."""
    Stage.broker = Cluster(nodes=1, args=["--log-level=warn", *args])
    unittest.addModuleCleanup(Stage.broker.end)


def every_way(ways=WAYS):
    """Makes of a class without TestCase one test class for each way."""

    def make(stories):
        module = sys.modules[stories.__module__]
        for way in ways:
            name = f"{stories.__name__}_{way[0]}_{way[1].replace('.', '_')}"
            title = f"{stories.title} over {way[0]} in STOMP {way[1]}"
            made = type(name, (stories, Stage), {"way": way, "title": title, "__module__": stories.__module__})
            setattr(module, name, made)
        return stories

    return make
