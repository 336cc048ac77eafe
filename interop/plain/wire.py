"""STOMP over a plain socket, as old clients do it: what is sent is bytes, what comes is cut into frames and kept as bytes."""

import socket
import time

WAIT_SECONDS = 60  # longer than anything here takes on a busy machine; a test that waits it out has failed


class Frame:
    """One frame of the broker: `raw` is all of it without the NUL, headers are as they stand on the wire, first one first."""

    def __init__(self, raw):
        self.raw = raw
        head, _, self.body = raw.partition(b"\n\n")
        self.command, *lines = head.split(b"\n")
        self.lines = lines
        self.headers = {}
        for line in lines:
            name, _, value = line.partition(b":")
            self.headers.setdefault(name.decode(), value.decode())

    def __repr__(self):
        return repr(self.raw)


class Closed(Exception):
    """The broker closed the connection."""


class Wire:
    """A connection. `frame` waits for the next frame and skips heart-beats, which it counts."""

    def __init__(self, address):
        self._socket = socket.create_connection(address, timeout=WAIT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self.beats = 0

    def send(self, data):
        self._socket.sendall(data)

    def trickle(self, data):
        """Each byte in a packet of its own, as far as that can be had."""
        for i in range(len(data)):
            self._socket.sendall(data[i:i + 1])

    def frame(self, *commands):
        """The next frame; of these commands only, when some are given."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            raw = self._cut()
            if raw is None:
                self._fill(deadline)
                continue
            frame = Frame(raw)
            if commands and frame.command.decode() not in commands:
                raise AssertionError(f"got {frame}, want one of {commands}")
            return frame

    def await_beat(self):
        """Waits for one heart-beat more while no frame is due."""
        before, deadline = self.beats, time.monotonic() + WAIT_SECONDS
        while self.beats == before:
            self._fill(deadline)
            if self._cut() is not None or self._buffer:
                raise AssertionError(f"got {self._buffer!r}, want a heart-beat")

    def at_end(self):
        """Waits for the end of the connection; gives the frames that came before it."""
        frames = []
        try:
            while True:
                frames.append(self.frame())
        except Closed:
            return frames

    def close(self):
        self._socket.close()

    def _cut(self):
        """Takes a whole frame from the buffer, None if there is none yet."""
        while self._buffer[:1] in (b"\n", b"\r"):
            self.beats += self._buffer[:1] == b"\n"
            self._buffer = self._buffer[1:]
        head, blank, rest = self._buffer.partition(b"\n\n")
        nul = self._buffer.find(b"\0")
        if not blank:
            if nul >= 0:
                raise AssertionError(f"a NUL among the headers: {self._buffer!r}")
            return None
        for line in head.split(b"\n"):
            if line.startswith(b"content-length:"):
                nul = len(head) + 2 + int(line.partition(b":")[2])
                if len(self._buffer) <= nul:
                    return None
                if self._buffer[nul:nul + 1] != b"\0":
                    raise AssertionError(f"no NUL after the body, as content-length counts it: {self._buffer!r}")
                break
        if nul < 0:
            return None
        raw, self._buffer = self._buffer[:nul], self._buffer[nul + 1:]
        return raw

    def _fill(self, deadline):
        if time.monotonic() > deadline:
            raise AssertionError(f"no frame within {WAIT_SECONDS} s; unfinished: {self._buffer!r}")
        try:
            piece = self._socket.recv(1 << 16)
        except TimeoutError:
            return
        except OSError as error:
            raise Closed(str(error)) from error
        if not piece:
            raise Closed(f"the broker closed; unfinished: {self._buffer!r}")
        self._buffer += piece
