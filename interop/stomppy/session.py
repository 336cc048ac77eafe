"""One stomp.py session with calls that wait: connect, send with a receipt, subscribe to an inbox, settle."""

import itertools
import queue
import threading
import time

import stomp

WAIT_SECONDS = 60  # longer than anything here takes on a busy machine; a test that waits it out has failed

# The ways to the broker. stomp.py's WebSocket speaks 1.2 alone.
WAYS = (("tcp", "1.0"), ("tcp", "1.1"), ("tcp", "1.2"), ("websocket", "1.2"))
CONNECTIONS = {
    ("tcp", "1.0"): stomp.StompConnection10,
    ("tcp", "1.1"): stomp.StompConnection11,
    ("tcp", "1.2"): stomp.StompConnection12,
    ("websocket", "1.2"): stomp.WSStompConnection,
}


class Refused(Exception):
    """An ERROR frame came in place of what was waited for."""

    def __init__(self, frame):
        super().__init__(f"ERROR {frame.headers.get('error-code')}: {frame.headers.get('message')}: {frame.body}")
        self.frame = frame
        self.code = frame.headers.get("error-code")


class Lost(Exception):
    """The connection ended before what was waited for came."""


class Waiter:
    """The answer to one frame."""

    def __init__(self, what):
        self.what = what
        self._answered = threading.Event()
        self._answer = None

    def put(self, answer):
        self._answer = answer
        self._answered.set()

    def wait(self):
        if not self._answered.wait(WAIT_SECONDS):
            raise AssertionError(f"no answer to {self.what} within {WAIT_SECONDS} s")
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


class Inbox:
    """What came to one subscription, in order."""

    def __init__(self, destination, id):
        self.destination, self.id = destination, id
        self.early = 0  # messages before the receipt of SUBSCRIBE
        self.receipted = False
        self._messages = queue.Queue()

    def put(self, message):
        self.early += not self.receipted
        self._messages.put(message)

    def next(self):
        try:
            return self._messages.get(timeout=WAIT_SECONDS)
        except queue.Empty:
            raise AssertionError(f"no message from {self.destination} within {WAIT_SECONDS} s") from None

    def wait(self):
        """The next message, however long it takes."""
        return self._messages.get()

    def so_far(self):
        """What has come and was not taken."""
        return list(self._messages.queue)

    def take(self, count):
        return [self.next() for _ in range(count)]

    def bodies(self, count):
        return [message.body for message in self.take(count)]


class Session(stomp.ConnectionListener):
    """Opens a connection to the first of the hosts that answers. Options are stomp.py's own, of the connection's class."""

    def __init__(self, hosts, way=("tcp", "1.2"), login=None, passcode=None, connect_headers=None, again=None, listeners=None, **options):
        self.way, self.version = way, way[1]
        self.connected = None  # the CONNECTED frame
        self._connected = threading.Event()
        self.errors = queue.Queue()
        self.beats = queue.Queue()
        self.ended = threading.Event()
        self._credentials = {"username": login, "passcode": passcode, "headers": connect_headers}
        self._again = again  # called with the session when it has come back after its connection was lost; None: it stays away
        self._coming_back = threading.Event()
        self._goodbye = None  # the receipt of DISCONNECT
        self._numbers = itertools.count(1)
        self._waiters, self.inboxes, self._lock = {}, {}, threading.Lock()
        if way[0] == "websocket":
            options = {"ws_path": "/ws", **options}
        # stomp.py's own default is to sort localhost first, which is no change here, and three attempts a host.
        self.connection = CONNECTIONS[way](list(hosts), **options)
        for name, listener in {"session": self, **(listeners or {})}.items():
            self.connection.set_listener(name, listener)
        self.open()

    def open(self):
        self._connected.clear()
        self.connection.connect(wait=True, **{k: v for k, v in self._credentials.items() if v is not None})
        if not self._connected.wait(WAIT_SECONDS):  # stomp.py goes on before its listeners have been told
            raise AssertionError(f"no CONNECTED within {WAIT_SECONDS} s")

    # What stomp.py's thread calls.

    def on_connected(self, frame):
        self.connected = frame
        self._connected.set()

    def on_heartbeat(self):
        self.beats.put(True)

    def on_message(self, frame):
        self.inboxes[frame.headers["subscription"]].put(frame)

    def on_receipt(self, frame):
        with self._lock:
            waiter, inbox = self._waiters.pop(frame.headers["receipt-id"], (None, None))
        if inbox:
            inbox.receipted = True
        if waiter:
            waiter.put(frame)

    def on_error(self, frame):
        self.errors.put(frame)
        with self._lock:
            refused = self._waiters.pop(frame.headers.get("receipt-id"), None)
        if refused:
            refused[0].put(Refused(frame))

    def on_disconnected(self):
        with self._lock:
            # stomp.py tells of the end that the receipt of DISCONNECT makes before it tells of that receipt.
            lost = {receipt: waiter for receipt, waiter in self._waiters.items() if receipt != self._goodbye}
            self._waiters = {receipt: waiter for receipt, waiter in self._waiters.items() if receipt == self._goodbye}
        for waiter, _ in lost.values():
            waiter.put(Lost(f"{waiter.what}: the connection has ended"))
        if not self._again:
            self.ended.set()
        elif not self._coming_back.is_set():
            self._coming_back.set()
            threading.Thread(target=self._come_back, daemon=True).start()

    def _come_back(self):
        """Has stomp.py go through its hosts until one takes the session: a node that is dying takes connections to its end."""
        deadline = time.monotonic() + WAIT_SECONDS
        while self._again and time.monotonic() < deadline:
            try:
                self.open()
                break
            except stomp.exception.StompException:  # stomp.py has paused between its attempts
                continue
        self._coming_back.clear()
        if self._again:
            self._again(self)

    # What a test calls.

    def post(self, destination, body, content_type="text/plain", **headers):
        """Sends with a receipt that is not waited for here."""
        receipt, waiter = self._receipt(f"SEND to {destination}")
        self.connection.send(destination, body, content_type=content_type, headers={**headers, "receipt": receipt})
        return waiter

    def send(self, destination, body, content_type="text/plain", **headers):
        """Sends and waits for the receipt: the message is in the log then."""
        return self.post(destination, body, content_type, **headers).wait()

    def subscribe(self, destination, ack="auto", id=None, **headers):
        """Subscribes and waits for the receipt: whatever is sent from now on will come."""
        inbox = Inbox(destination, id or f"s-{next(self._numbers)}")
        self.inboxes[inbox.id] = inbox
        receipt, waiter = self._receipt(f"SUBSCRIBE to {destination}", inbox)
        self.connection.subscribe(destination, id=inbox.id, ack=ack, headers={**headers, "receipt": receipt})
        waiter.wait()
        return inbox

    def unsubscribe(self, inbox):
        receipt, waiter = self._receipt(f"UNSUBSCRIBE from {inbox.destination}")
        self.connection.unsubscribe(id=inbox.id, headers={"receipt": receipt})
        waiter.wait()

    def answer(self, message, command="ack", **options):
        """ACK or NACK with a receipt that is not waited for here; each version names the message in its own way."""
        receipt, waiter = self._receipt(f"{command} of {message.body!r}")
        headers = message.headers
        names = {
            "1.0": lambda: (headers["message-id"],),
            "1.1": lambda: (headers["message-id"], headers["subscription"]),
            "1.2": lambda: (headers["ack"],),
        }[self.version]()
        getattr(self.connection, command)(*names, receipt=receipt, **options)
        return waiter

    def ack(self, message, **options):
        return self.answer(message, "ack", **options).wait()

    def nack(self, message, **options):
        return self.answer(message, "nack", **options).wait()

    def begin(self):
        return self.connection.begin()

    def commit(self, transaction):
        receipt, waiter = self._receipt("COMMIT")
        self.connection.commit(transaction, receipt=receipt)
        return waiter.wait()

    def abort(self, transaction):
        receipt, waiter = self._receipt("ABORT")
        self.connection.abort(transaction, receipt=receipt)
        return waiter.wait()

    def error(self):
        """The next ERROR frame."""
        try:
            return self.errors.get(timeout=WAIT_SECONDS)
        except queue.Empty:
            raise AssertionError(f"no ERROR within {WAIT_SECONDS} s") from None

    def close(self):
        """DISCONNECT, its receipt, and the end of the connection."""
        self._again = None
        receipt, waiter = self._receipt("DISCONNECT")
        self._goodbye = receipt
        self.connection.disconnect(receipt=receipt)
        waiter.wait()
        self.await_end()

    def drop(self):
        """Ends the connection without a word."""
        self._again = None
        self.connection.transport.disconnect_socket()
        self.await_end()

    def await_end(self):
        if not self.ended.wait(WAIT_SECONDS):
            raise AssertionError(f"the connection has not ended within {WAIT_SECONDS} s")

    def _receipt(self, what, inbox=None):
        receipt, waiter = f"r-{next(self._numbers)}", Waiter(what)
        with self._lock:
            self._waiters[receipt] = (waiter, inbox)
        return receipt, waiter
