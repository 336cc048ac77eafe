// Queues: each message to one subscription; what an acknowledgement, its absence and a refusal do.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startBroker } from '../harness/broker.js';
import { connect, transports } from '../harness/session.js';

let broker;
before(async () => {
  broker = await startBroker();
});
after(() => broker?.stop());

for (const transport of transports) {
  describe(`queues over ${transport}`, () => {
    const name = suffix => `/queue/${transport}.${suffix}`;
    const open = () => connect(broker, transport);

    /** Sends the bodies one after the other, each with its receipt. */
    async function fill(destination, ...bodies) {
      const session = await open();
      for (const body of bodies) await session.send(destination, body);
      await session.close();
    }

    /** What a new subscription gets until the marker, which is sent last. */
    async function drain(destination) {
      await fill(destination, 'marker');
      const session = await open();
      const inbox = await session.subscribe(destination, { ack: 'auto' });
      const messages = [];
      for (let message = await inbox.next(); message.body !== 'marker'; message = await inbox.next()) messages.push(message);
      await session.close();
      return messages;
    }

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
      const dead = await session.subscribe(`/queue/dlq.${transport}.reject`);
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
      const dead = await session.subscribe(`/queue/dlq.${transport}.poison`);
      const inbox = await session.subscribe(name('poison'), { ack: 'client-individual' });
      for (let i = 0; i < 5; i++) await session.settle(await inbox.next(), { nack: true });
      const letter = await dead.next();
      assert.equal(letter.headers['dead-letter-reason'], 'max-deliveries');
      assert.equal(letter.headers['delivery-count'], '5');
      await session.close();
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
