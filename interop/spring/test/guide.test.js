// docs/spring.md, followed from an empty folder to a service that runs.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startCluster } from '../../harness/cluster.js';
import { until } from '../../harness/lines.js';
import { Browser } from '../clients/browser.js';

const guide = fileURLToPath(new URL('../../../docs/spring.md', import.meta.url));

let folder;
let cluster;
const instances = [];
before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stampede-guide-'));
  cluster = await startCluster({ nodes: 1 });
});
after(async () => {
  for (const { child } of instances) {
    child.kill('SIGTERM');
    if (child.exitCode === null) await once(child, 'exit');
  }
  await cluster?.end();
  await rm(folder, { recursive: true, force: true });
});

test('the guide makes a service whose instances reach everybody', async () => {
  const text = await readFile(guide, 'utf8');
  const files = [...text.matchAll(/^`(\S+)`:\n\n```\w+\n([\s\S]*?)^```$/gm)];
  assert.deepEqual(files.map(([, name]) => name), ['pom.xml', 'src/main/java/demo/Greetings.java']);
  for (const [, name, content] of files) {
    await mkdir(path.join(folder, path.dirname(name)), { recursive: true });
    await writeFile(path.join(folder, name), content);
  }
  const commands = [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].flatMap(([, block]) => block.trim().split('\n'));
  const build = commands.find(command => command.startsWith('mvn '));
  await promisify(execFile)('sh', ['-c', `${build} -B -ntp`], { cwd: folder });

  const run = commands.find(command => command.startsWith('java -jar'));
  const jar = path.join(folder, run.split(' ')[2]);
  for (const port of [31_090, 31_091]) {
    instances.push({
      child: spawn('java', [`-Drelay.port=${cluster.port(1)}`, '-jar', jar, `--server.port=${port}`], { stdio: 'ignore' }),
      url: `http://127.0.0.1:${port}`,
      webSocketURL: user => `ws://127.0.0.1:${port}/ws?user=${user}`,
    });
  }
  const [one, two] = instances;
  const say = (instance, what, body) =>
    fetch(instance.url + what, { method: 'POST', headers: { 'content-type': 'text/plain' }, body });
  for (const instance of instances) {
    await until('the relay to have its broker', async () => (await say(instance, '/announce', 'hello')).status === 200, 120_000);
  }
  const ann = await new Browser(one, 'ann').open();
  const bodies = async count => (await ann.take(count)).map(message => message.body);
  for (const destination of ['/topic/announcements', '/user/queue/news', '/user/queue/replies']) await ann.subscribe(destination);
  assert.equal((await say(one, '/announce', 'hello everybody')).status, 200);
  assert.deepEqual(await bodies(1), ['hello everybody']);
  assert.equal((await say(two, '/tell?user=ann', 'from the other instance')).status, 200);
  assert.deepEqual(await bodies(1), ['from the other instance']);
  ann.client.publish({ destination: '/app/hello', body: 'Ann', headers: { 'content-type': 'text/plain' } });
  assert.deepEqual(await bodies(1), ['hello Ann']);
  await ann.close();
});
