// What several tests let people do and then look at: talk without end, and compare what everybody sees.

import assert from 'node:assert/strict';

const linesMax = 400; // of one speaker; the page shows 500 messages

/** Says numbered lines, `ahead` of those that have come round, until `until` has become true and `more` lines after that were said. */
export async function keepTalking(visitor, words, { until, more = 10, ahead = 1 }) {
  const said = [];
  for (let left = more; left > 0; ) {
    assert.ok(said.length < linesMax, `${visitor.name} has said ${linesMax} lines, and what was waited for is not there`);
    const text = `${words} ${said.length + 1}`;
    await visitor.say(text);
    await visitor.sees('its messages come round', ahead => document.querySelectorAll('.pending').length < ahead, ahead);
    said.push(text);
    if (until()) left--;
  }
  return said;
}

/** Everybody sees exactly these messages: each once, each speaker's in his order, and all in one order for all. */
export async function assertSame(visitors, ...spoken) {
  const count = spoken.flat().length;
  for (const visitor of visitors) {
    await visitor.nothingPending();
    await visitor.seesCount(count);
  }
  const first = await visitors[0].texts();
  for (const said of spoken) {
    const own = new Set(said);
    assert.deepEqual(first.filter(text => own.has(text)), said, `what ${visitors[0].name} sees of one speaker`);
  }
  assert.equal(first.length, count, `messages that ${visitors[0].name} sees`);
  for (const visitor of visitors.slice(1)) assert.deepEqual(await visitor.texts(), first, `what ${visitor.name} sees, and ${visitors[0].name}`);
  for (const visitor of visitors) await visitor.fine();
}

/** A promise as something that can be asked whether it is done. */
export function watch(promise) {
  const watched = { done: false, promise };
  promise.then(
    () => (watched.done = true),
    () => (watched.done = true), // whoever awaits it is told
  );
  return watched;
}
