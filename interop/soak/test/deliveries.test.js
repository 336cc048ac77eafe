// Which unreceipted deliveries were due: only those that nothing had disturbed.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Deliveries } from '../books/deliveries.js';

const at = 100_000;

function judged({ got = [], connected = [0, 200_000], disturbed = () => false, message = {} } = {}) {
  const deliveries = new Deliveries({ before: () => 3000, after: 8000, disturbed });
  deliveries.sent({ number: deliveries.next(), at, from: 'one', user: 'ann', ...message });
  const browser = {
    name: 'b', user: 'ann', instance: 'two', got: new Set(got), connectedAll: (from, until) => connected[0] <= from && connected[1] >= until,
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
