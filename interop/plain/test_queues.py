"""Queues: how a subscription and a message are named in each version, and what an acknowledgement, its absence and a refusal do."""

from session import Refused
from stage import every_version, run_broker


def setUpModule():
    run_broker()


@every_version()
class Queues:
    title = "queues"

    def settle_second(self, queue, mode):
        """Fills the queue with three messages, takes them in the mode, acknowledges the second and loses the session."""
        self.fill(queue, "one", "two", "three")
        session = self.open()
        session.subscribe(queue, ack=mode)
        messages = [session.message() for _ in range(3)]
        self.assertEqual([message.body for message in messages], [b"one", b"two", b"three"])
        session.ack(messages[1])
        session.drop()

    def assert_left(self, queue, *bodies):
        left = self.left(queue)
        self.assertEqual([message.body.decode() for message in left], list(bodies))
        for message in left:
            self.assertEqual(message.headers.get("redelivered"), "true", repr(message))

    def test_name_the_subscription_in_their_messages(self):
        queue, session = self.name("queue", "q"), self.open()
        id = session.subscribe(queue)
        self.assertEqual(id, queue if self.version == "1.0" else "s-1")
        session.send(queue, "x")
        session.message(subscription=id)
        session.close()

    def test_keep_messages_until_somebody_subscribes_and_receipt_first(self):
        queue = self.name("queue", "q")
        self.fill(queue, "one", "two")
        session = self.open()
        session.subscribe(queue)
        self.assertEqual(session.kept, [], "messages before the receipt of SUBSCRIBE")
        self.assertEqual(session.bodies(2), ["one", "two"])
        session.close()

    def test_share_messages_among_subscriptions(self):
        queue, sessions = self.name("queue", "q"), [self.open(), self.open()]
        for session in sessions:
            session.subscribe(queue, ack="client")
        sent = [f"message {i}" for i in range(10)]
        self.fill(queue, *sent)
        self.assertEqual(sorted(body for session in sessions for body in session.bodies(5)), sent)
        for session in sessions:
            session.close()

    def test_auto_settles_what_the_socket_took(self):
        queue = self.name("queue", "q")
        self.fill(queue, "one", "two")
        session = self.open()
        session.subscribe(queue)
        self.assertNotIn("ack", session.message().headers)
        session.message()
        session.close()
        self.assert_left(queue)

    def test_client_settles_all_up_to_the_acknowledged_message(self):
        queue = self.name("queue", "q")
        self.settle_second(queue, "client")
        self.assert_left(queue, "three")

    def test_client_individual_settles_the_acknowledged_message_alone(self):
        queue = self.name("queue", "q")
        self.settle_second(queue, "client-individual")
        self.assert_left(queue, "one", "three")

    def test_give_back_what_unsubscribe_left_unsettled(self):
        queue, session = self.name("queue", "q"), self.open()
        session.send(queue, "one")
        id = session.subscribe(queue, ack="client")
        session.message()
        session.unsubscribe(id)
        self.assert_left(queue, "one")
        session.close()

    def test_stale_ack_is_delivery_gone_with_a_receipt_and_ignored_without(self):
        queue, session = self.name("queue", "q"), self.open()
        session.send(queue, "one")
        session.subscribe(queue, ack="client")
        message = session.message()
        session.ack(message)
        session.post("ACK", session.names(message))
        with self.assertRaises(Refused) as refused:
            session.ack(message)
        self.assertEqual(refused.exception.code, "delivery-gone")
        session.close()

    def test_ack_that_names_no_message_is_an_error(self):
        session = self.open()
        session.post("ACK", {"1.0": {}, "1.1": {"message-id": "1-0-1"}, "1.2": {"message-id": "1-0-1", "subscription": "1"}}[self.version])
        self.assert_error(session, "missing-header")
        self.assertEqual(session.wire.at_end(), [])


@every_version("1.0")
class QueuesOf10:
    title = "the queues of 1.0"

    def test_may_have_an_id_and_be_left_by_it(self):
        queue, session = self.name("queue", "q"), self.open()
        session.subscribe(queue, id="mine")
        session.send(queue, "x")
        session.message(subscription="mine")
        session.ask("UNSUBSCRIBE", {"id": "mine"})
        session.close()

    def test_two_subscriptions_without_ids_are_told_apart_by_destination(self):
        one, two, session = self.name("queue", "one"), self.name("queue", "two"), self.open()
        session.subscribe(one)
        session.subscribe(two)
        session.send(two, "x")
        session.message(subscription=two)
        session.unsubscribe(two)
        session.send(two, "waits")
        session.send(one, "y")
        session.message(subscription=one)
        session.close()
        self.assertEqual([message.body for message in self.left(two)], [b"waits"])

    def test_know_no_nack(self):
        queue, session = self.name("queue", "q"), self.open()
        session.send(queue, "x")
        session.subscribe(queue, ack="client")
        with self.assertRaises(Refused) as refused:
            session.nack(session.message())
        self.assertEqual(refused.exception.code, "unknown-command")


@every_version("1.1", "1.2")
class QueuesSince11:
    title = "refusals"

    def test_subscribe_without_an_id_is_an_error_that_closes(self):
        session = self.open()
        session.post("SUBSCRIBE", {"destination": self.name("queue", "q")})
        self.assert_error(session, "missing-header")
        self.assertEqual(session.wire.at_end(), [])

    def test_an_id_twice_is_an_error_that_closes(self):
        session = self.open()
        session.subscribe(self.name("queue", "one"), id="0")
        session.post("SUBSCRIBE", {"destination": self.name("queue", "two"), "id": "0"})
        self.assert_error(session, "duplicate-subscription")
        self.assertEqual(session.wire.at_end(), [])

    def test_nack_gives_the_message_again(self):
        queue, session = self.name("queue", "q"), self.open()
        session.send(queue, "one")
        session.subscribe(queue, ack="client-individual")
        session.nack(session.message())
        again = session.message()
        self.assertEqual((again.headers["redelivered"], again.headers["delivery-count"]), ("true", "2"))
        session.ack(again)
        session.close()
        self.assertEqual(self.left(queue), [])

    def test_nack_without_requeue_moves_the_message_to_the_dead_letters(self):
        queue, session = self.name("queue", "q"), self.open()
        session.send(queue, "poison")
        session.subscribe(queue, ack="client")
        session.nack(session.message(), requeue="false")
        dead = session.subscribe(queue.replace("/queue/", "/queue/dlq."))
        letter = session.message(subscription=dead)
        self.assertEqual((letter.body, letter.headers["dead-letter-destination"], letter.headers["dead-letter-reason"]), (b"poison", queue, "rejected"))
        session.close()
