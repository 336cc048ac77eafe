"""A session of the plain client: the stories that are the same in all versions, in each version's own bytes."""

import itertools

from wire import Wire

VERSIONS = ("1.0", "1.1", "1.2")


class Refused(Exception):
    """An ERROR came in place of what was waited for."""

    def __init__(self, frame):
        super().__init__(repr(frame))
        self.frame = frame
        self.code = frame.headers.get("error-code")


def encode(command, headers, body=b"", end="\n", nul=b"\0"):
    """The bytes of a frame. Nothing is escaped and nothing is added; a list of headers may have one twice."""
    pairs = headers.items() if isinstance(headers, dict) else headers
    lines = [command, *(f"{name}:{value}" for name, value in pairs), "", ""]
    return end.join(lines).encode() + body + nul


class Session:
    """Speaks one version. Messages that come while a receipt is waited for are kept."""

    def __init__(self, address, version, **headers):
        self.version = version
        self.wire = Wire(address)
        self._numbers = itertools.count(1)
        self.kept = []
        # A 1.0 client knows no accept-version.
        hello = {} if version == "1.0" else {"accept-version": version, "host": "example"}
        self.post("CONNECT", {**hello, **headers})
        self.connected = self.frame("CONNECTED")

    def post(self, command, headers, body=b"", **form):
        self.wire.send(encode(command, headers, body, **form))

    def frame(self, *commands):
        frame = self.wire.frame()
        if frame.command == b"ERROR" and "ERROR" not in commands:
            raise Refused(frame)
        if commands and frame.command.decode() not in commands:
            raise AssertionError(f"got {frame}, want one of {commands}")
        return frame

    def ask(self, command, headers, body=b""):
        """Sends with a receipt and waits for it."""
        receipt = f"r-{next(self._numbers)}"
        self.post(command, {**headers, "receipt": receipt}, body)
        self.await_receipt(receipt)

    def await_receipt(self, receipt):
        while True:
            frame = self.frame("RECEIPT", "MESSAGE")
            if frame.command == b"MESSAGE":
                self.kept.append(frame)
            elif frame.headers["receipt-id"] == receipt:
                return
            else:
                raise AssertionError(f"got {frame}, want the receipt {receipt}")

    def send(self, destination, body, **headers):
        self.ask("SEND", {"destination": destination, **headers}, body.encode() if isinstance(body, str) else body)

    def subscribe(self, destination, id=None, **headers):
        """In 1.0 a subscription needs no id; its destination is it then."""
        if id is None and self.version != "1.0":
            id = f"s-{next(self._numbers)}"
        self.ask("SUBSCRIBE", {"destination": destination, **({"id": id} if id else {}), **headers})
        return id or destination

    def unsubscribe(self, id):
        self.ask("UNSUBSCRIBE", {"destination": id} if self.version == "1.0" else {"id": id})

    def message(self, subscription=None):
        """The next message, kept or coming."""
        frame = self.kept.pop(0) if self.kept else self.frame("MESSAGE")
        if subscription is not None and frame.headers["subscription"] != subscription:
            raise AssertionError(f"got {frame}, want a message of subscription {subscription}")
        return frame

    def bodies(self, count):
        return [self.message().body.decode() for _ in range(count)]

    def names(self, message):
        """How an ACK or NACK names a message in this version."""
        headers = message.headers
        return {
            "1.0": lambda: {"message-id": headers["message-id"]},
            "1.1": lambda: {"message-id": headers["message-id"], "subscription": headers["subscription"]},
            "1.2": lambda: {"id": headers["ack"]},
        }[self.version]()

    def ack(self, message, **headers):
        self.ask("ACK", {**self.names(message), **headers})

    def nack(self, message, **headers):
        self.ask("NACK", {**self.names(message), **headers})

    def close(self):
        """DISCONNECT and the end. With its receipt: all that was sent before has been handled."""
        self.ask("DISCONNECT", {})
        self.wire.at_end()
        self.wire.close()

    def drop(self):
        self.wire.close()
