// Runs a cluster of brokers through the tool interop/cluster: one child process that starts, kills and stops the nodes.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const answerMillis = 120_000; // the tool has bounds of its own, and says better what went wrong
const endMillis = 60_000; // all nodes drain at once, 2 s each

const file = name => fileURLToPath(new URL(`../bin/${name}`, import.meta.url));
const tool = process.env.CLUSTER_BINARY ?? file('cluster');
const broker = process.env.BROKER_BINARY ?? file('stampede');

/** Starts `nodes` brokers, each with the flags of stampede serve in `args`, and waits until all are ready. */
export async function startCluster({ nodes = 3, args = [] } = {}) {
  const child = spawn(tool, ['--nodes', String(nodes), '--stampede', broker, '--', ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  const complaints = [];
  child.stderr.on('data', chunk => complaints.push(chunk));
  child.on('error', error => complaints.push(Buffer.from(`${error}\n`))); // no such file
  child.stdin.on('error', () => {}); // it has ended: the waiting answers are told
  const ended = once(child, 'close').catch(() => {});

  const waiting = []; // for answers, which come in the order of the commands
  createInterface({ input: child.stdout }).on('line', line => waiting.shift()?.resolve(JSON.parse(line)));
  let gone = false;
  ended.then(() => {
    gone = true;
    for (const { reject } of waiting.splice(0)) reject(fault('the cluster ended'));
  });
  const fault = what => new Error(`${what}: ${Buffer.concat(complaints).toString().trim() || 'it said nothing'}`);

  const answer = async what => {
    if (gone) throw fault(`${what}: the cluster has ended`);
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(fault(`${what}: no answer within ${answerMillis} ms`)), answerMillis);
    });
    const said = await Promise.race([new Promise((resolve, reject) => waiting.push({ resolve, reject })), late]).finally(() => clearTimeout(timer));
    if (said.error) throw new Error(`${what}: ${said.error}`);
    return said;
  };
  const ask = command => {
    const said = answer(command);
    child.stdin.write(`${command}\n`);
    return said;
  };
  const end = async () => {
    child.stdin.end(); // the tool ends all nodes then, and removes their data
    const timer = setTimeout(() => child.kill('SIGKILL'), endMillis);
    await ended;
    clearTimeout(timer);
  };

  try {
    const first = await answer('start of the cluster');
    return {
      nodes: first.nodes,
      leader: async () => (await ask('leader')).leader,
      kill: async n => (await ask(`kill ${n}`)).killed,
      start: async n => (await ask(`start ${n}`)).node,
      killAll: () => ask('kill all'),
      startAll: async () => (await ask('start all')).nodes,
      stop: async n => (await ask(`stop ${n}`)).exitCode,
      pause: n => ask(`pause ${n}`),
      resume: n => ask(`resume ${n}`),
      status: async () => (await ask('status')).nodes,
      end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}
