// The relay logs in as a service account (--auth users): what that account may, and what another may not.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startSpring } from '../../harness/spring.js';
import { until } from '../../harness/lines.js';
import { sendRaw } from '../clients/raw.js';
import { openStage } from '../clients/stage.js';

// bcrypt of relay-secret and ann-secret, at a low cost.
const users = `relay:$2a$06$E584Cy9PYJpuZ.wTVLDzXuA19U3z0/izicWLvi/GvoBBzZZkuYAG6:service
ann:$2a$06$mBiMncvnYcVyVO95Yf0PaODIT/sznFukb7ggghWYtQTGiNZMkjR/.
`;
const service = ['--broker.login=relay', '--broker.passcode=relay-secret'];
const refused = ['/topic/*', '/queue/', `/topic/${'x'.repeat(300)}`, '/topic/server.events'];

let dir;
let stage;
before(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'stampede-accounts-'));
  await writeFile(path.join(dir, 'users'), users, { mode: 0o600 });
  stage = await openStage({ args: ['--auth=users', `--users-file=${path.join(dir, 'users')}`], broker: service });
});
after(async () => {
  await stage?.close();
  await rm(dir, { recursive: true, force: true });
});

const errorsIn = instance => (instance.output().match(/(invalid|forbidden)-destination/g) ?? []).length;

test('refused SENDs do not end the session of a service account', async () => {
  const max = await stage.browser(stage.two, 'max', {}, '/topic/after');
  for (const destination of refused) await stage.one.send(destination, { refused: true });
  await stage.one.send('/topic/after', { text: 'still there' });
  assert.deepEqual(await max.bodies(1), [{ text: 'still there' }]);
  await until('an ERROR for each', () => errorsIn(stage.one) >= refused.length);
  assert.deepEqual(await stage.one.get('/broker'), { available: true, losses: 0 });
  await max.close();
});

test('a refused SEND ends the session of any other account, and Spring opens another', async () => {
  const [host, port] = ['127.0.0.1', stage.cluster.port(3)];
  const third = await startSpring({
    name: 'third',
    broker: [`--broker.host=${host}`, `--broker.port=${port}`, '--broker.login=ann', '--broker.passcode=ann-secret'],
  });
  try {
    await third.send('/queue/', { refused: true });
    await until('the session to be lost', async () => (await third.get('/broker')).losses === 1);
    await until('another', async () => (await third.get('/broker')).available);
  } finally {
    await third.stop();
  }
});

test('a service account has more sessions than a user may have', async () => {
  const crowd = [];
  for (let i = 0; i < 120; i += 20) {
    const some = Array.from({ length: 20 }, (_, j) => stage.browser(stage.one, `user-${i + j}`, {}, '/user/queue/news'));
    crowd.push(...(await Promise.all(some)));
  }
  await stage.two.post('/to-users', { users: crowd.map(b => b.user), destination: '/queue/news', first: 1, rounds: 1, millis: 0 });
  for (const browser of crowd) assert.deepEqual((await browser.bodies(1)).map(m => m.number), [1]);
  await Promise.all(crowd.map(browser => browser.close()));
});

test('a service account may send what is larger than a user may send', async () => {
  const large = JSON.stringify({ text: 'x'.repeat(2_000_000) });
  const port = stage.cluster.port(3);
  await sendRaw(port, '/topic/simp-user-registry', large, {}, 'relay', 'relay-secret');
  await assert.rejects(sendRaw(port, '/topic/simp-user-registry', large, {}, 'ann', 'ann-secret'), /body-too-large/);
  for (const instance of [stage.one, stage.two]) assert.deepEqual(await instance.get('/broker'), { available: true, losses: 0 });
});
