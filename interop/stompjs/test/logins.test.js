// Logins: who may come in with --auth users.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startBroker } from '../harness/broker.js';
import { connect, ways } from '../harness/session.js';

// alice may log in with "open sesame"; a cheap hash, as it guards nothing.
const users = 'alice:$2a$04$4x1eYCDhuQoMy/.VCmQlzu.HMt4u6aAq3VQ6LNtCA.57iZa9ySX96\n';

let broker;
let dir;
before(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'stampede-stompjs-'));
  await writeFile(path.join(dir, 'users'), users);
  broker = await startBroker({ args: ['--auth=users', `--users-file=${path.join(dir, 'users')}`] });
});
after(async () => {
  await broker?.stop();
  await rm(dir, { recursive: true, force: true });
});

for (const way of ways) {
  describe(`logins over ${way.title}`, () => {
    it('with the right passcode are taken', async () => {
      const session = await connect(broker, way, { connectHeaders: { login: 'alice', passcode: 'open sesame' } });
      const inbox = await session.subscribe('/user/queue/notes');
      await session.send('/user/alice/queue/notes', 'hello');
      assert.deepEqual(await inbox.bodies(1), ['hello']);
      await session.close();
    });

    for (const [what, connectHeaders] of [
      ['with a wrong passcode', { login: 'alice', passcode: 'open barley' }],
      ['of unknown users', { login: 'cassim', passcode: 'open sesame' }],
      ['without a name', {}],
    ]) {
      it(`${what} are refused`, async () => {
        await assert.rejects(connect(broker, way, { connectHeaders }), /authentication-failed/);
      });
    }
  });
}
