// What must hold of the cluster when all is over: nothing left in it, the same on all nodes, and logs that prove it.

import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { until } from '../harness/lines.js';

const emptyMillis = 60_000;
const goneSeconds = 35; // 30 s for a message that finds no subscription, and some for the way
const verifyMillis = 300_000;

/** Waits until queues hold nothing; gives what is left in those that do. */
export async function leftIn(cluster, names) {
  let left;
  const look = async () => {
    left = (await cluster.queues(1)).filter(queue => names.includes(queue.name) || queue.name.startsWith('/queue/dlq.'));
    left = left.filter(({ waiting, unsettled }) => waiting + unsettled > 0);
    return left.length === 0;
  };
  await until('the queues to be empty', look, emptyMillis).catch(() => {});
  return left.map(({ name, waiting, unsettled }) => ({ name, waiting, unsettled }));
}

/** The queues that Spring made for sessions; none may be there so many seconds after the last one ended. */
export async function sessionQueues(cluster) {
  return (await cluster.queues(1)).filter(({ name, kind }) => kind === 'exclusive' || /-user[^/]+$/.test(name)).map(({ name, kind }) => `${name} (${kind})`);
}

/** Waits for the session queues to go; gives those that stay too long, and how long it took. */
export async function sessionQueuesLeft(cluster) {
  const began = Date.now();
  let left;
  const look = async () => (left = await sessionQueues(cluster)).length === 0;
  await until('the queues of sessions to go', look, goneSeconds * 1000).catch(() => {});
  return { left, seconds: Math.round((Date.now() - began) / 1000) };
}

/** Digest and chain of all nodes at one position; one entry when they are equal. */
export async function digests(cluster) {
  return [...new Set(await cluster.agreement())];
}

/** Folds the log of each stopped node anew. */
export async function verifyLogs({ binary, dir, nodes }) {
  const verified = [];
  for (const number of nodes) {
    const args = ['log', 'verify', '--json', `--data-dir=${path.join(dir, `node${number}`)}`];
    verified.push(
      await promisify(execFile)(binary, args, { timeout: verifyMillis }).then(
        ({ stdout }) => ({ node: number, ...JSON.parse(stdout) }),
        error => ({ node: number, ok: false, faults: [`${error.message}\n${error.stdout}${error.stderr}`.slice(0, 4000)] }),
      ),
    );
  }
  return verified;
}
