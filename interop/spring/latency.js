// How long a message takes from convertAndSend to the browsers, with the broker as the relay, with RabbitMQ as the relay, and with Spring's own
// SimpleBroker: one instance, and browsers half over WebSocket, half over SockJS.
//
//   node latency.js [--sessions 500] [--seconds 15] [--runs 1] [--brokers stampede,rabbitmq,simple]

import { parseArgs } from 'node:util';
import { startCluster } from '../harness/cluster.js';
import { until } from '../harness/lines.js';
import { startRabbitMQ } from '../harness/rabbitmq.js';
import { startSpring } from '../harness/spring.js';
import { Crowd, percentile } from './clients/crowd.js';

const { values } = parseArgs({
  options: {
    sessions: { type: 'string', default: '500' },
    seconds: { type: 'string', default: '15' },
    runs: { type: 'string', default: '1' },
    brokers: { type: 'string', default: 'stampede,rabbitmq,simple' },
  },
});
const sessions = Number(values.sessions);
const seconds = Number(values.seconds);

// What is measured: messages a second from convertAndSend, and how many browsers each goes to.
const loads = [
  { name: '50 a second to one user each', perSecond: 50, to: 'users' },
  { name: `5 a second to a topic of ${sessions}`, perSecond: 5, to: 'topic' },
];

const brokers = {
  async stampede() {
    const cluster = await startCluster();
    return { settings: [`--broker.port=${cluster.port(1)}`], receipts: true, end: () => cluster.end() };
  },
  async rabbitmq() {
    const rabbit = await startRabbitMQ();
    return rabbit && { settings: [`--broker.port=${rabbit.port}`, '--broker.virtual-host=/'], receipts: true, end: () => rabbit.end() };
  },
  async simple() {
    return { settings: ['--broker.kind=simple'], receipts: false, end: async () => {} };
  },
};

console.log('| broker | load | sent | arrived | missing | repeated | p50 ms | p99 ms | max ms |\n|---|---|---|---|---|---|---|---|---|');
for (let run = 0; run < Number(values.runs); run++) {
  for (const name of values.brokers.split(',')) {
    const broker = await brokers[name]();
    if (broker) await measure(name, broker).finally(broker.end);
    else console.log(`| ${name} | not installed | | | | | | | |`);
  }
}

async function measure(name, { settings, receipts }) {
  const instance = await startSpring({ name: 'one', broker: settings, args: ['--ticker.millis=3600000'] });
  const crowd = new Crowd(instance, sessions, { receipts });
  try {
    await crowd.open(['/user/queue/updates', '/topic/all']);
    const toUsers = (users, first, rounds, millis) =>
      instance.post('/to-users', { users, destination: '/queue/updates', first, rounds, millis });
    // Until everybody has got something, and what is compiled late is compiled.
    let probe = 1_000_000;
    do {
      await toUsers(crowd.users, ++probe, 1, 0);
    } while ((await crowd.tally([probe], 2_000)).missing > 0);
    await instance.post('/stream', { destination: '/topic/all', count: 20, millis: 100 });
    await crowd.tally([20]);

    let first = 2_000_000;
    for (const load of loads) {
      const count = load.perSecond * seconds;
      crowd.latencies = [];
      crowd.measuring = true;
      for (const { got } of crowd.members) got.clear();
      let expected = count;
      if (load.to === 'topic') {
        expected = count * sessions;
        await instance.post('/stream', { destination: '/topic/all', count, millis: 1000 / load.perSecond });
      } else {
        const users = crowd.users.slice(0, Math.min(count, sessions));
        await toUsers(users, first, Math.ceil(count / users.length), 1000 / load.perSecond);
        expected = users.length * Math.ceil(count / users.length);
      }
      first += count;
      await until('all to arrive', () => crowd.arrived >= expected, 5_000).catch(() => {}); // the table says what is missing
      crowd.measuring = false;
      const { arrived, repeated, latencies } = crowd;
      const at = part => percentile(latencies, part).toFixed(2);
      const counts = [expected, arrived, expected - arrived, repeated].join(' | ');
      console.log(`| ${name} | ${load.name} | ${counts} | ${at(0.5)} | ${at(0.99)} | ${at(1)} |`);
    }
  } finally {
    await crowd.close();
    await instance.stop();
  }
}
