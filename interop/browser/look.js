// Runs the chat for people: three brokers and the page, until Ctrl-C. `npm start`; what it says on standard output tells the rest.

import { createInterface } from 'node:readline';
import { startCluster } from './harness/cluster.js';
import { startSite } from './harness/site.js';

const commands = ['kill', 'stop', 'start', 'pause', 'resume'];

const site = await startSite({ port: Number(process.env.PORT ?? 0) });
const cluster = await startCluster({ args: [`--allowed-origins=${site.origin}`] });
site.show(cluster, ['lobby', 'orders', 'night-shift']);

console.log(`Open these beside each other:\n`);
for (const [i, name] of ['alice', 'bob', 'carol'].entries()) console.log(`  ${site.origin}/?name=${name}&node=${i + 1}`);
console.log(`\nOr be somebody else: ${site.origin}/\n`);
for (const { number, stomp, admin } of cluster.nodes) console.log(`node ${number}: stomp ${stomp}, admin ${admin}`);
console.log(`
Then type here, and look at the pages: "kill 2", "start 2", "kill leader", "stop 3", "pause 1", "resume 1", "status". Ctrl-C ends all.`);

const input = createInterface({ input: process.stdin });
input.on('line', async line => {
  const [command, node] = line.trim().split(/\s+/);
  try {
    if (command === 'status') {
      for (const { number, running, pid } of await cluster.status()) console.log(`node ${number} ${running ? `runs (pid ${pid})` : 'does not run'}`);
    } else if (commands.includes(command) && node) {
      await cluster[command](node);
      console.log(`done: ${command} ${node}`);
    } else if (command) {
      console.log(`not a command: ${line}`);
    }
  } catch (error) {
    console.log(error.message);
  }
});

async function end() {
  input.close();
  await Promise.allSettled([cluster.end(), site.end()]);
}
input.on('close', end);
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => input.close());
