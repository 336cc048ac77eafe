// The leader is killed under traffic: at first nobody is at it, then an instance is.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from '../../harness/lines.js';
import { openStage } from '../clients/stage.js';

const topic = '/topic/leader';

let stage;
before(async () => {
  stage = await openStage({
    relays: async cluster => {
      const leader = await cluster.leader();
      return [1, 2, 3].filter(number => number !== leader);
    },
  });
});
after(() => stage?.close());

const numbers = messages => messages.map(message => JSON.parse(message.body).number);
const upTo = n => Array.from({ length: n }, (_, i) => i + 1);

/** Sends numbered messages with receipts, one after the other, until told or until the connection ends; gives the numbers receipted. */
async function sendReceipted(browser, destination, done) {
  const receipted = [];
  for (let number = 1; !done(); number++) {
    try {
      await browser.send(destination, JSON.stringify({ number }));
    } catch {
      return receipted; // the connection ended
    }
    receipted.push(number);
  }
  return receipted;
}

test('both instances are at other nodes: they and their browsers see a pause, and lose nothing', async () => {
  const listeners = [
    await stage.browser(stage.one, 'ann', {}, topic, '/topic/receipted'),
    await stage.browser(stage.two, 'bob', { transport: 'sockjs' }, topic, '/topic/receipted'),
  ];
  const sender = await stage.browser(stage.one, 'cyd', {});
  let killed;
  const count = 300;
  const streamed = stage.two.post('/stream', { destination: topic, count, millis: 10 });
  const sending = sendReceipted(sender, '/topic/receipted', () => killed && streamedDone);
  let streamedDone = false;
  const finished = streamed.then(answer => {
    streamedDone = true;
    return answer;
  });
  await until('the traffic to begin', () => listeners.every(listener => listener.received.length > 20));
  killed = await stage.cluster.kill('leader');
  assert.equal((await finished).status, 200);
  const receipted = await sending;
  assert.equal(sender.closes, 0);
  for (const listener of listeners) {
    const messages = await listener.take(count + receipted.length);
    const of = name => numbers(messages.filter(message => message.headers.destination === name));
    assert.deepEqual(of(topic), upTo(count), `the stream, at ${listener.user}`);
    assert.deepEqual(of('/topic/receipted'), receipted, `what was receipted, at ${listener.user}`);
    assert.equal(listener.closes, 0);
  }
  for (const instance of [stage.one, stage.two]) assert.deepEqual(await instance.get('/broker'), { available: true, losses: 0 });
  await stage.cluster.start(killed);
  await Promise.all([...listeners, sender].map(browser => browser.close()));
});

test('one instance is at the leader: it comes back by itself, nothing receipted is lost, the other sees a pause', async () => {
  const leader = await stage.cluster.leader();
  const away = [stage.one, stage.two].find(instance => instance.node === leader);
  assert.ok(away, `the leader is node ${leader}, the instances are at ${stage.one.node} and ${stage.two.node}`);
  const staying = away === stage.one ? stage.two : stage.one;
  const reconnecting = { reconnectDelay: 500 };
  const gone = await stage.browser(away, 'dan', { ...reconnecting, transport: 'sockjs' }, topic);
  const stays = await stage.browser(staying, 'eve', {}, topic, '/topic/receipted');
  const sender = await stage.browser(away, 'fay', reconnecting);

  const count = 300;
  const sending = sendReceipted(sender, '/topic/receipted', () => false); // its connection ends with the node
  const streamed = staying.post('/stream', { destination: topic, count, millis: 10 });
  await until('the traffic to begin', () => stays.received.length > 20 && gone.received.length > 0);
  await stage.cluster.kill(leader);
  const receipted = await sending;
  assert.ok(receipted.length > 0);
  assert.equal((await streamed).status, 200);
  const of = name => numbers(stays.received.filter(message => message.headers.destination === name));
  await until('the whole stream', () => of(topic).length >= count);
  assert.deepEqual(of(topic), upTo(count));
  // The last one sent may have got in without its receipt having come out.
  const got = of('/topic/receipted');
  assert.deepEqual(got.slice(0, receipted.length), receipted);
  assert.ok(got.length <= receipted.length + 1, `receipted ${receipted.length}, arrived ${got.length}`);
  assert.equal(stays.closes, 0);
  assert.deepEqual(await staying.get('/broker'), { available: true, losses: 0 });

  await stage.cluster.start(leader);
  await until('the relay to come back', async () => (await away.get('/broker')).available);
  assert.equal((await away.get('/broker')).losses, 1);
  await Promise.all([gone.again(1), sender.again(1)]);
  gone.received.splice(0);
  stays.received.splice(0);
  await away.send(topic, { number: 1001 });
  await staying.send(topic, { number: 1002 });
  for (const browser of [gone, stays]) assert.deepEqual(numbers(await browser.take(2)).sort(), [1001, 1002], browser.user);
  assert.equal(new Set(await stage.cluster.agreement()).size, 1, 'nodes do not agree');
  await Promise.all([gone, stays, sender].map(browser => browser.close()));
});
