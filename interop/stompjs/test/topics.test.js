// Topics: every subscriber gets every message, in order, and can go on where it stopped.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startBroker } from '../harness/broker.js';
import { connect, ways } from '../harness/session.js';

// stompjs escapes nothing before 1.2, trims values, and undoes an escaped backslash before an n wrongly: this is what its users can say.
const oddities = {
  '1.0': 'colon : backslash \\ ünïcödé ✓',
  '1.1': 'ünïcödé ✓',
  '1.2': 'colon : backslash \\ line\nend, carriage\rreturn, ünïcödé ✓',
};

let broker;
before(async () => {
  broker = await startBroker();
});
after(() => broker?.stop());

for (const way of ways) {
  describe(`topics over ${way.title}`, () => {
    const name = suffix => `/topic/${way.name}.${suffix}`;

    it('give every subscriber every message in the order they were sent', async () => {
      const publisher = await connect(broker, way);
      const subscribers = [await connect(broker, way), await connect(broker, way)];
      const inboxes = await Promise.all(subscribers.map(session => session.subscribe(name('order'))));
      const sent = Array.from({ length: 100 }, (_, i) => `message ${i}`);
      await Promise.all(sent.map(body => publisher.send(name('order'), body)));
      for (const inbox of inboxes) assert.deepEqual(await inbox.bodies(sent.length), sent);
      await Promise.all([publisher, ...subscribers].map(session => session.close()));
    });

    it('give back the destination and the headers of the sender, and the ones of the broker', async () => {
      const session = await connect(broker, way);
      const inbox = await session.subscribe(name('headers'));
      const odd = oddities[way.version];
      await session.send(name('headers'), 'x', { 'content-type': 'text/plain', 'x-odd': odd, correlation: '7' });
      const { headers } = await inbox.next();
      assert.equal(headers.destination, name('headers'));
      assert.equal(headers['content-type'], 'text/plain');
      assert.equal(headers['x-odd'], odd);
      assert.equal(headers.correlation, '7');
      assert.equal(headers['content-length'], '1');
      assert.equal(headers.subscription, inbox.subscription.id);
      assert.match(headers['message-id'], /^[A-Za-z0-9_.-]+$/);
      assert.match(headers['x-stream-offset'], /^\d+$/);
      assert.ok(Math.abs(Number(headers.timestamp) - Date.now()) < 60_000, `timestamp ${headers.timestamp}`);
      assert.equal(headers.receipt, undefined);
      assert.equal(headers.ack, undefined);
      await session.close();
    });

    it('match wildcards: one segment, and zero or more', async () => {
      const session = await connect(broker, way);
      const one = await session.subscribe(name('wild.*.end'));
      const many = await session.subscribe(name('wild.#'));
      for (const key of ['wild', 'wild.a.end', 'wild.a.b.end', 'wild.b.end']) await session.send(name(key), key);
      assert.deepEqual(await one.bodies(2), ['wild.a.end', 'wild.b.end']);
      assert.deepEqual(await many.bodies(4), ['wild', 'wild.a.end', 'wild.a.b.end', 'wild.b.end']);
      await session.close();
    });

    it('send nothing more after UNSUBSCRIBE', async () => {
      const session = await connect(broker, way);
      const left = await session.subscribe(name('left'));
      const kept = await session.subscribe(name('left'));
      await session.send(name('left'), 'one');
      assert.deepEqual(await left.bodies(1), ['one']);
      await session.unsubscribe(left);
      await session.send(name('left'), 'two');
      assert.deepEqual(await kept.bodies(2), ['one', 'two']);
      left.put({ body: 'end' }); // what came before it would be read first
      assert.deepEqual(await left.bodies(1), ['end']);
      await session.close();
    });

    it('go on after the last message that a lost session had seen', async () => {
      const publisher = await connect(broker, way);
      const first = await connect(broker, way);
      const before = await first.subscribe(name('resume'));
      for (const body of ['one', 'two', 'three']) await publisher.send(name('resume'), body);
      const seen = await before.next();
      await first.drop();
      await publisher.send(name('resume'), 'four');

      const second = await connect(broker, way);
      const resumed = await second.subscribe(name('resume'), { 'resume-after': seen.headers['message-id'] });
      await publisher.send(name('resume'), 'five');
      assert.deepEqual(await resumed.bodies(4), ['two', 'three', 'four', 'five']);
      await Promise.all([publisher.close(), second.close()]);
    });

    it('are read from a position: first, an offset, the last N', async () => {
      const session = await connect(broker, way);
      const live = await session.subscribe(name('position'));
      for (const body of ['one', 'two', 'three']) await session.send(name('position'), body);
      await live.next();
      const offset = (await live.next()).headers['x-stream-offset'];
      const first = await session.subscribe(name('position'), { 'x-stream-offset': 'first' });
      assert.deepEqual(await first.bodies(3), ['one', 'two', 'three']);
      const from = await session.subscribe(name('position'), { 'x-stream-offset': `offset=${offset}` });
      assert.deepEqual(await from.bodies(2), ['two', 'three']);
      const last = await session.subscribe(name('position'), { last: '1' });
      await session.send(name('position'), 'four');
      assert.deepEqual(await last.bodies(2), ['three', 'four']);
      await session.close();
    });

    it('keep a message with persistent:false out of the log', async () => {
      const session = await connect(broker, way);
      const live = await session.subscribe(name('unlogged'));
      await session.send(name('unlogged'), 'passing', { persistent: 'false' });
      await session.send(name('unlogged'), 'kept');
      assert.deepEqual(await live.bodies(2), ['passing', 'kept']);
      const again = await session.subscribe(name('unlogged'), { 'x-stream-offset': 'first' });
      assert.deepEqual(await again.bodies(1), ['kept']);
      await session.close();
    });

    it('do not come back to their sender with no-local', async () => {
      const [here, there] = [await connect(broker, way), await connect(broker, way)];
      const inbox = await here.subscribe(name('echo'), { 'no-local': 'true' });
      await here.send(name('echo'), 'own');
      await there.send(name('echo'), 'other');
      assert.deepEqual(await inbox.bodies(1), ['other']);
      await Promise.all([here.close(), there.close()]);
    });

    it("are known by RabbitMQ's words", async () => {
      const session = await connect(broker, way);
      const inbox = await session.subscribe(`/exchange/amq.topic/${way.name}.key`);
      await session.send(name('key'), 'by topic');
      await session.send(`/exchange/amq.topic/${way.name}.key`, 'by exchange');
      assert.deepEqual(await inbox.bodies(2), ['by topic', 'by exchange']);
      await session.close();
    });

    it('reach all sessions of a user at /user/queue', async () => {
      const user = { login: `alice-${way.name}`, passcode: 'x' };
      const sessions = [
        await connect(broker, way, { connectHeaders: user }),
        await connect(broker, way, { connectHeaders: user }),
      ];
      const inboxes = await Promise.all(sessions.map(session => session.subscribe('/user/queue/notes')));
      await sessions[0].send(`/user/${user.login}/queue/notes`, 'hello');
      for (const inbox of inboxes) assert.deepEqual(await inbox.bodies(1), ['hello']);
      await Promise.all(sessions.map(session => session.close()));
    });

    it('begin with CONNECTED, which says version, session, server and heart-beat', async () => {
      const session = await connect(broker, way);
      const { headers } = session.connected;
      assert.equal(headers.version, way.version);
      assert.match(headers.session, /^[A-Za-z0-9_.-]+$/);
      assert.match(headers.server, /^stampede\//);
      assert.equal(headers['heart-beat'], '0,0'); // it asks for none
      await session.close();
    });

    it('are shared by clients of all versions', async () => {
      const sessions = await Promise.all(ways.map(other => connect(broker, other)));
      const inboxes = await Promise.all(sessions.map(session => session.subscribe(name('shared'))));
      const publisher = await connect(broker, way);
      await publisher.send(name('shared'), 'to all: grüße');
      for (const inbox of inboxes) assert.deepEqual(await inbox.bodies(1), ['to all: grüße']);
      await Promise.all([publisher, ...sessions].map(session => session.close()));
    });
  });
}
