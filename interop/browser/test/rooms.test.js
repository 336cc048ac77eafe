// Rooms: people on different nodes see the same, in the same order.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { skip } from '../harness/needs.js';
import { pair } from '../harness/pictures.js';
import { setStage } from '../harness/stage.js';

describe('rooms', { skip }, () => {
  let stage;
  before(async () => {
    stage = await setStage({ rooms: ['lobby', 'orders', 'night-shift'] });
  });
  after(() => stage?.end());

  it('show two people on different nodes the same messages in the same order', async () => {
    const alice = await stage.open({ name: 'alice', node: 1 });
    const bob = await stage.open({ name: 'bob', node: 2 });
    const lines = who => Array.from({ length: 20 }, (_, i) => `${who} ${i + 1}`);
    const talk = async (visitor, texts) => {
      for (const text of texts) await visitor.say(text);
    };
    await Promise.all([talk(alice, lines('alice')), talk(bob, lines('bob'))]);
    for (const visitor of [alice, bob]) {
      await visitor.seesCount(40);
      await visitor.nothingPending();
    }
    const [here, there] = [await alice.texts(), await bob.texts()];
    assert.deepEqual(there, here, 'what bob sees, and alice');
    assert.deepEqual(await bob.ids(), await alice.ids(), 'message-ids at bob, and at alice');
    for (const who of ['alice', 'bob']) assert.deepEqual(here.filter(text => text.startsWith(who)), lines(who), `order of what ${who} said`);
    for (const visitor of [alice, bob]) {
      await visitor.fine();
      assert.deepEqual((await visitor.tallies()).twins, 0, 'messages sent twice');
      await visitor.close();
    }
  });

  it('keep apart what is said in each, and count what was not read', async () => {
    const alice = await stage.open({ name: 'alice', node: 2, room: 'orders' });
    const bob = await stage.open({ name: 'bob', node: 3, room: 'night-shift' });
    await alice.say('Order 1017: two crates, by Friday');
    await alice.say('Order 1018: one crate');
    await bob.say('Who has the keys?');
    await alice.sees('one unread message in #night-shift', () => document.querySelector('[data-key="#night-shift"] .unread')?.textContent === '1');
    await bob.sees('two unread messages in #orders', () => document.querySelector('[data-key="#orders"] .unread')?.textContent === '2');
    assert.deepEqual(await bob.texts(), ['Who has the keys?']);
    await bob.goTo('#orders');
    assert.deepEqual(await bob.texts(), ['Order 1017: two crates, by Friday', 'Order 1018: one crate']);
    assert.equal(await bob.page.locator('[data-key="#orders"] .unread').count(), 0, 'counts of unread messages once read');
    await bob.say('Crates are packed 📦 — they leave at noon');
    await alice.seesCount(3);
    await pair('two-nodes', alice, bob);
    for (const visitor of [alice, bob]) {
      await visitor.fine();
      await visitor.close();
    }
  });

  it('show the last 50 messages to somebody who is new', async () => {
    const alice = await stage.open({ name: 'alice', node: 1, rooms: ['new'] });
    const said = Array.from({ length: 60 }, (_, i) => `line ${i + 1}`);
    for (const text of said) await alice.say(text);
    await alice.seesCount(60);
    await alice.nothingPending();
    const carol = await stage.open({ name: 'carol', node: 3, rooms: ['new'] });
    await carol.seesText('line 60');
    assert.deepEqual(await carol.texts(), said.slice(-50));
    await alice.say('line 61');
    await carol.seesText('line 61');
    assert.deepEqual(await carol.texts(), [...said.slice(-50), 'line 61']);
    for (const visitor of [alice, carol]) {
      await visitor.fine();
      await visitor.close();
    }
  });
});
