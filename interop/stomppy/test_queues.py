"""Queues: each message to one subscription; what an acknowledgement, its absence and a refusal do."""

from session import WAYS, Refused
from stage import every_way, run_broker


def setUpModule():
    run_broker()


@every_way()
class Queues:
    title = "queues"

    def settle_second(self, queue, mode):
        """Fills the queue with three messages, takes them in the mode, acknowledges the second and loses the session."""
        self.fill(queue, "one", "two", "three")
        session = self.open()
        inbox = session.subscribe(queue, ack=mode)
        messages = inbox.take(3)
        self.assertEqual([message.body for message in messages], ["one", "two", "three"])
        if mode != "auto":
            session.ack(messages[1])
        session.drop()

    def assert_left(self, queue, *bodies):
        left = self.left(queue)
        self.assertEqual([message.body for message in left], list(bodies))
        for message in left:
            self.assertEqual(message.headers.get("redelivered"), "true", f"redelivered of {message.body}")

    def test_keep_messages_until_somebody_subscribes_and_receipt_first(self):
        queue = self.name("queue", "q")
        self.fill(queue, "one", "two")
        session = self.open()
        inbox = session.subscribe(queue)
        self.assertEqual(inbox.bodies(2), ["one", "two"])
        self.assertEqual(inbox.early, 0, "messages before the receipt of SUBSCRIBE")
        session.close()

    def test_share_messages_among_subscriptions(self):
        queue = self.name("queue", "q")
        sessions = [self.open(), self.open()]
        inboxes = [session.subscribe(queue, ack="client-individual") for session in sessions]
        sent = [f"message {i}" for i in range(10)]
        self.fill(queue, *sent)
        got = [body for inbox in inboxes for body in inbox.bodies(len(sent) // 2)]
        self.assertEqual(sorted(got), sent)
        for session in sessions:
            session.close()

    def test_auto_settles_what_the_socket_took(self):
        queue = self.name("queue", "q")
        self.fill(queue, "one", "two")
        session = self.open()
        message = session.subscribe(queue).take(2)[0]
        self.assertNotIn("ack", message.headers)
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
        queue = self.name("queue", "q")
        self.fill(queue, "one", "two")
        session = self.open()
        inbox = session.subscribe(queue, ack="client")
        session.ack(inbox.take(2)[0])
        session.unsubscribe(inbox)
        self.assert_left(queue, "two")
        session.close()

    def test_stale_ack_is_delivery_gone_and_the_session_stays(self):
        queue, session = self.name("queue", "q"), self.open()
        session.send(queue, "one")
        inbox = session.subscribe(queue, ack="client-individual")
        message = inbox.next()
        session.ack(message)
        with self.assertRaises(Refused) as refused:
            session.ack(message)
        self.assertEqual(refused.exception.code, "delivery-gone")
        session.send(queue, "two")
        session.ack(inbox.next())
        session.close()

    def test_prefetch_count_bounds_what_is_unsettled(self):
        queue, session = self.name("queue", "q"), self.open()
        inbox = session.subscribe(queue, ack="client-individual", **{"prefetch-count": "1"})
        for body in ("one", "two"):
            session.send(queue, body)
        first = inbox.next()
        other = session.subscribe(queue, ack="client-individual")
        self.assertEqual(other.bodies(1), ["two"])  # the first subscription has no credit for it
        session.ack(first)
        session.send(queue, "three")
        session.close()


@every_way([way for way in WAYS if way[1] != "1.0"])
class Refusals:
    title = "refusals"

    def test_nack_gives_the_message_again(self):
        queue, session = self.name("queue", "q"), self.open()
        session.send(queue, "one")
        inbox = session.subscribe(queue, ack="client-individual")
        session.nack(inbox.next())
        again = inbox.next()
        self.assertEqual((again.body, again.headers["redelivered"], again.headers["delivery-count"]), ("one", "true", "2"))
        session.ack(again)
        session.close()
        self.assertEqual(self.left(queue), [])

    def test_nack_without_requeue_moves_the_message_to_the_dead_letters(self):
        queue, session = self.name("queue", "q"), self.open()
        dead = session.subscribe(queue.replace("/queue/", "/queue/dlq."))
        session.send(queue, "poison")
        inbox = session.subscribe(queue, ack="client-individual")
        session.nack(inbox.next(), requeue="false")
        letter = dead.next()
        self.assertEqual(letter.body, "poison")
        self.assertEqual(letter.headers["dead-letter-destination"], queue)
        self.assertEqual(letter.headers["dead-letter-reason"], "rejected")
        session.close()

    def test_five_nacks_move_the_message_to_the_dead_letters(self):
        queue, session = self.name("queue", "q"), self.open()
        dead = session.subscribe(queue.replace("/queue/", "/queue/dlq."))
        session.send(queue, "poison")
        inbox = session.subscribe(queue, ack="client-individual")
        for _ in range(5):
            session.nack(inbox.next())
        letter = dead.next()
        self.assertEqual((letter.headers["dead-letter-reason"], letter.headers["delivery-count"]), ("max-deliveries", "5"))
        session.close()
