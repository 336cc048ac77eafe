"""Transactions: all or nothing, sends and acknowledgements together."""

from session import Refused
from stage import every_way, run_broker


def setUpModule():
    run_broker()


@every_way()
class Transactions:
    title = "transactions"

    def test_take_effect_as_a_whole_at_commit(self):
        session, topic, queue = self.open(), self.name("topic", "t"), self.name("queue", "q")
        from_topic, from_queue = session.subscribe(topic), session.subscribe(queue)
        tx = session.begin()
        session.send(topic, "inside 1", transaction=tx)
        session.send(queue, "inside 2", transaction=tx)
        session.send(topic, "outside")
        self.assertEqual(from_topic.next().body, "outside")  # nothing of the transaction before it
        session.commit(tx)
        message = from_topic.next()
        self.assertEqual(message.body, "inside 1")
        self.assertNotIn("transaction", message.headers)
        self.assertEqual(from_queue.next().body, "inside 2")
        session.close()

    def test_leave_nothing_behind_at_abort(self):
        session, queue = self.open(), self.name("queue", "q")
        tx = session.begin()
        session.send(queue, "never", transaction=tx)
        session.abort(tx)
        session.close()
        self.assertEqual(self.left(queue), [])

    def test_end_with_their_session(self):
        session, queue = self.open(), self.name("queue", "q")
        tx = session.begin()
        session.send(queue, "never", transaction=tx)
        session.drop()
        self.assertEqual(self.left(queue), [])

    def test_settle_a_message_and_send_its_answer_at_once(self):
        session, orders, answers = self.open(), self.name("queue", "orders"), self.name("queue", "answers")
        inbox = session.subscribe(answers)
        session.send(orders, "order")
        order = session.subscribe(orders, ack="client-individual").next()
        tx = session.begin()
        session.ack(order, transaction=tx)
        session.send(answers, "done", transaction=tx)
        session.commit(tx)
        self.assertEqual(inbox.bodies(1), ["done"])
        session.close()
        self.assertEqual(self.left(orders), [])

    def test_give_a_message_back_when_its_ack_was_aborted(self):
        session, queue = self.open(), self.name("queue", "q")
        session.send(queue, "order")
        inbox = session.subscribe(queue, ack="client-individual")
        tx = session.begin()
        session.ack(inbox.next(), transaction=tx)
        session.abort(tx)
        session.close()
        self.assertEqual([(m.body, m.headers["redelivered"]) for m in self.left(queue)], [("order", "true")])

    def test_commit_of_an_unknown_one_is_an_error_that_closes(self):
        session = self.open()
        with self.assertRaises(Refused) as refused:
            session.commit("never-begun")
        self.assertEqual(refused.exception.code, "unknown-transaction")
        session.await_end()
