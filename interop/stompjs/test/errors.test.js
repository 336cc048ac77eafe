// Errors: what is refused, by name, and what stays open.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startBroker } from '../harness/broker.js';
import { connect, ways, within } from '../harness/session.js';

let broker;
before(async () => {
  broker = await startBroker();
});
after(() => broker?.stop());

for (const way of ways) {
  describe(`errors over ${way.title}`, () => {
    it('name an option that is not supported, and the receipt of the frame', async () => {
      const session = await connect(broker, way);
      const inbox = session.subscribe(`/queue/${way.name}.browse`, { browser: 'true' });
      await assert.rejects(inbox, /unsupported-header/);
      const frame = await session.failed;
      assert.equal(frame.headers['content-type'], 'text/plain');
      assert.ok(frame.headers['receipt-id'], 'receipt-id');
      assert.ok(frame.headers.message, 'message');
      assert.ok(frame.body.length > 0, 'a body that says what to do');
      await session.drop();
    });

    it('refuse a destination of no known kind', async () => {
      const session = await connect(broker, way);
      await assert.rejects(session.send('/nowhere/at/all', 'x'), /invalid-destination/);
      await session.drop();
    });

    it('refuse wildcards in SEND', async () => {
      const session = await connect(broker, way);
      await assert.rejects(session.send('/topic/a.*', 'x'), /invalid-destination/);
      await session.drop();
    });

    it('close after a protocol fault, with the ERROR first', async () => {
      const session = await connect(broker, way);
      session.client.publish({ destination: '/topic/x', body: 'x', headers: { transaction: 'never-begun', receipt: 'r' } });
      const frame = await within(session.failed, 'ERROR');
      assert.equal(frame.headers['error-code'], 'unknown-transaction');
      await within(session.closed, 'end of the connection');
    });

    it('answer DISCONNECT with its receipt', async () => {
      const session = await connect(broker, way);
      const disconnected = new Promise(resolve => {
        session.client.onDisconnect = resolve;
      });
      await session.close();
      assert.match((await disconnected).headers['receipt-id'], /^close-/);
    });
  });
}
