// The books see each thing that can go wrong: a soak that cannot fail proves nothing.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Numbers } from '../books/numbers.js';
import { Reach } from '../books/reach.js';
import { Faults, Reading } from '../books/reading.js';
import { Stream } from '../books/stream.js';
import { Work } from '../books/work.js';

/** A stream of which so many messages have been sent and receipted. */
function streamOf(count, id = 'p>/topic/t') {
  const stream = new Stream(id, '/topic/t');
  for (let i = 0; i < count; i++) stream.receipt(stream.next());
  return stream;
}

function readingOf() {
  const faults = new Faults();
  return { faults, reading: new Reading({ name: 's', faults }) };
}

describe('numbers', () => {
  it('know what they lack of others, in whatever order they came', () => {
    const [some, all] = [new Numbers(), new Numbers()];
    for (const n of [2, 1, 4, 7]) some.add(n);
    for (const n of [1, 2, 3, 4, 5, 7, 9]) all.add(n);
    assert.deepEqual(some.lacking(all), [3, 5, 9]);
    assert.deepEqual(all.lacking(some), []);
    assert.equal(some.size, 4);
  });
});

describe('a reading', () => {
  it('is without fault when each message came once, in order', () => {
    const stream = streamOf(3);
    const { faults, reading } = readingOf();
    [1, 2, 3].forEach(n => reading.take(stream, n, 1, 10 * n));
    assert.deepEqual(faults.counts, {});
    assert.deepEqual(reading.missing([stream]), []);
  });

  it('misses what was receipted and did not come, and not what was only sent', () => {
    const stream = streamOf(3);
    stream.next(); // the fourth has no receipt
    const { reading } = readingOf();
    reading.take(stream, 1, 1);
    reading.take(stream, 3, 1);
    assert.match(reading.missing([stream]).join(), /^s: number 2 of p>\/topic\/t, receipted at [^,]*$/);
    assert.match(reading.missing([streamOf(1, 'other')]).join(), /^s: number 1 of other, receipted at [^,]*$/);
  });

  for (const [what, takes, counts] of [
    ['the same copy twice', [[1, 1], [1, 1]], { again: 1 }],
    ['a second copy twice', [[1, 1], [1, 2], [1, 2]], { again: 1 }],
    ['the first copy twice around a second', [[1, 2], [1, 1], [1, 1]], { again: 1 }],
    ['each copy of a repeated message once', [[1, 1], [1, 2], [2, 2], [2, 1]], {}],
    ['a message behind a later one', [[1, 1], [3, 1], [2, 1]], { disorder: 1 }],
    ['a late copy of an earlier one', [[1, 1], [2, 1], [1, 2]], {}],
  ]) {
    it(`calls ${what} ${Object.keys(counts)[0] ?? 'no fault'}`, () => {
      const stream = streamOf(3);
      const { faults, reading } = readingOf();
      for (const [number, copy] of takes) reading.take(stream, number, copy);
      assert.deepEqual(faults.counts, counts);
    });
  }

  it('calls an offset that does not rise a fault', () => {
    const stream = streamOf(3);
    const { faults, reading } = readingOf();
    reading.take(stream, 1, 1, 5);
    reading.take(stream, 2, 1, 5);
    reading.take(stream, 3, 1, 4);
    assert.deepEqual(faults.counts, { position: 2 });
  });

  it('asks no order of what its publisher sent again behind later ones', () => {
    const stream = streamOf(3);
    const { faults, reading } = readingOf();
    stream.overtake(2);
    [1, 3, 2].forEach(n => reading.take(stream, n, 1));
    assert.deepEqual(faults.counts, {});
  });
});

describe('work', () => {
  const workOf = () => {
    const faults = new Faults();
    return { faults, work: new Work({ faults }) };
  };

  it('misses what was receipted and never processed', () => {
    const stream = streamOf(2);
    const { work } = workOf();
    work.take(stream, 2, 1, false, 'c');
    assert.match(work.missing([stream]).join(), /^number 1 of p>\/topic\/t, receipted at [^,]*$/);
  });

  for (const copy of [1, 2]) {
    it(`calls a message that comes after its ACK was receipted a fault, copy ${copy}`, () => {
      const stream = streamOf(1);
      const { faults, work } = workOf();
      work.take(stream, 1, copy, false, 'c');
      work.settle(stream, 1, copy, 'receipt');
      work.take(stream, 1, copy, true, 'd');
      assert.deepEqual(faults.counts, { again: 1 });
    });
  }

  it('lets a message come again whose ACK has no receipt, or whose other copy was acknowledged', () => {
    const stream = streamOf(1);
    const { faults, work } = workOf();
    work.take(stream, 1, 1, false, 'c');
    work.settle(stream, 1, 1, 'lost');
    work.take(stream, 1, 1, true, 'd');
    work.settle(stream, 1, 1, 'receipt');
    work.take(stream, 1, 2, false, 'd');
    assert.deepEqual(faults.counts, {});
    assert.deepEqual([work.acked, work.ackInDoubt, work.redelivered], [1, 1, 1]);
  });

  it('calls a second delivery that does not say so a fault', () => {
    const stream = streamOf(1);
    const { faults, work } = workOf();
    work.take(stream, 1, 1, false, 'c');
    work.take(stream, 1, 1, false, 'd');
    assert.deepEqual(faults.counts, { unmarked: 1 });
  });
});

describe('a reach', () => {
  it('misses only what came to nobody', () => {
    const stream = streamOf(3);
    const reach = new Reach();
    [3, 1, 1].forEach(n => reach.take(stream, n));
    assert.match(reach.missing([stream]).join(), /^number 2 of p>\/topic\/t, receipted at [^,]*$/);
    assert.equal(reach.received, 3);
  });
});
