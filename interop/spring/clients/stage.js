// The stage of the stories: three nodes of the broker, and two instances of the service, each with another node as its relay.

import { startCluster } from '../../harness/cluster.js';
import { startSpring } from '../../harness/spring.js';
import { Browser } from './browser.js';

/** Starts everything; `args` are flags of the nodes. */
export async function openStage({ args = [], broker = [] } = {}) {
  const cluster = await startCluster({ args });
  const relayed = number => [`--broker.host=127.0.0.1`, `--broker.port=${cluster.port(number)}`, ...broker];
  try {
    const [one, two] = await Promise.all([
      startSpring({ name: 'one', broker: relayed(1) }),
      startSpring({ name: 'two', broker: relayed(2) }),
    ]);
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
    await cluster.end();
    throw error;
  }
}
