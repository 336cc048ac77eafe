// Origins: pages from elsewhere are refused, and say so.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { skip } from '../harness/needs.js';
import { picture } from '../harness/pictures.js';
import { mobile } from '../harness/browser.js';
import { setStage } from '../harness/stage.js';

describe('a page', { skip }, () => {
  let stage;
  before(async () => {
    stage = await setStage({ origins: ({ port }) => [`http://*.chat.localhost:${port}`] });
  });
  after(() => stage?.end());

  /** The lines of a node's log that tell of a refused origin. */
  const refusals = async ({ log }) => (await readFile(log, 'utf8')).split('\n').filter(line => line.includes('foreign origin'));

  it('of an origin that is not allowed is refused by every node, and says what to do', async () => {
    const origin = `http://localhost:${stage.site.port}`; // the same machine, the same port, and not the same origin
    const mallory = await stage.open({ name: 'mallory', node: 1, origin, ready: false });
    await mallory.sees('that it is refused', () => document.querySelector('#badge')?.dataset.state === 'refused');
    const told = await mallory.sees('what to do', () => document.querySelector('#banner:not([hidden])[data-kind=trouble] span')?.textContent);
    assert.ok(told.includes(origin), `the banner says ${JSON.stringify(told)}, want the origin ${origin} in it`);
    assert.deepEqual(mallory.frames, [], 'what went over the WebSockets of a refused page');
    await mallory.say('Let me in');
    await mallory.sees('its message waiting', () => document.querySelector('.pending[data-state=waiting]') !== null);
    for (const node of stage.cluster.nodes) {
      const lines = await refusals(node);
      assert.ok(lines.length > 0 && lines.every(line => line.includes(origin)), `node ${node.number} logs ${JSON.stringify(lines)}, want refusals of ${origin}`);
    }
    await picture('foreign-origin', mallory);
    await picture('foreign-origin-mobile', mallory, mobile);
    const alice = await stage.open({ name: 'alice', node: 1 });
    await alice.say('Nobody from elsewhere is here');
    await alice.seesText('Nobody from elsewhere is here');
    assert.deepEqual(await alice.texts(), ['Nobody from elsewhere is here']);
    assert.deepEqual(mallory.faults, []);
    await alice.fine();
    await mallory.close();
    await alice.close();
  });

  it('of an origin that a pattern allows is let in', async () => {
    const zoe = await stage.open({ name: 'zoe', node: 2, origin: `http://support.chat.localhost:${stage.site.port}` });
    await zoe.say('In by a pattern');
    await zoe.seesText('In by a pattern');
    await zoe.fine();
    await zoe.close();
  });
});
