// Starts the broker under test on free loopback ports with a data directory of its own.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import path from 'node:path';

const readyMillis = 15_000; // a node is ready in under a second; a machine that is busy building may need more
const stopMillis = 30_000; // a drain takes 20 s at most by default
const startsMax = 3; // another program may take a port between its choice and its use

const binary =
  process.env.BROKER_BINARY ?? fileURLToPath(new URL('../bin/stampede', import.meta.url));

/** Runs a broker until `stop` is called. */
export async function startBroker() {
  for (let attempt = 1; ; attempt++) {
    const broker = await launch();
    if (await broker.ready()) return broker;
    await broker.stop();
    if (attempt === startsMax) {
      throw new Error(`the broker did not become ready:\n${broker.output()}`);
    }
  }
}

async function launch() {
  const [http, stomp, admin] = await freePorts(3);
  const dataDir = await mkdtemp(path.join(tmpdir(), 'stampede-stompjs-'));
  const output = [];
  const child = spawn(
    binary,
    [
      'serve',
      `--data-dir=${dataDir}`,
      `--http-addr=127.0.0.1:${http}`,
      `--stomp-addr=127.0.0.1:${stomp}`,
      `--admin-addr=127.0.0.1:${admin}`,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  child.stdout.on('data', chunk => output.push(chunk));
  child.stderr.on('data', chunk => output.push(chunk));
  child.on('error', error => output.push(Buffer.from(`${error}\n`))); // no such file
  const exited = Promise.race([once(child, 'exit'), once(child, 'error')]).catch(() => {});

  return {
    webSocketURL: `ws://127.0.0.1:${http}/ws`,
    stompPort: stomp,
    output: () => Buffer.concat(output).toString(),
    ready: () => answers(`http://127.0.0.1:${http}/health`, child),
    async stop() {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), stopMillis);
      await exited;
      clearTimeout(timer);
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Asks until the answer is 200, the process ended or the time is up. */
async function answers(url, child) {
  const deadline = Date.now() + readyMillis;
  while (Date.now() < deadline && child.exitCode === null && child.pid !== undefined) {
    try {
      if ((await fetch(url)).status === 200) return true;
    } catch {
      // not listening yet
    }
    await new Promise(resolve => setTimeout(resolve, 20));
  }
  return false;
}

/** Ports that were free a moment ago; all are held until the last is known, so that they differ. */
async function freePorts(count) {
  const holders = [];
  for (let i = 0; i < count; i++) {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    holders.push(holder);
  }
  const ports = holders.map(holder => holder.address().port);
  await Promise.all(holders.map(holder => new Promise(resolve => holder.close(resolve))));
  return ports;
}
