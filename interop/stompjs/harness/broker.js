// The one node of a file of tests.

import { startCluster } from '../../harness/cluster.js';

/** Runs a broker until `stop` is called. `args` are flags of `stampede serve`. */
export async function startBroker({ args = [] } = {}) {
  const cluster = await startCluster({ nodes: 1, args });
  return { webSocketURL: cluster.webSocketURL(1), stompPort: cluster.port(1), stop: () => cluster.end() };
}
