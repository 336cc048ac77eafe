// The stage of the stories: three nodes of the broker, and two instances of the service, each with another node as its relay.

import { startCluster } from '../../harness/cluster.js';
import { startSpring } from '../../harness/spring.js';
import { Browser } from './browser.js';

/**
 * Starts everything.
 *
 * @param {{args?: string[], broker?: string[], relays?: (cluster: object) => Promise<number[]>}} options args are flags of the nodes, broker
 *   settings of the instances, relays chooses their nodes
 */
export async function openStage({ args = [], broker = [], relays = async () => [1, 2] } = {}) {
  const cluster = await startCluster({ args });
  const instances = [];
  try {
    const start = async (name, number) => {
      const relay = ['--broker.host=127.0.0.1', `--broker.port=${cluster.port(number)}`];
      instances.push(await startSpring({ name, broker: [...relay, ...broker] }));
      instances.at(-1).node = number;
    };
    const [first, second] = await relays(cluster);
    const started = await Promise.allSettled([start('one', first), start('two', second)]); // each has ended or can be stopped
    for (const { reason } of started) if (reason) throw reason;
    const [one, two] = ['one', 'two'].map(name => instances.find(instance => instance.name === name));
    const browsers = [];
    return {
      cluster,
      one,
      two,
      /** A browser that is closed with the stage. */
      async browser(instance, user, options, ...destinations) {
        const browser = new Browser(instance, user, options);
        browsers.push(browser);
        return browser.open(...destinations);
      },
      async close() {
        await Promise.allSettled(browsers.map(browser => browser.drop()));
        await Promise.all([one.stop(), two.stop()]);
        await cluster.end();
      },
    };
  } catch (error) {
    await Promise.all(instances.map(instance => instance.stop()));
    await cluster.end();
    throw error;
  }
}
