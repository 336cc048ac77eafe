// What browsers and instances feel when something is restarted: those who are not concerned, nothing.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from '../../harness/lines.js';
import { openStage } from '../clients/stage.js';

let stage;
before(async () => (stage = await openStage()));
after(() => stage?.close());

const reconnecting = { reconnectDelay: 500 };

/** Two browsers, one at each instance, on one topic. */
async function pair(name) {
  const topic = `/topic/${name}`;
  return {
    topic,
    one: await stage.browser(stage.one, `${name}-one`, reconnecting, topic, '/user/queue/news'),
    two: await stage.browser(stage.two, `${name}-two`, { ...reconnecting, transport: 'sockjs' }, topic, '/user/queue/news'),
  };
}

/** Sends from an instance until both browsers have got something newer, and gives what each got. */
async function flows(from, { topic, one, two }) {
  const marker = Math.random();
  await until('messages to flow again', async () => {
    const { status } = await from.post('/send', { destination: topic, payload: { marker }, headers: {} });
    const got = browser => browser.received.some(message => message.body.includes(marker));
    return status === 200 && got(one) && got(two);
  });
}

/** A stream of numbered messages from an instance; `done` says how it was answered. */
function stream(from, destination, count, millis) {
  return from.post('/stream', { destination, count, millis });
}

/** The numbers that came to a browser. */
const numbersOf = browser => browser.received.map(message => JSON.parse(message.body).number).filter(n => n !== undefined);
const upTo = n => Array.from({ length: n }, (_, i) => i + 1);

test('an instance is restarted: clients of the other see nothing, its own come back by themselves', async () => {
  const clients = await pair('instance');
  const streamed = stream(stage.two, clients.topic, 400, 20);
  await until('the stream to begin', () => clients.two.received.length > 10);
  await stage.one.stop('SIGKILL');
  await stage.one.start();
  await until('the browser to come back', () => clients.one.connects >= 2 && clients.one.client.connected);
  assert.equal((await streamed).status, 200);
  await until('the end of the stream', () => numbersOf(clients.two).length >= 400);
  assert.deepEqual(numbersOf(clients.two), upTo(400));
  assert.equal(clients.two.closes, 0);
  await flows(stage.one, clients);
  await flows(stage.two, clients);
  // The other instance sends to where the user was until it hears, within 20 s, where the user is.
  await until('a message to the user who came back', async () => {
    await stage.two.post('/to-users', { users: [clients.one.user], destination: '/queue/news', first: 5, rounds: 1, millis: 0 });
    return numbersOf(clients.one).includes(5);
  });
  await Promise.all([clients.one.close(), clients.two.close()]);
});

for (const how of ['stopped', 'killed']) {
  test(`the node of an instance is ${how} and started: the relay and its browsers come back, the others see nothing`, async () => {
    const clients = await pair(how);
    const losses = (await stage.two.get('/broker')).losses;
    if (how === 'stopped') await stage.cluster.stop(1);
    else await stage.cluster.kill(1);
    await until('the service to notice', async () => !(await stage.one.get('/broker')).available);
    const streamed = stream(stage.two, clients.topic, 50, 5);
    await stage.cluster.start(1);
    assert.equal((await streamed).status, 200);
    await until('the relay to come back', async () => (await stage.one.get('/broker')).available);
    await until('the browser to come back', () => clients.one.connects >= 2 && clients.one.client.connected);
    await until('the stream', () => numbersOf(clients.two).length >= 50);
    assert.deepEqual(numbersOf(clients.two), upTo(50));
    assert.equal(clients.two.closes, 0);
    assert.equal((await stage.two.get('/broker')).losses, losses);
    await flows(stage.one, clients);
    await flows(stage.two, clients);
    await Promise.all([clients.one.close(), clients.two.close()]);
  });
}

test('the leader is killed under a stream: who is at another node loses nothing and keeps its connection', async () => {
  // The leader must be a node that somebody is at.
  let leader = await stage.cluster.leader();
  const clients = await pair('leader');
  const away = leader === 1 ? { instance: stage.one, browser: clients.one } : leader === 2 ? { instance: stage.two, browser: clients.two } : null;
  const staying = [
    { instance: stage.one, browser: clients.one },
    { instance: stage.two, browser: clients.two },
  ].filter(({ browser }) => browser !== away?.browser);
  const from = staying[0];
  const losses = (await from.instance.get('/broker')).losses;
  const streamed = stream(from.instance, clients.topic, 500, 10);
  await until('the stream to begin', () => from.browser.received.length > 20);
  leader = await stage.cluster.kill('leader');
  assert.equal((await streamed).status, 200);
  for (const { browser } of staying) {
    await until('the whole stream', () => numbersOf(browser).length >= 500);
    assert.deepEqual(numbersOf(browser), upTo(500));
    assert.equal(browser.closes, 0);
  }
  assert.equal((await from.instance.get('/broker')).losses, losses);
  await stage.cluster.start(leader);
  if (away) await until('the browser of the killed node', () => away.browser.connects >= 2 && away.browser.client.connected);
  await flows(from.instance, clients);
  const digests = new Set(await stage.cluster.agreement());
  assert.equal(digests.size, 1);
  await Promise.all([clients.one.close(), clients.two.close()]);
});
