// Queues: each message to one subscription; what an acknowledgement, its absence and a refusal do.

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

for (const way of ways) {
  describe(`queues over ${way.title}`, () => {
    const name = suffix => `/queue/${way.name}.${suffix}`;
    const open = () => connect(broker, way);

    const fill = (destination, ...bodies) => fillQueue(broker, way, destination, ...bodies);
    const drain = destination => drainQueue(broker, way, destination);

    it('keep messages until somebody subscribes; the receipt of SUBSCRIBE comes first', async () => {
      await fill(name('waiting'), 'one', 'two');
      const session = await open();
      const inbox = await session.subscribe(name('waiting'));
      assert.deepEqual(await inbox.bodies(2), ['one', 'two']);
      assert.equal(inbox.beforeReceipt, 0, 'messages before the receipt of SUBSCRIBE');
      await session.close();
    });

    it('give each message to one subscription, to all of them fairly', async () => {
      const sessions = [await open(), await open()];
      const inboxes = await Promise.all(sessions.map(session => session.subscribe(name('shared'), { ack: 'client-individual' })));
      const sent = Array.from({ length: 10 }, (_, i) => `message ${i}`);
      await fill(name('shared'), ...sent);
      const got = await Promise.all(inboxes.map(inbox => inbox.bodies(sent.length / 2)));
      assert.deepEqual(got.flat().sort(), sent);
      await Promise.all(sessions.map(session => session.close()));
    });

    it('in auto settle what the socket took', async () => {
      await fill(name('auto'), 'one', 'two');
      const session = await open();
      const inbox = await session.subscribe(name('auto'), { ack: 'auto' });
      const message = await inbox.next();
      assert.equal(message.headers.ack, undefined);
      await inbox.next();
      await session.close();
      assert.deepEqual(await drain(name('auto')), []);
    });

    it('in client settle all up to the acknowledged message', async () => {
      await fill(name('client'), 'one', 'two', 'three');
      const session = await open();
      const inbox = await session.subscribe(name('client'), { ack: 'client' });
      await inbox.next();
      const second = await inbox.next();
      await inbox.next();
      await session.settle(second);
      await session.close();
      const left = await drain(name('client'));
      assert.deepEqual(left.map(message => message.body), ['three']);
      assert.equal(left[0].headers.redelivered, 'true');
    });

    it('in client-individual settle the acknowledged message alone; the others keep their places', async () => {
      await fill(name('individual'), 'one', 'two', 'three');
      const session = await open();
      const inbox = await session.subscribe(name('individual'), { ack: 'client-individual' });
      await inbox.next();
      const second = await inbox.next();
      await inbox.next();
      await session.settle(second);
      await session.drop();
      const left = await drain(name('individual'));
      assert.deepEqual(left.map(message => message.body), ['one', 'three']);
      assert.deepEqual(left.map(message => message.headers.redelivered), ['true', 'true']);
    });

    it('hand out no more than the credit', async () => {
      await fill(name('credit'), 'one', 'two', 'three');
      const [small, other] = [await open(), await open()];
      const first = await small.subscribe(name('credit'), { ack: 'client-individual', 'prefetch-count': '1' });
      const held = await first.next();
      const second = await other.subscribe(name('credit'), { ack: 'client-individual' });
      assert.deepEqual([held.body, ...(await second.bodies(2))], ['one', 'two', 'three']);
      await Promise.all([small.close(), other.close()]);
    });

    it('answer a stale ACK that asks for a receipt with delivery-gone, and stay open', async () => {
      await fill(name('stale'), 'one');
      const session = await open();
      const inbox = await session.subscribe(name('stale'), { ack: 'client-individual' });
      const message = await inbox.next();
      await session.settle(message);
      await assert.rejects(session.settle(message), /delivery-gone/);
      message.ack(); // without a receipt it is ignored
      const receipt = new Promise(resolve => session.client.watchForReceipt('still-open', resolve));
      session.client.publish({ destination: name('stale'), body: 'two', headers: { receipt: 'still-open' } });
      await receipt;
      assert.equal((await inbox.next()).body, 'two');
      await session.drop();
    });
  });
}
