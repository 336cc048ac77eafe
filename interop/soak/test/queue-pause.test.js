// A node stands still for longer than the cluster waits for it. What its consumer was to get went to another one, who acknowledged it: it must
// not come to the first when the node goes on. Run: node --test interop/soak/test/queue-pause.test.js

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startCluster } from '../../harness/cluster.js';
import { until } from '../../harness/lines.js';
import { Session } from '../clients/session.js';
import { TCPSocket } from '../../stompjs/harness/tcp-socket.js';

const queue = '/queue/pause';
const count = 10;

let cluster;
before(async () => (cluster = await startCluster({ args: ['--log-level=warn'] })));
after(() => cluster?.end());

async function connect(name, node) {
  const place = { socket: () => new TCPSocket(cluster.port(node)) };
  const session = new Session({ name, place, random: { between: () => 60_000 } }).start(); // does not come back
  await until(`${name} to connect`, () => session.open);
  return session;
}

test('what was acknowledged with a receipt does not come to a consumer of a node that stood still', async () => {
  const leader = await cluster.leader();
  const [still, other] = [1, 2, 3].filter(number => number !== leader);
  const slow = await connect('slow', still);
  const slowGot = [];
  assert.equal(await slow.subscribe(queue, { ack: 'client-individual' }, message => slowGot.push(message.body)), 'receipt');
  const acked = [];
  await cluster.pause(still);

  const producer = await connect('producer', leader);
  for (let i = 1; i <= count; i++) {
    assert.equal(await new Promise(outcome => producer.send(queue, String(i), {}, outcome)), 'receipt');
  }
  const quick = await connect('quick', other);
  await quick.subscribe(queue, { ack: 'client-individual' }, (message, generation) =>
    quick.ack(message, generation, outcome => outcome === 'receipt' && acked.push(message.body)),
  );
  await until('the node to be given up, and the other consumer to have acknowledged all', () => acked.length === count, 60_000);
  await cluster.resume(still);
  await until('the session at the node that stood still to end', () => !slow.open, 60_000);
  assert.deepEqual(slowGot, [], `came to the consumer of node ${still} after node ${other}'s had acknowledged them with receipts`);
  await Promise.all([slow, quick, producer].map(session => session.end({ polite: false })));
});
