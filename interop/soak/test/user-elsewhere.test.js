// The node of a user's only session is killed, a message for the user gets its receipt, and the user is back on another node before the cluster
// has given the first up. What no session has taken waits: it has to come. Run: node --test interop/soak/test/user-elsewhere.test.js

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startCluster } from '../../harness/cluster.js';
import { until } from '../../harness/lines.js';
import { Session } from '../clients/session.js';
import { TCPSocket } from '../../stompjs/harness/tcp-socket.js';

const joinMillis = 30_000; // sessions that come sooner after the first one begin with what waits anyway

let cluster;
before(async () => (cluster = await startCluster({ args: ['--log-level=warn'] })));
after(() => cluster?.end());

async function connect(login, node) {
  const place = { socket: () => new TCPSocket(cluster.port(node)) };
  const session = new Session({ name: login, place, random: { between: () => 60_000 } }).start(); // does not come back
  await until(`${login} to connect`, () => session.open);
  return session;
}

test('a user who comes back to another node at once gets what was sent meanwhile', async () => {
  const leader = await cluster.leader();
  const [dying, other] = [1, 2, 3].filter(number => number !== leader);
  const got = [];
  const take = message => got.push(message.body);
  const first = await connect('cyd', dying);
  assert.equal(await first.subscribe('/user/queue/notes', {}, take), 'receipt');
  const subscribed = Date.now();
  const sender = await connect('sender', leader);
  const send = body => new Promise(outcome => sender.send('/user/cyd/queue/notes', body, {}, outcome));
  assert.equal(await send('before'), 'receipt');
  await until('the first message', () => got.length === 1);
  await until('the session to be no young one', () => Date.now() > subscribed + joinMillis + 1000);

  await cluster.kill(dying);
  await until('the session to end', () => !first.open);
  assert.equal(await send('meanwhile'), 'receipt');
  const second = await connect('cyd', other);
  assert.equal(await second.subscribe('/user/queue/notes', {}, take), 'receipt');
  assert.equal(await send('after'), 'receipt');
  await until('the message sent after', () => got.includes('after'));
  assert.ok(got.includes('meanwhile'), `got ${got}, and not what was sent, with a receipt, while the user had no session`);
  await Promise.all([first, second, sender].map(session => session.end({ polite: false })));
});
