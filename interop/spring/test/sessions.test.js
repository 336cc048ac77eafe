// What browser sessions leave behind: nothing. SESSIONS sets how many come and go (200).

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from '../../harness/lines.js';
import { openStage } from '../clients/stage.js';
import { transports } from '../clients/browser.js';

const sessions = Number(process.env.SESSIONS ?? 200);
const atOnce = 50;

let stage;
before(async () => (stage = await openStage()));
after(() => stage?.close());

test(`${sessions} sessions that came and went leave no queue, and no connection`, async () => {
  const connections = async () => (await stage.cluster.api(1, '/api/v1/status')).connections;
  const idle = await connections();
  for (let first = 0; first < sessions; first += atOnce) {
    const browsers = await Promise.all(
      Array.from({ length: Math.min(atOnce, sessions - first) }, (_, i) =>
        stage.browser(stage.one, `u${first + i}`, { transport: transports[i % 2] }, '/user/queue/news'),
      ),
    );
    const queues = await stage.cluster.queues(1);
    assert.ok(queues.length >= browsers.length, `${queues.length} queues of ${browsers.length} sessions`);
    assert.ok(queues.every(queue => queue.kind === 'exclusive'));
    // Half of them has something unread when it goes.
    await stage.one.post('/to-users', {
      users: browsers.slice(0, atOnce / 2).map(browser => browser.user),
      destination: '/queue/news', first: 1, rounds: 2, millis: 0,
    });
    await Promise.all(browsers.map((browser, i) => (i % 3 === 0 ? browser.close() : browser.drop())));
  }
  await until('the queues to go', async () => (await stage.cluster.queues(1)).length === 0);
  await until('the connections to go', async () => (await connections()) === idle);
});

test('what is sent to a session that is gone is dropped after 30 s, and counted', async () => {
  const ann = await stage.browser(stage.two, 'ann', {}, '/user/queue/news');
  const [queue] = await stage.cluster.queues(1);
  assert.match(queue.name, /^\/queue\/news-user/);
  await ann.drop();
  await until('the queue to go', async () => (await stage.cluster.queues(1)).length === 0);
  const dropped = () => stage.cluster.metric(1, 'stampede_messages_dropped_total');
  const before = await dropped();
  // As an instance would that has not heard yet that the session is gone.
  for (let i = 0; i < 3; i++) {
    await stage.one.send(queue.name, { late: i }, { simpOrigDestination: '/user/queue/news' });
  }
  await until('the messages to wait', async () => (await stage.cluster.queues(1))[0]?.waiting === 3);
  await until('them to be dropped', async () => (await stage.cluster.queues(1)).length === 0);
  assert.equal((await dropped()) - before, 3);
});
