// Spring's own STOMP client (Java, JUnit 5) in front of the instances; each of its tests is told as one of this suite.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, rm } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openStage } from '../clients/stage.js';

const project = fileURLToPath(new URL('..', import.meta.url));
const reports = `${project}target/failsafe-reports/`;

let stage;
before(async () => (stage = await openStage()));
after(() => stage?.close());

test("Spring's WebSocketStompClient", { timeout: 600_000 }, async t => {
  await rm(reports, { recursive: true, force: true });
  const { code, output } = await maven(`-Dinstance.one=${stage.one.url}`, `-Dinstance.two=${stage.two.url}`);
  const tests = await results();
  for (const { name, failure } of tests) await t.test(name, () => assert.ok(!failure, failure));
  assert.ok(tests.length > 0, `no test ran: ${output}`);
  if (!tests.some(({ failure }) => failure)) assert.equal(code, 0, output);
});

async function maven(...settings) {
  const child = spawn('mvn', ['-q', '-ntp', '-B', ...settings, 'failsafe:integration-test', 'failsafe:verify'], { cwd: project });
  let output = '';
  child.stdout.on('data', chunk => (output += chunk));
  child.stderr.on('data', chunk => (output += chunk));
  const [code] = await once(child, 'close');
  return { code, output };
}

/** What JUnit has written about each test. */
async function results() {
  const files = await readdir(reports).catch(() => []);
  const texts = await Promise.all(files.filter(file => file.startsWith('TEST-')).map(file => readFile(reports + file, 'utf8')));
  return texts.flatMap(text =>
    [...text.matchAll(/<testcase name="([^"]*)"[^>]*?(?:\/>|>([\s\S]*?)<\/testcase>)/g)].map(([, name, inside = '']) => ({
      name: plain(name),
      failure: /<(failure|error)/.test(inside) ? plain(inside).trim().split('\n').slice(0, 12).join('\n') : undefined,
    })),
  );
}

const entities = { '&lt;': '<', '&gt;': '>', '&quot;': '"', '&apos;': "'", '&amp;': '&', '&#10;': '\n' };
const plain = text => text.replace(/&[a-z#0-9]+;/g, entity => entities[entity] ?? entity);
