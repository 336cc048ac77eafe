// A stage for one test file: the site, a cluster that takes its pages, and Chromium; all ended at the end, in whatever state they are.

import { startBrowser } from './browser.js';
import { startCluster } from './cluster.js';
import { startSite } from './site.js';

/** `args` are more flags of stampede serve; `origins` more origins that the brokers take. */
export async function setStage({ nodes = 3, rooms = ['lobby'], args = [], origins = () => [] } = {}) {
  const ends = [];
  const end = async () => {
    const faults = (await Promise.allSettled(ends.splice(0).map(one => one()))).filter(({ status }) => status === 'rejected');
    if (faults.length > 0) throw faults[0].reason;
  };
  try {
    const site = await startSite();
    ends.push(site.end);
    const allowed = [site.origin, ...origins(site)];
    const starts = await Promise.allSettled([startCluster({ nodes, args: [`--allowed-origins=${allowed.join()}`, ...args] }), startBrowser(site)]);
    for (const { value } of starts) if (value) ends.push(value.end);
    for (const { reason } of starts) if (reason) throw reason;
    const [cluster, browser] = starts.map(({ value }) => value);
    site.show(cluster, rooms);
    return { site, cluster, browser, open: browser.open, end };
  } catch (error) {
    await end();
    throw error;
  }
}
