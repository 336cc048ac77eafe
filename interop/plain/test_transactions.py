"""Transactions and receipts."""

from session import Refused
from stage import every_version, run_broker


def setUpModule():
    run_broker()


@every_version()
class Transactions:
    title = "transactions"

    def test_take_effect_as_a_whole_at_commit(self):
        session, topic = self.open(), self.name("topic", "t")
        session.subscribe(topic)
        session.ask("BEGIN", {"transaction": "tx1"})
        for body in ("inside 1", "inside 2"):
            session.send(topic, body, transaction="tx1")
        session.send(topic, "outside")
        session.ask("COMMIT", {"transaction": "tx1"})
        self.assertEqual(session.bodies(3), ["outside", "inside 1", "inside 2"])
        session.close()

    def test_leave_nothing_behind_at_abort_nor_at_the_end_of_the_session(self):
        queue = self.name("queue", "q")
        for end in ("ABORT", "DISCONNECT", None):
            session = self.open()
            session.ask("BEGIN", {"transaction": "tx1"})
            session.send(queue, "never", transaction="tx1")
            if end:
                session.ask(end, {"transaction": "tx1"})
            session.drop()
        self.assertEqual(self.left(queue), [])

    def test_settle_a_message_and_send_its_answer_at_once(self):
        orders, answers, session = self.name("queue", "orders"), self.name("queue", "answers"), self.open()
        session.send(orders, "order")
        session.subscribe(orders, ack="client")
        order = session.message()
        session.ask("BEGIN", {"transaction": "tx1"})
        session.ack(order, transaction="tx1")
        session.send(answers, "done", transaction="tx1")
        session.ask("COMMIT", {"transaction": "tx1"})
        session.close()
        self.assertEqual(self.left(orders), [])
        self.assertEqual([message.body for message in self.left(answers)], [b"done"])

    def test_give_a_message_back_when_its_ack_was_aborted(self):
        queue, session = self.name("queue", "q"), self.open()
        session.send(queue, "order")
        session.subscribe(queue, ack="client")
        session.ask("BEGIN", {"transaction": "tx1"})
        session.ack(session.message(), transaction="tx1")
        session.ask("ABORT", {"transaction": "tx1"})
        session.close()
        self.assertEqual([message.headers["redelivered"] for message in self.left(queue)], ["true"])

    def test_unknown_or_begun_twice_are_errors_that_close(self):
        for frames, code in (
            ([("COMMIT", "tx1")], "unknown-transaction"),
            ([("ABORT", "tx1")], "unknown-transaction"),
            ([("BEGIN", "tx1"), ("BEGIN", "tx1")], "duplicate-transaction"),
        ):
            session = self.open()
            for command, transaction in frames:
                session.post(command, {"transaction": transaction})
            self.assert_error(session, code)
            self.assertEqual(session.wire.at_end(), [])


@every_version()
class Receipts:
    title = "receipts"

    def test_answer_every_command_with_one_header_and_no_body(self):
        queue, session = self.name("queue", "q"), self.open()
        subscription = {"destination": queue} if self.version == "1.0" else {"destination": queue, "id": "0"}
        for command, headers in (
            ("SEND", {"destination": queue}),
            ("SUBSCRIBE", {**subscription, "ack": "client"}),
            ("BEGIN", {"transaction": "tx1"}),
            ("COMMIT", {"transaction": "tx1"}),
            ("BEGIN", {"transaction": "tx2"}),
            ("ABORT", {"transaction": "tx2"}),
            ("UNSUBSCRIBE", subscription if self.version == "1.0" else {"id": "0"}),
            ("DISCONNECT", {}),
        ):
            session.post(command, {**headers, "receipt": f"of {command}"})
            frame = session.frame("RECEIPT", "MESSAGE")
            if frame.command == b"MESSAGE":  # came with the subscription
                frame = session.frame("RECEIPT")
            self.assertEqual(frame.raw, f"RECEIPT\nreceipt-id:of {command}\n\n".encode())
        self.assertEqual(session.wire.at_end(), [])

    def test_come_in_the_order_of_the_commands(self):
        session = self.open()
        for i in range(50):
            session.post("SEND", {"destination": self.name("topic", str(i % 3)), "receipt": i}, b"x")
        self.assertEqual([session.frame("RECEIPT").headers["receipt-id"] for _ in range(50)], [str(i) for i in range(50)])
        session.close()

    def test_of_a_refused_send_are_errors_that_name_it_and_leave_a_service_session_open(self):
        session = self.open()
        for destination, code in (("/nowhere/at/all", "invalid-destination"), ("/topic/a.*", "invalid-destination"), ("/topic/server.events", "forbidden-destination")):
            session.post("SEND", {"destination": destination, "receipt": destination}, b"x")
            frame = self.assert_error(session, code)
            self.assertEqual(frame.headers["receipt-id"].replace("\\c", ":"), destination)
        session.send(self.name("topic", "t"), "still here")
        session.close()

    def test_of_an_unknown_command_do_not_come(self):
        session = self.open()
        session.post("BELIEVE", {"receipt": "never"})
        self.assert_error(session, "unknown-command")
        self.assertEqual(session.wire.at_end(), [])
