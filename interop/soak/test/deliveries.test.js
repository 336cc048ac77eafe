// Which unreceipted deliveries were due: only those that nothing had disturbed.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Arrivals } from '../books/arrivals.js';
import { Faults } from '../books/reading.js';
import { Deliveries } from '../books/deliveries.js';

const at = 100_000;

function judged({ got = [], connected = [0, 200_000], disturbed = () => false, message = {} } = {}) {
  const deliveries = new Deliveries({ before: () => 3000, after: 8000, disturbed });
  deliveries.sent({ number: deliveries.next(), at, from: 'one', user: 'ann', ...message });
  const browser = {
    name: 'b', user: 'ann', instance: 'two', arrivals: new Set(got), connectedAll: (from, until) => connected[0] <= from && connected[1] >= until,
  };
  const { due, missing } = deliveries.judge([browser]);
  return [due, missing.length];
}

describe('a delivery', () => {
  it('that was due and came is not missing', () => assert.deepEqual(judged({ got: [1] }), [1, 0]));
  it('that was due and did not come is missing', () => assert.deepEqual(judged(), [1, 1]));
  it('to the topic is due to all', () => assert.deepEqual(judged({ message: { user: undefined } }), [1, 1]));
  it('to somebody else is not due', () => assert.deepEqual(judged({ message: { user: 'bob' } }), [0, 0]));
  it('is not due to who connected a moment before', () => assert.deepEqual(judged({ connected: [at - 2000, 200_000] }), [0, 0]));
  it('is not due to who left a moment later', () => assert.deepEqual(judged({ connected: [0, at + 2000] }), [0, 0]));
  for (const instance of ['one', 'two']) {
    it(`is not due when instance ${instance} was disturbed meanwhile`, () => {
      const disturbed = (name, from, until) => name === instance && from <= at && until >= at;
      assert.deepEqual(judged({ disturbed }), [0, 0]);
    });
  }
});

describe('an arrival', () => {
  const taken = (...arrivals) => {
    const faults = new Faults();
    const book = new Arrivals({ name: 'b', faults });
    for (const [number, copy, maySendTwice] of arrivals) book.take(number, copy, { maySendTwice });
    return [book.received, book.repeated, faults.counts];
  };
  it('of another message is another', () => assert.deepEqual(taken([1, 'a', false], [2, 'b', false]), [2, 0, {}]));
  it('of one SEND, twice, is the broker\'s fault', () => assert.deepEqual(taken([1, 'a', true], [1, 'a', true]), [2, 0, { again: 1 }]));
  it('of two SENDs for a user is the framework\'s doing', () => assert.deepEqual(taken([1, 'a', true], [1, 'b', true]), [2, 1, {}]));
  it('of two SENDs to a topic is a fault', () => assert.deepEqual(taken([1, 'a', false], [1, 'b', false]), [2, 0, { again: 1 }]));
  it('without the number of its copy proves nothing', () => assert.deepEqual(taken([1, undefined, true]), [1, 0, { uncounted: 1 }]));
});
