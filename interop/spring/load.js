// Two instances on two nodes with very many browsers: every user is sent to from the other instance, calmly and while things are killed.
//
//   node load.js [--sessions 500] [--rounds 5]

import { parseArgs } from 'node:util';
import { until } from '../harness/lines.js';
import { Crowd } from './clients/crowd.js';
import { openStage } from './clients/stage.js';

const { values } = parseArgs({
  options: { sessions: { type: 'string', default: '500' }, rounds: { type: 'string', default: '5' } },
});
const sessions = Number(values.sessions);
const rounds = Number(values.rounds);

let failed = false;
let next = 1; // the number of the next round
const stage = await openStage();
try {
  const { cluster, one, two } = stage;
  const crowds = [new Crowd(one, sessions), new Crowd(two, sessions)];
  await Promise.all(crowds.map(crowd => crowd.open(['/user/queue/updates'])));
  console.log(`${sessions} sessions at each of two instances, half of them over SockJS`);

  /** Sends every user of a crowd some rounds from another instance; gives the numbers of the rounds that were taken whole. */
  const sendTo = async (crowd, from, first, count) => {
    const taken = [];
    for (let number = first; number < first + count; number++) {
      const { status, body } = await from
        .post('/to-users', { users: crowd.users, destination: '/queue/updates', first: number, rounds: 1, millis: 0 })
        .catch(error => ({ status: 0, body: String(error) }));
      if (status === 200 && body.failed === 0) taken.push(number);
    }
    return taken;
  };
  /** Says what came; fails where something is missing or came twice that may not. */
  const report = (what, crowd, tally, { missing = true, repeated = true } = {}) => {
    console.log(
      `${what.padEnd(64)} ${crowd.instance.name}: ${tally.expected} sent, ${tally.arrived} arrived, ${tally.missing} missing, ` +
        `${tally.repeated} repeated; ${crowd.closes()} connections lost`,
    );
    if ((repeated && tally.repeated > 0) || (missing && tally.missing > 0)) failed = true;
  };
  const both = async (what, count, meanwhile) => {
    const first = next;
    next += count;
    const sending = Promise.all([sendTo(crowds[0], two, first, count), sendTo(crowds[1], one, first, count)]);
    await meanwhile?.();
    const taken = await sending;
    for (const [i, crowd] of crowds.entries()) report(what, crowd, await crowd.tally(taken[i]));
  };
  const back = crowd => until('all sessions to come back', () => crowd.connected === sessions, 120_000);
  /**
   * Waits until both instances know the same sessions of all users. While word of them spreads, Spring may send twice, as it asks all and is told
   * meanwhile, or to where a user was.
   */
  const known = () =>
    until('both instances to know all sessions', async () => {
      const [a, b] = await Promise.all([one.get('/users'), two.get('/users')]);
      return a.count === 2 * sessions && b.count === 2 * sessions && a.sessionsHash === b.sessionsHash;
    }, 120_000);

  await known();
  await both('calm', rounds);

  await both('a node without an instance killed and started', rounds, async () => {
    await cluster.kill(3);
    await cluster.start(3);
  });

  // Instance two is restarted: the users of instance one are sent to from two, which is away meanwhile, so only what it took counts.
  {
    const first = next;
    next += 2 * rounds;
    const sending = sendTo(crowds[0], two, first, rounds);
    await crowds[0].begun(first);
    await two.stop('SIGTERM');
    await two.start();
    const taken = await sending;
    report('instance two restarted, meanwhile', crowds[0], await crowds[0].tally(taken), { repeated: false });
    await back(crowds[1]);
    await known();
    crowds[1].closes();
    await both('instance two restarted, after its sessions came back', rounds);
  }

  // The node of instance two is killed: its relay and its sessions come back by their own means.
  {
    const first = next;
    next += rounds;
    const sending = sendTo(crowds[1], one, first, rounds);
    await crowds[1].begun(first);
    await cluster.kill(2);
    const taken = await sending;
    await cluster.start(2);
    await until('the relay to come back', async () => (await two.get('/broker')).available, 60_000);
    await back(crowds[1]);
    report('the node of instance two killed, meanwhile (loss is possible)', crowds[1], await crowds[1].tally(taken, 1_000), { missing: false, repeated: false });
    report('the node of instance two killed, meanwhile', crowds[0], await crowds[0].tally([]));
    await known();
    await both('the node of instance two killed, after its sessions came back', rounds);
  }

  const digests = new Set(await cluster.agreement());
  if (digests.size !== 1) failed = true;
  await Promise.all(crowds.map(crowd => crowd.close()));
  await until('all queues to go', async () => (await cluster.queues(1)).length === 0, 60_000);
  console.log(`nodes agree: ${digests.size === 1}; no queue is left`);
} catch (error) {
  console.error(error);
  failed = true;
} finally {
  await stage.close();
}
process.exit(failed ? 1 : 0);
