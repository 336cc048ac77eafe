// NACK, which 1.0 does not have: the message comes again, or goes to the dead letters.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startBroker } from '../harness/broker.js';
import { drainQueue, fillQueue } from '../harness/queue.js';
import { connect, ways } from '../harness/session.js';

let broker;
before(async () => {
  broker = await startBroker();
});
after(() => broker?.stop());

for (const way of ways.filter(({ version }) => version !== '1.0')) {
  describe(`refusals over ${way.title}`, () => {
    const name = suffix => `/queue/${way.name}.${suffix}`;
    const open = () => connect(broker, way);
    const fill = (destination, ...bodies) => fillQueue(broker, way, destination, ...bodies);
    const drain = destination => drainQueue(broker, way, destination);

    it('give a refused message again, counted', async () => {
      await fill(name('nack'), 'one');
      const session = await open();
      const inbox = await session.subscribe(name('nack'), { ack: 'client-individual' });
      const first = await inbox.next();
      assert.equal(first.headers.redelivered, undefined);
      await session.settle(first, { nack: true });
      const second = await inbox.next();
      assert.equal(second.body, 'one');
      assert.equal(second.headers.redelivered, 'true');
      assert.equal(second.headers['delivery-count'], '2');
      await session.settle(second);
      await session.close();
      assert.deepEqual(await drain(name('nack')), []);
    });

    it('move a rejected message to the dead letters', async () => {
      await fill(name('reject'), 'poison');
      const session = await open();
      const dead = await session.subscribe(`/queue/dlq.${way.name}.reject`);
      const inbox = await session.subscribe(name('reject'), { ack: 'client-individual' });
      await session.settle(await inbox.next(), { nack: true, requeue: 'false' });
      const letter = await dead.next();
      assert.equal(letter.body, 'poison');
      assert.equal(letter.headers['dead-letter-destination'], name('reject'));
      assert.ok(letter.headers['dead-letter-reason'], 'dead-letter-reason');
      await session.close();
      assert.deepEqual(await drain(name('reject')), []);
    });

    it('move a message to the dead letters after five refusals', async () => {
      await fill(name('poison'), 'poison');
      const session = await open();
      const dead = await session.subscribe(`/queue/dlq.${way.name}.poison`);
      const inbox = await session.subscribe(name('poison'), { ack: 'client-individual' });
      for (let i = 0; i < 5; i++) await session.settle(await inbox.next(), { nack: true });
      const letter = await dead.next();
      assert.equal(letter.headers['dead-letter-reason'], 'max-deliveries');
      assert.equal(letter.headers['delivery-count'], '5');
      await session.close();
    });
  });
}
