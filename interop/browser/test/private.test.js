// Private messages: they arrive at their addressee, in all his tabs, on every node, and nowhere else.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { skip } from '../harness/needs.js';
import { pair } from '../harness/pictures.js';
import { setStage } from '../harness/stage.js';

describe('private messages', { skip }, () => {
  let stage;
  before(async () => {
    stage = await setStage({ rooms: ['lobby', 'orders'] });
  });
  after(() => stage?.end());

  it('arrive in all tabs of the addressee on every node, in those of the sender, and nowhere else', async () => {
    const alice = await stage.open({ name: 'alice', node: 1 });
    const aliceToo = await stage.open({ name: 'alice', node: 3 });
    const bob = await stage.open({ name: 'bob', node: 2 });
    const bobBeside = await stage.open({ name: 'bob', node: 3, beside: bob });
    const bobElsewhere = await stage.open({ name: 'bob', node: 1 });
    const carol = await stage.open({ name: 'carol', node: 2 });
    await bob.say('Morning, all ☕');
    for (const visitor of [alice, carol]) await visitor.seesText('Morning, all ☕');
    await alice.goTo('@bob');
    await alice.say('The surprise party is on Thursday 🎂');
    await alice.say('Not a word to Carol');
    const said = ['The surprise party is on Thursday 🎂', 'Not a word to Carol'];
    for (const visitor of [alice, aliceToo, bob, bobBeside, bobElsewhere]) {
      const other = visitor.name === 'alice' ? '@bob' : '@alice';
      await visitor.sees('the conversation', key => document.querySelector(`[data-key="${key}"]`) !== null, other);
      await visitor.goTo(other);
      await visitor.seesCount(2);
      assert.deepEqual(await visitor.texts(), said, `what ${visitor.name} sees`);
    }
    await bob.say('My lips are sealed');
    for (const visitor of [alice, aliceToo, bobBeside, bobElsewhere]) await visitor.seesText('My lips are sealed');

    // All is in one log: had Carol been given any of it, it would have come before what she gets now.
    await aliceToo.goTo('#lobby');
    await aliceToo.say('Carol, are you coming?');
    await carol.seesText('Carol, are you coming?');
    const leaked = carol.frames.filter(({ text }) => [...said, 'My lips are sealed'].some(secret => text.includes(secret)));
    assert.deepEqual(leaked, [], "private frames on Carol's WebSocket");
    assert.deepEqual(await carol.texts(), ['Morning, all ☕', 'Carol, are you coming?']);
    await pair('private', alice, bob);
    for (const visitor of [alice, aliceToo, bob, bobBeside, bobElsewhere, carol]) {
      await visitor.fine();
      await visitor.close();
    }
  });

  it('wait for a user who has no page open', async () => {
    const alice = await stage.open({ name: 'alice', node: 1, with: 'dave' });
    for (const text of ['Welcome, Dave', 'Your desk is by the window']) await alice.say(text);
    await alice.seesCount(2);
    await alice.nothingPending();
    const dave = await stage.open({ name: 'dave', node: 3, with: 'alice' });
    await dave.seesText('Your desk is by the window');
    assert.deepEqual(await dave.texts(), ['Welcome, Dave', 'Your desk is by the window']);
    await alice.say('Lunch at noon?');
    await dave.seesText('Lunch at noon?');
    for (const visitor of [alice, dave]) {
      await visitor.fine();
      await visitor.close();
    }
  });
});
