// Three nodes, and the leader is killed in the middle: who is on a survivor notices nothing, the others come back by stompjs's own means.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startCluster } from '../../harness/cluster.js';
import { until } from '../../harness/lines.js';
import { connect, ways } from '../harness/session.js';
import { Follower, Publisher, Worker } from '../harness/survivor.js';

const batch = 10; // messages before, during and after the end of the leader
const times = (list, body) => list.filter(each => each === body).length;

for (const way of ways.filter(({ transport, version }) => transport === 'websocket' || version === '1.2')) {
  describe(`a killed leader over ${way.title}`, () => {
    /** Runs a story on a cluster; `on` makes clients, `strike` kills the leader while the publishers send. */
    async function disaster(story) {
      const cluster = await startCluster();
      const clients = [];
      try {
        const dead = await cluster.leader();
        const alive = [1, 2, 3].filter(number => number !== dead);
        await story({
          cluster,
          here: [alive[0]],
          there: [alive[1]],
          everywhere: [dead, ...alive],
          async on(Kind, numbers, ...rest) {
            const client = new Kind(cluster, way, numbers, ...rest);
            clients.push(client);
            await client.connected();
            await client.subscribed;
            return client;
          },
          async strike(...publishers) {
            await Promise.all(publishers.map(publisher => publisher.publish(batch)));
            const during = publishers.map(publisher => publisher.publish(batch)); // on their way when the leader dies
            assert.equal(await cluster.kill('leader'), dead);
            await Promise.all([...during, ...publishers.map(publisher => publisher.publish(batch))]);
          },
        });
      } finally {
        await Promise.allSettled(clients.map(client => client.end()));
        await cluster.end();
      }
    }

    it('is not noticed on a surviving node, and followed by the others without a gap', () =>
      disaster(async ({ on, strike, here, there, everywhere }) => {
        const topic = '/topic/news';
        const staying = await on(Follower, here, topic);
        const coming = await on(Follower, everywhere, topic);
        const steady = await on(Publisher, there, topic, 'steady');
        const restless = await on(Publisher, everywhere, topic, 'restless');
        await strike(steady, restless);
        assert.ok(await steady.send(topic, 'the end'));
        for (const follower of [staying, coming]) await until('the end', () => follower.got.at(-1) === 'the end');

        assert.deepEqual([staying.dials, steady.dials, steady.repeated], [1, 1, []], 'dials and repeats of who is on a survivor');
        assert.ok(coming.dials > 1 && restless.dials > 1, `dials of who was on the leader: ${coming.dials}, ${restless.dials}`);
        assert.deepEqual(coming.got, staying.got, 'who resumed against who stayed');
        for (const { sent, repeated } of [steady, restless]) {
          for (const body of sent) {
            const [count, most] = [times(staying.got, body), 1 + times(repeated, body)];
            assert.ok(count >= 1 && count <= most, `${body} came ${count} times, want 1 to ${most}`);
          }
        }
        assert.deepEqual(staying.got.filter(body => steady.sent.includes(body)), steady.sent, 'the order of one session');
      }));

    it('loses no queue message, and brings none back that was settled', () =>
      disaster(async ({ cluster, on, strike, here, there, everywhere }) => {
        const queue = '/queue/jobs';
        const staying = await on(Worker, here, queue);
        const coming = await on(Worker, everywhere, queue);
        const publisher = await on(Publisher, there, queue, 'job');
        await strike(publisher);
        await until('acknowledgements of all jobs', () =>
          publisher.sent.every(body => staying.settled.has(body) || coming.settled.has(body) || coming.unsure.has(body)),
        );
        assert.deepEqual([staying.dials, publisher.dials, publisher.repeated], [1, 1, []], 'dials and repeats of who is on a survivor');
        assert.deepEqual([staying.late, coming.late], [[], []], 'jobs that came again after the receipt of their ACK');
        for (const worker of [staying, coming]) await worker.client.deactivate();

        const broker = { webSocketURL: cluster.webSocketURL(here[0]), stompPort: cluster.port(here[0]) };
        const session = await connect(broker, way);
        await session.send(queue, 'marker');
        const inbox = await session.subscribe(queue);
        const left = [];
        for (let { body } = await inbox.next(); body !== 'marker'; { body } = await inbox.next()) left.push(body);
        // What is left was acknowledged without a receipt by who was on the leader, and by nobody else.
        assert.deepEqual(left.filter(body => staying.settled.has(body) || coming.settled.has(body) || !coming.unsure.has(body)), []);
        await session.close();
      }));
  });
}
