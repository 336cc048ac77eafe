"""The broker of a file of tests, and test classes that are told in every version."""

import sys
import unittest

from cluster import Cluster
from session import VERSIONS, Session
from wire import Wire


class Stage(unittest.TestCase):
    title = "?"
    version = "1.0"
    broker = None  # set by the file's setUpModule

    def wire(self):
        """A connection that has said nothing yet."""
        wire = Wire(self.broker.stomp(1))
        self.addCleanup(wire.close)
        return wire

    def open(self, version=None, **headers):
        session = Session(self.broker.stomp(1), version or self.version, **headers)
        self.addCleanup(session.drop)
        return session

    def name(self, kind, word):
        """A destination of this test's own."""
        return f"/{kind}/{self.version}.{self._testMethodName}.{word}"

    def fill(self, destination, *bodies):
        session = self.open()
        for body in bodies:
            session.send(destination, body)
        session.close()

    def left(self, queue):
        """What waits in the queue: all that a new subscription gets before a marker that is sent last."""
        session = self.open()
        session.send(queue, "marker")
        session.subscribe(queue)
        messages = []
        while (message := session.message()).body != b"marker":
            messages.append(message)
        session.close()
        return messages

    def assert_error(self, session, code):
        """The next frame is this ERROR."""
        frame = session.wire.frame("ERROR")
        self.assertEqual(frame.headers["error-code"], code, repr(frame))
        self.assertTrue(frame.headers["message"] and frame.body, "a message, and a body that says what to do")
        return frame


def run_broker():
    """For setUpModule: one node for all tests of the file."""
    Stage.broker = Cluster(nodes=1, args=["--log-level=warn"])
    unittest.addModuleCleanup(Stage.broker.end)


def every_version(*versions):
    """Makes of a class without TestCase one test class for each version."""

    def make(stories):
        module = sys.modules[stories.__module__]
        for version in versions or VERSIONS:
            name = f"{stories.__name__}_{version.replace('.', '_')}"
            title = f"{stories.title} over tcp in STOMP {version}"
            setattr(module, name, type(name, (stories, Stage), {"version": version, "title": title, "__module__": stories.__module__}))
        return stories

    return make
