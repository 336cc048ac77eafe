// The processes of a soak: three nodes, and two Spring instances that have two of them as their broker.

import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { startCluster } from '../harness/cluster.js';
import { startSpring } from '../harness/spring.js';

const nodeCount = 3;

/**
 * Starts everything, and gives `end`, which leaves nothing.
 *
 * @param {{dir: string, spring: boolean}} options dir is for data and logs
 */
export async function openStage({ dir, spring }) {
  const cluster = await startCluster({ nodes: nodeCount, dir, args: ['--log-level=info'] });
  const instances = [];
  const endSpring = async (signal = 'SIGTERM') => {
    for (const instance of instances.splice(0)) {
      await instance.stop(signal);
      await writeFile(path.join(dir, `spring-${instance.name}.log`), instance.output());
    }
  };
  const end = async () => {
    await endSpring('SIGKILL').catch(() => {}); // it may have been on its way up or down
    await cluster.end();
  };
  const start = async (name, node) => {
    const broker = ['--broker.host=127.0.0.1', `--broker.port=${cluster.port(node)}`];
    const instance = await startSpring({ name, broker });
    instance.node = node;
    instances.push(instance);
  };
  const openSpring = async () => {
    const started = await Promise.allSettled([start('one', 1), start('two', 2)]); // each has ended or is among the instances
    const failed = started.find(({ reason }) => reason);
    if (failed) throw failed.reason;
    instances.sort((a, b) => a.node - b.node);
  };
  return { cluster, instances, openSpring: spring ? openSpring : async () => {}, endSpring, end };
}
