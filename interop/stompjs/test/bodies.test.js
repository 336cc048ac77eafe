// Bodies: any bytes, up to the limit, whole or in pieces.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startBroker } from '../harness/broker.js';
import { connect, ways } from '../harness/session.js';

const MiB = 1 << 20;

let broker;
before(async () => {
  broker = await startBroker();
});
after(() => broker?.stop());

for (const way of ways) {
  describe(`bodies over ${way.title}`, () => {
    const name = suffix => `/topic/${way.name}.body.${suffix}`;

    it('carry every byte, NUL among them', async () => {
      const session = await connect(broker, way);
      const inbox = await session.subscribe(name('bytes'));
      const body = Uint8Array.from({ length: 512 }, (_, i) => i % 256);
      await session.send(name('bytes'), body, { 'content-type': 'application/octet-stream' });
      const message = await inbox.next();
      assert.equal(message.headers['content-length'], '512');
      assert.deepEqual(Buffer.from(message.binaryBody), Buffer.from(body));
      await session.close();
    });

    it('may be empty', async () => {
      const session = await connect(broker, way);
      const inbox = await session.subscribe(name('empty'));
      await session.send(name('empty'), '');
      const message = await inbox.next();
      assert.equal(message.body, '');
      assert.equal(message.headers['content-length'], '0');
      await session.close();
    });

    for (const [what, options] of [
      ['whole', {}],
      ['in pieces', { splitLargeFrames: true }],
      ['in binary frames', { forceBinaryWSFrames: true }],
    ]) {
      it(`of 1 MiB come as they were sent, ${what}`, async () => {
        const session = await connect(broker, way, options);
        const destination = name(`large.${what.replace(/ /g, '-')}`);
        const inbox = await session.subscribe(destination);
        const body = 'abcdefgh'.repeat(MiB / 8);
        await session.send(destination, body);
        const message = await inbox.next();
        assert.equal(message.headers['content-length'], String(MiB));
        assert.ok(message.body === body, 'the body changed on its way'); // not equal(): a diff of 1 MiB helps nobody
        await session.close();
      });
    }

    it('above the limit are refused with an ERROR that arrives', async () => {
      // A session over TCP counts as a service account here and may send 16 MiB; one over WebSocket 1 MiB.
      const limit = way.transport === 'tcp' ? 16 * MiB : MiB;
      const session = await connect(broker, way);
      await assert.rejects(session.send(name('too-large'), 'x'.repeat(limit + 1)), /body-too-large|frame-too-large/);
      await session.closed;
    });
  });
}
