// The verdicts: what is flat and what grows, and what makes a soak fail.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { judge } from '../flat.js';
import { failures } from '../report.js';
import { readSettings } from '../settings.js';

const MiB = 1 << 20;

/** Samples of one process, every 15 s for ten minutes, each made from its age. */
const life = change =>
  Array.from({ length: 40 }, (_, i) => {
    const age = 15 * (i + 1);
    const flat = { rss: 90 * MiB, heap: 30 * MiB, nextGC: 40 * MiB, goroutines: 80, fds: 50, connections: 20, applied: 100 * age };
    return { node: 1, started: 1, at: age * 1000, age, ...flat, ...change(age) };
  });

describe('a process', () => {
  const flat = samples => judge(samples).map(({ flat }) => flat);
  it('that stays as it is, is flat', () => assert.deepEqual(flat(life(() => ({}))), [true]));
  it('that keeps what the log may have in memory, is flat', () =>
    assert.deepEqual(flat(life(age => ({ nextGC: 40 * MiB + 2 * 500 * 100 * age }))), [true]));
  it('that keeps ten times as much, grows', () =>
    assert.deepEqual(flat(life(age => ({ nextGC: 40 * MiB + 2 * 5000 * 100 * age }))), [false]));
  it('whose goroutines rise without connections, grows', () => assert.deepEqual(flat(life(age => ({ goroutines: 80 + age / 10 }))), [false]));
  it('whose goroutines rise with its connections, is flat', () =>
    assert.deepEqual(flat(life(age => ({ goroutines: 80 + age / 10, connections: 20 + age / 20 }))), [true]));
  it('whose files rise without connections, grows', () => assert.deepEqual(flat(life(age => ({ fds: 50 + age / 10 }))), [false]));
  it('that lived for four minutes is not judged', () => assert.deepEqual(judge(life(() => ({})).slice(0, 16)), []));
});

describe('a soak', () => {
  const good = () => ({
    kinds: { topics: { lost: 0, lostFirst: [], faults: {}, faultsFirst: [], received: 10, unreceipted: 0 } },
    crashes: [], exitCodes: [0], queuesLeft: [], sessionQueues: { most: 8, left: [] }, digests: ['x'], verified: [{ node: 1, ok: true }], samples: [{}],
  });
  it('that found nothing has not failed', () => assert.deepEqual(failures(good()), []));
  for (const [what, spoil] of [
    ['lost something', report => Object.assign(report.kinds.topics, { lost: 1, lostFirst: ['it'] })],
    ['saw a fault', report => Object.assign(report.kinds.topics, { faults: { again: 1 }, faultsFirst: ['again: it'] })],
    ['received nothing', report => (report.kinds.topics.received = 0)],
    ['has messages without a receipt', report => (report.kinds.topics.unreceipted = 1)],
    ['saw a crash', report => report.crashes.push({ node: 1 })],
    ['saw a stop that was none', report => report.exitCodes.push(1)],
    ['left messages in queues', report => report.queuesLeft.push({ name: 'q' })],
    ['left queues of sessions', report => report.sessionQueues.left.push('q')],
    ['saw no queue of a session', report => (report.sessionQueues.most = 0)],
    ['has nodes that differ', report => report.digests.push('y')],
    ['has a log that proves nothing', report => (report.verified[0] = { node: 1, ok: false, faults: ['it'] })],
    ['could not sample', report => (report.samples = [])],
    ['broke', report => (report.broken = 'it')],
    ['was interrupted', report => (report.interrupted = true)],
  ]) {
    it(`that ${what} has failed`, () => {
      const report = good();
      spoil(report);
      assert.equal(failures(report).length, 1, JSON.stringify(failures(report)));
    });
  }
});

describe('settings', () => {
  it('are read from the environment, and from flags before it', () => {
    const { seconds, seed } = readSettings(['--seed=5'], { SOAK: '3m', SEED: '4' });
    assert.deepEqual([seconds, seed], [180, 5]);
  });
  it('have a seed of their own when none is given', () => assert.ok(readSettings([], {}).seed > 0));
  for (const SOAK of ['3', 'long', '10s', '25h']) {
    it(`refuse a time of ${SOAK}`, () => assert.throws(() => readSettings([], { SOAK }), /SOAK is/));
  }
});
