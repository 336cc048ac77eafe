// Transactions: all or nothing, sends and acknowledgements together.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startBroker } from '../harness/broker.js';
import { connect, ways } from '../harness/session.js';

let broker;
before(async () => {
  broker = await startBroker();
});
after(() => broker?.stop());

for (const way of ways) {
  describe(`transactions over ${way.title}`, () => {
    const queue = suffix => `/queue/${way.name}.tx.${suffix}`;
    const topic = suffix => `/topic/${way.name}.tx.${suffix}`;

    it('take effect as a whole at COMMIT', async () => {
      const session = await connect(broker, way);
      const fromTopic = await session.subscribe(topic('commit'));
      const fromQueue = await session.subscribe(queue('commit'));
      const { id, commit } = session.client.begin();
      await session.send(topic('commit'), 'inside 1', { transaction: id });
      await session.send(queue('commit'), 'inside 2', { transaction: id });
      await session.send(topic('commit'), 'outside');
      assert.equal((await fromTopic.next()).body, 'outside'); // nothing of the transaction before it
      commit();
      const message = await fromTopic.next();
      assert.equal(message.body, 'inside 1');
      assert.equal(message.headers.transaction, undefined);
      assert.equal((await fromQueue.next()).body, 'inside 2');
      await session.close();
    });

    it('leave nothing behind at ABORT', async () => {
      const session = await connect(broker, way);
      const inbox = await session.subscribe(queue('abort'));
      const { id, abort } = session.client.begin();
      await session.send(queue('abort'), 'never', { transaction: id });
      abort();
      await session.send(queue('abort'), 'marker');
      assert.equal((await inbox.next()).body, 'marker');
      await session.close();
    });

    it('end with their session', async () => {
      const first = await connect(broker, way);
      const { id } = first.client.begin();
      await first.send(queue('lost'), 'never', { transaction: id });
      await first.drop();
      const second = await connect(broker, way);
      const inbox = await second.subscribe(queue('lost'));
      await second.send(queue('lost'), 'marker');
      assert.equal((await inbox.next()).body, 'marker');
      await second.close();
    });

    it('settle a message and send its answer at once', async () => {
      const session = await connect(broker, way);
      const answers = await session.subscribe(queue('answers'));
      await session.send(queue('orders'), 'order');
      const orders = await session.subscribe(queue('orders'), { ack: 'client-individual' });
      const order = await orders.next();
      const { id, commit } = session.client.begin();
      await session.settle(order, { transaction: id });
      await session.send(queue('answers'), 'done', { transaction: id });
      commit();
      assert.equal((await answers.next()).body, 'done');
      await session.unsubscribe(orders);

      const later = await session.subscribe(queue('orders'));
      await session.send(queue('orders'), 'marker');
      assert.equal((await later.next()).body, 'marker'); // the order was settled
      await session.close();
    });

    it('give a message back when its ACK was aborted', async () => {
      const session = await connect(broker, way);
      await session.send(queue('unacked'), 'order');
      const orders = await session.subscribe(queue('unacked'), { ack: 'client-individual' });
      const { id, abort } = session.client.begin();
      await session.settle(await orders.next(), { transaction: id });
      abort();
      await session.unsubscribe(orders);
      const again = await (await session.subscribe(queue('unacked'))).next();
      assert.equal(again.body, 'order');
      assert.equal(again.headers.redelivered, 'true');
      await session.close();
    });
  });
}
