// What a service and its browsers say to each other when nothing breaks.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from '../../harness/lines.js';
import { openStage } from '../clients/stage.js';
import { sendRaw } from '../clients/raw.js';
import { allTransports } from '../clients/browser.js';

let stage;
before(async () => (stage = await openStage()));
after(() => stage?.close());

describe('a service with the broker as its relay', () => {
  for (const transport of allTransports) {
    describe(`over ${transport}`, () => {
      test('reaches clients of all instances from its scheduler', async () => {
        const [ann, bob] = await Promise.all([
          stage.browser(stage.one, 'ann', { transport }, '/topic/ticks.one'),
          stage.browser(stage.two, 'bob', { transport }, '/topic/ticks.one'),
        ]);
        const ticks = async browser => (await browser.bodies(3)).map(tick => tick.tick);
        for (const [first, second, third] of await Promise.all([ticks(ann), ticks(bob)])) {
          assert.deepEqual([second, third], [first + 1, first + 2]);
        }
        await Promise.all([ann.close(), bob.close()]);
      });

      test('reaches a user of the other instance once in each session, and nobody else', async () => {
        const user = `cyd-${transport}`;
        const sessions = await Promise.all([
          stage.browser(stage.one, user, { transport }, '/user/queue/news'),
          stage.browser(stage.two, user, { transport }, '/user/queue/news'),
          stage.browser(stage.two, user, { transport }, '/user/queue/news'),
        ]);
        const other = await stage.browser(stage.two, `dan-${transport}`, { transport }, '/user/queue/news');
        await known(stage.one, user, 3);
        await stage.one.post('/to-users', { users: [user], destination: '/queue/news', first: 1, rounds: 20, millis: 0 });
        for (const session of sessions) {
          assert.deepEqual((await session.bodies(20)).map(m => m.number), numbers(1, 20));
          assert.equal(session.received.length, 0);
        }
        assert.equal(other.received.length, 0);
        await Promise.all([...sessions, other].map(browser => browser.close()));
      });

      test('finds a user who is on the other instance only', async () => {
        const user = `eve-${transport}`;
        const eve = await stage.browser(stage.two, user, { transport }, '/user/queue/news', '/user/topic/news');
        for (const destination of ['/queue/news', '/topic/news']) {
          await stage.one.post('/to-users', { users: [user], destination, first: 1, rounds: 10, millis: 0 });
          const messages = await eve.take(10);
          assert.deepEqual(messages.map(m => JSON.parse(m.body).number), numbers(1, 10));
          assert.equal(messages[0].headers.destination, `/user${destination}`);
        }
        await eve.close();
      });

      test('answers the one who asked', async () => {
        const [fay, again] = await Promise.all([
          stage.browser(stage.one, `fay-${transport}`, { transport }, '/user/queue/replies'),
          stage.browser(stage.one, `fay-${transport}`, { transport }, '/user/queue/replies'),
        ]);
        fay.client.publish({ destination: '/app/echo', body: '{"text":"to all of me"}' });
        assert.deepEqual(await fay.bodies(1), [{ text: 'to all of me' }]);
        assert.deepEqual(await again.bodies(1), [{ text: 'to all of me' }]);
        again.client.publish({ destination: '/app/echo-here', body: '{"text":"here"}' });
        assert.deepEqual(await again.bodies(1), [{ text: 'here' }]);
        assert.equal(fay.received.length, 0);
        fay.subscribeUnasked('/app/welcome');
        assert.deepEqual(await fay.bodies(1), [{ text: 'welcome' }]);
        await Promise.all([fay.close(), again.close()]);
      });

      test('lets a browser talk to browsers of the other instance, unicode and all', async () => {
        const gil = await stage.browser(stage.two, 'gil', { transport }, '/topic/room.1');
        const hal = await stage.browser(stage.one, 'hal', { transport });
        await hal.send('/topic/room.1', '{"text":"grüße, 世界 🐃"}', { 'x-note': 'a:b\nd' });
        const [message] = await gil.take(1);
        assert.deepEqual(JSON.parse(message.body), { text: 'grüße, 世界 🐃' });
        assert.equal(message.headers['x-note'], 'a:b\nd');
        await Promise.all([gil.close(), hal.close()]);
      });

      test('gives a DISCONNECT its receipt and leaves no connection behind, as when a browser just goes', async () => {
        const connections = async () => (await stage.cluster.api(1, '/api/v1/status')).connections;
        const before = await connections();
        const polite = await stage.browser(stage.one, 'ivy', { transport }, '/user/queue/news');
        const rude = await stage.browser(stage.one, 'joe', { transport }, '/user/queue/news');
        assert.equal(await connections(), before + 2);
        let receipt = false;
        polite.client.onUnhandledReceipt = () => (receipt = true);
        polite.client.onDisconnect = () => (receipt = true); // the RECEIPT of the DISCONNECT came
        await polite.close();
        assert.ok(receipt);
        await rude.drop();
        await until('the connections to go', async () => (await connections()) === before);
      });
    });
  }

  test('survives a SEND that the broker refuses', async () => {
    const before = (await stage.one.get('/broker')).losses;
    const max = await stage.browser(stage.two, 'max', {}, '/topic/after');
    for (const destination of ['/topic/*', '/queue/', `/topic/${'x'.repeat(300)}`, '/topic/server.events']) {
      await stage.one.send(destination, { refused: true });
    }
    await stage.one.send('/topic/after', { text: 'still there' });
    await until('all of the ERRORs', () => (stage.one.output().match(/invalid-destination|forbidden-destination/g) ?? []).length >= 4);
    assert.deepEqual(await max.bodies(1), [{ text: 'still there' }]);
    assert.deepEqual(await stage.one.get('/broker'), { available: true, losses: before });
    await max.close();
  });

  test('is not hurt by a browser that declares its queue in its own way', async () => {
    const before = (await stage.one.get('/broker')).losses;
    for (const headers of [{ 'auto-delete': 'true' }, { exclusive: 'true' }, { 'auto-delete': 'false', durable: 'false' }]) {
      const ned = await stage.browser(stage.one, 'ned', {});
      await ned.subscribe('/user/queue/declared', headers);
      await stage.two.post('/to-users', { users: ['ned'], destination: '/queue/declared', first: 7, rounds: 1, millis: 0 });
      assert.deepEqual((await ned.bodies(1)).map(m => m.number), [7]);
      await ned.close();
    }
    assert.deepEqual(await stage.one.get('/broker'), { available: true, losses: before });
  });

  test('takes headers back that the broker wrote', async () => {
    const ola = await stage.browser(stage.two, 'ola', {}, '/user/queue/news');
    // What goes through the broadcast of unresolved users is sent again with all headers that it came with.
    await stage.one.send('/user/ola/queue/news', { text: 'hello' }, {
      'redelivered': 'true', 'x-stream-offset': '1', 'delivery-count': '9', timestamp: '1', ack: 'x', 'x-mine': 'kept',
    });
    const [message] = await ola.take(1);
    assert.equal(message.body, '{"text":"hello"}');
    assert.equal(message.headers.ack, undefined);
    assert.equal(message.headers.redelivered, undefined);
    assert.ok(Number(message.headers.timestamp) > 1_600_000_000_000);
    await ola.close();
  });

  test('passes a registry of 2 MB to all instances', async () => {
    const before = (await stage.one.get('/broker')).losses;
    // The registry of an instance with very many users, as another instance would broadcast it.
    const userMap = {};
    for (let i = 0; i < 12_000; i++) {
      const subscriptions = [{ id: 'sub-0', destination: `/user/queue/of-a-long-name-${i}` }];
      userMap[`user-${i}`] = { name: `user-${i}`, sessions: [{ id: `a-session-of-a-browser-${i}`, subscriptions }] };
    }
    const registry = JSON.stringify({ id: 'a-third-instance', userMap, expirationTime: 0 });
    assert.ok(registry.length > 1_500_000 && registry.length < 2_000_000, `${registry.length} bytes`);
    await sendRaw(stage.cluster.port(3), '/topic/simp-user-registry', registry.padEnd(2_000_000));
    for (const instance of [stage.one, stage.two]) {
      await until(`${instance.name} to know the users`, async () => (await instance.get('/users')).count >= 12_000);
    }
    assert.deepEqual(await stage.one.get('/broker'), { available: true, losses: before });
  });
});

/** Waits until an instance knows so many of a user's sessions, of which some are on the other one: they tell each other every 10 s. */
async function known(instance, user, sessions) {
  await until(`${instance.name} to know ${user}`, async () => (await instance.get(`/users/${user}`)).sessions === sessions);
}

function numbers(first, last) {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
