"""Runs nodes of the broker for a suite in Python, through interop/cluster."""

import json
import os
import pathlib
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("INTEROP_BIN", ROOT / "bin"))
ANSWER_SECONDS = 120  # a command waits 60 s at most; longer than that, the tool itself hangs
END_SECONDS = 60


class Cluster:
    """Nodes that were started and are ready; one node alone is a cluster too. Use it with `with`, or call end()."""

    def __init__(self, nodes=3, args=()):
        for name in ("stampede", "cluster"):
            if not (BIN / name).is_file():
                raise RuntimeError(f"{BIN / name} is not there: `make interop-binaries` builds it")
        self._process = subprocess.Popen(
            [str(BIN / "cluster"), f"--nodes={nodes}", f"--stampede={BIN / 'stampede'}", "--", *args],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self.nodes = self._answer()["nodes"]
        except BaseException:
            self.end()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def ask(self, line):
        """Has one command obeyed; see interop/cluster."""
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        if "error" in answer:
            raise RuntimeError(f"{line}: {answer['error']}")
        return answer

    def leader(self):
        """The number of the node that leads; waits for one."""
        return self.ask("leader")["leader"]

    def kill(self, which="leader"):
        """SIGKILL; gives the node's number."""
        return self.ask(f"kill {which}")["killed"]

    def start(self, number):
        self.ask(f"start {number}")

    def stomp(self, number):
        """(host, port) of STOMP over TCP."""
        return self._address(number, "stomp")

    def http(self, number):
        """(host, port) of WebSocket, at /ws, and of health."""
        return self._address(number, "http")

    def end(self):
        """Ends all nodes; interop/cluster removes their data."""
        if not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(END_SECONDS)
        finally:
            self._process.kill()  # does nothing when it has ended
            self._process.wait()
            self._process.stdout.close()

    def _address(self, number, what):
        host, port = self.nodes[number - 1][what].rsplit(":", 1)
        return host, int(port)

    def _answer(self):
        watch = threading.Timer(ANSWER_SECONDS, self._process.kill)
        watch.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watch.cancel()
        if not line:
            raise RuntimeError(f"interop/cluster ended with code {self._process.wait()}")
        return json.loads(line)


def until(what, condition, seconds=60):
    """Waits until the condition gives something true, and gives that. It may raise AssertionError meanwhile, to say what is missing."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            got = condition()
            if got:
                return got
        except AssertionError as error:
            got = error
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}; last: {got!r}")
        time.sleep(0.02)
