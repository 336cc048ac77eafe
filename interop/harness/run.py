"""Runs the unittest suite of a folder and writes what passed, one line of JSON a test, for the table of clients.

    python3 interop/harness/run.py interop/plain --client "plain sockets" [--version 1.0] [words of test names...]

A test's name is a sentence: that of its class, then that of its method.
"""

import argparse
import json
import os
import pathlib
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent


def sentence(test):
    """The name of a test as a sentence: `queues over tcp in STOMP 1.1: nack gives the message again`."""
    method = test.id().rsplit(".", 1)[-1].removeprefix("test_").replace("_", " ")
    return f"{getattr(test, 'title', type(test).__name__)}: {method}"


class Results(unittest.TextTestResult):
    """Prints a line a test and keeps what became of each."""

    def __init__(self, *args, **keywords):
        super().__init__(*args, **keywords)
        self.lines = []

    def getDescription(self, test):
        return sentence(test) if isinstance(test, unittest.TestCase) and hasattr(test, "_testMethodName") else str(test)

    def startTest(self, test):
        self._began = time.monotonic()
        super().startTest(test)

    def stopTest(self, test):
        super().stopTest(test)
        bad = {id(t) for t, _ in self.failures + self.errors} | {id(t) for t in self.unexpectedSuccesses}
        skipped = {id(t) for t, _ in self.skipped}
        if id(test) not in skipped:
            self.lines.append({"test": sentence(test), "passed": id(test) not in bad,
                               "seconds": round(time.monotonic() - self._began, 1)})


def selected(suite, words):
    """The tests whose sentences have all the words."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from selected(test, words)
        elif not hasattr(test, "title") and hasattr(test, "_exception"):
            yield test  # a file that could not be imported: it fails whatever was asked for
        elif all(word in sentence(test) for word in words):
            yield test


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--client", required=True, help="its name in the table")
    parser.add_argument("--version", default="", help="its version in the table")
    parser.add_argument("words", nargs="*", help="run only the tests whose names have all of these")
    options = parser.parse_intermixed_args()

    folder = options.folder.resolve()
    sys.path[:0] = [str(folder), str(HERE)]
    suite = unittest.TestSuite(selected(unittest.TestLoader().discover(str(folder)), options.words))
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Results)
    result = runner.run(suite)

    if "ARTIFACTS" in os.environ:
        out = pathlib.Path(os.environ["ARTIFACTS"]) / "clients" / f"{folder.name}.jsonl"
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("w", encoding="utf-8") as file:
            for line in result.lines:
                file.write(json.dumps({"client": options.client, "version": options.version, **line}) + "\n")
    failed = sum(not line["passed"] for line in result.lines)
    print(f"{len(result.lines) - failed} passed, {failed} failed")
    sys.exit(0 if result.wasSuccessful() and result.testsRun > 0 else 1)


if __name__ == "__main__":
    main()
