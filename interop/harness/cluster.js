// Runs nodes of the broker for a suite, through interop/cluster.

import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { startLines, until } from './lines.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const bin = name => path.join(process.env.INTEROP_BIN ?? path.join(root, 'bin'), name);

/**
 * Starts a cluster and waits until all nodes are ready.
 *
 * @param {{nodes?: number, args?: string[], dir?: string}} options args are flags of `stampede serve`; dir keeps data and logs
 */
export async function startCluster({ nodes = 3, args = [], dir } = {}) {
  const process = await startLines(bin('cluster'), [
    `--nodes=${nodes}`,
    `--stampede=${bin('stampede')}`,
    ...(dir ? [`--dir=${dir}`] : []),
    '--',
    ...args,
  ]);
  const cluster = {
    nodes: process.first.nodes,
    /** The number of the node that leads; waits for one. */
    leader: async () => (await process.ask('leader')).leader,
    /** SIGKILL. `which` is a number or 'leader'; gives the number. */
    kill: async which => (await process.ask(`kill ${which}`)).killed,
    stop: async which => await process.ask(`stop ${which}`),
    start: async which => (await process.ask(`start ${which}`)).node,
    pause: async which => (await process.ask(`pause ${which}`)).paused,
    resume: async which => (await process.ask(`resume ${which}`)).resumed,
    status: async () => (await process.ask('status')).nodes,
    end: () => process.end(),

    node: number => process.first.nodes[number - 1],
    webSocketURL: number => `ws://${process.first.nodes[number - 1].http}/ws`,
    port: number => Number(process.first.nodes[number - 1].stomp.split(':')[1]),

    /** What the admin API of a node says. */
    async api(number, what) {
      const response = await fetch(`http://${process.first.nodes[number - 1].admin}${what}`);
      if (!response.ok) throw new Error(`${what} of node ${number}: ${response.status} ${await response.text()}`);
      return response.json();
    },
    /** The value of a metric without labels. */
    async metric(number, name) {
      const response = await fetch(`http://${process.first.nodes[number - 1].admin}/metrics`);
      const line = (await response.text()).split('\n').find(line => line.startsWith(`${name} `));
      if (!line) throw new Error(`node ${number} has no metric ${name}`);
      return Number(line.slice(name.length + 1));
    },
    /** All queues of the cluster, as one node knows them. */
    async queues(number) {
      const destinations = await cluster.api(number, '/api/v1/destinations');
      return (destinations.items ?? destinations).filter(d => d.kind === 'queue' || d.kind === 'exclusive');
    },
    /** Waits until all nodes have folded the same, and gives their digests. */
    async agreement() {
      return until('equal positions of all nodes', async () => {
        const all = [];
        for (const node of process.first.nodes) all.push(await cluster.api(node.number, '/api/v1/status'));
        const same = all.every(s => s.digestSeq === all[0].digestSeq && s.appliedSeq === s.digestSeq);
        return same && all.map(s => `${s.digest} ${s.chain}`);
      });
    },
  };
  return cluster;
}
