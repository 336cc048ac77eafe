// Pages that are reloaded: they go on from what the browser kept.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { skip } from '../harness/needs.js';
import { setStage } from '../harness/stage.js';
import { assertSame, keepTalking, watch } from '../harness/talk.js';

describe('a page that is reloaded', { skip }, () => {
  let stage;
  before(async () => {
    stage = await setStage();
  });
  after(() => stage?.end());

  /** The header of the last SUBSCRIBE to a destination that a page sent. */
  const subscribed = (visitor, destination) => visitor.frames.findLast(({ to, text }) => to === 'broker' && text.startsWith('SUBSCRIBE\n') && text.includes(`destination:${destination}\n`)).text;

  it('resumes after the last message that it kept, while the other goes on sending', async () => {
    const [alice, bob] = [await stage.open({ name: 'alice', node: 1, rooms: ['reload'] }), await stage.open({ name: 'bob', node: 2, rooms: ['reload'] })];
    const again = watch(
      (async () => {
        for (const count of [10, 20, 30]) {
          await bob.seesCount(count);
          await bob.page.reload();
          await bob.ready();
        }
      })(),
    );
    const said = await keepTalking(alice, 'alice', { until: () => again.done });
    await again.promise;
    await assertSame([alice, bob], said);
    assert.match(subscribed(bob, '/topic/chat.reload'), /\nresume-after:[A-Za-z0-9_.-]+\n/);
    for (const visitor of [alice, bob]) await visitor.close();
  });

  it('shows what it kept while no node answers, and what was missed when one does', async () => {
    const [alice, bob] = [await stage.open({ name: 'alice', node: 1, rooms: ['closed'] }), await stage.open({ name: 'bob', node: 2, rooms: ['closed'] })];
    await alice.say('Before');
    await bob.seesText('Before');
    await bob.page.goto('about:blank');
    await alice.say('While Bob is away');
    await alice.nothingPending();
    await stage.cluster.killAll();
    await bob.page.goBack();
    await bob.seesText('Before');
    await bob.sees('that no node answers', () => document.querySelectorAll('.node[data-state=failed]').length >= 2);
    assert.ok(['connecting', 'reconnecting'].includes(await bob.badge()), `the badge is ${await bob.badge()} when no node answers`);
    assert.deepEqual(await bob.texts(), ['Before']);
    await stage.cluster.startAll();
    await bob.ready();
    await alice.ready();
    await alice.say('All of them are back');
    await assertSame([alice, bob], ['Before', 'While Bob is away', 'All of them are back']);
    for (const visitor of [alice, bob]) await visitor.close();
  });

  it('still says what it had said to a node that hung', async () => {
    const leader = await stage.cluster.leader();
    const hung = (leader % 3) + 1;
    const [alice, bob] = [await stage.open({ name: 'alice', node: leader, rooms: ['kept'] }), await stage.open({ name: 'bob', node: hung, rooms: ['kept'] })];
    await stage.cluster.pause(hung);
    try {
      for (const text of ['Do you hear me?', 'Hello?']) await bob.say(text);
      await bob.sees('both on their way', () => document.querySelectorAll('.pending[data-state=waiting]').length === 2);
      await bob.page.reload();
      await bob.readyAt({ not: hung });
      await alice.seesText('Hello?');
    } finally {
      await stage.cluster.resume(hung);
    }
    await alice.say('Twice is not needed');
    await assertSame([alice, bob], ['Do you hear me?', 'Hello?', 'Twice is not needed']);
    for (const visitor of [alice, bob]) await visitor.close();
  });

  it('forgets nothing of private messages', async () => {
    const [alice, bob] = [await stage.open({ name: 'alice', node: 1, with: 'bob' }), await stage.open({ name: 'bob', node: 2, with: 'alice' })];
    await alice.say('First');
    await bob.seesText('First');
    await bob.page.goto('about:blank');
    await alice.say('Second');
    await alice.nothingPending();
    await bob.page.goBack();
    await bob.seesText('Second');
    await bob.ready();
    assert.deepEqual(await bob.texts(), ['First', 'Second']);
    assert.match(subscribed(bob, '/user/queue/private'), /\nresume-after:[A-Za-z0-9_.-]+\n/);
    for (const visitor of [alice, bob]) {
      await visitor.fine();
      await visitor.close();
    }
  });
});
