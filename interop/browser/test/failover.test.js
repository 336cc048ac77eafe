// Nodes that die: their pages go on at another node, nothing is missed and nothing is shown twice.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { skip } from '../harness/needs.js';
import { picture } from '../harness/pictures.js';
import { mobile } from '../harness/browser.js';
import { setStage } from '../harness/stage.js';
import { assertSame, keepTalking, watch } from '../harness/talk.js';

describe('a node that dies', { skip }, () => {
  let stage;
  before(async () => {
    stage = await setStage();
  });
  after(() => stage?.end());

  /** Two numbers of nodes that do not lead, and the one that does. */
  const roles = async () => {
    const leader = await stage.cluster.leader();
    return { leader, followers: [1, 2, 3].filter(n => n !== leader) };
  };

  it('costs its page nothing: it goes on elsewhere with every message once, and finds the node again when it is back', async () => {
    const { followers, leader } = await roles();
    const [alice, bob] = [await stage.open({ name: 'alice', node: leader, rooms: ['orders'] }), await stage.open({ name: 'bob', node: followers[0], rooms: ['orders'] })];
    await alice.say('Shift starts. I call out what is packed.');
    await bob.seesText('Shift starts. I call out what is packed.');

    const back = watch(stage.cluster.kill(followers[0]).then(() => bob.readyAt({ not: followers[0] })));
    const said = await keepTalking(alice, 'Packed: order', { until: () => back.done });
    await back.promise;
    await assertSame([alice, bob], ['Shift starts. I call out what is packed.', ...said]);
    assert.deepEqual((await bob.journal()).slice(0, 2), [`connected to node ${followers[0]}`, `lost node ${followers[0]}`]);
    assert.equal(await bob.page.locator('.line').count(), 1, 'lines that tell of the break');
    assert.deepEqual(await alice.journal(), [`connected to node ${leader}`], "what happened to alice's connection");
    await bob.say('Lost my node there for a second. Got all of it 👍');
    await alice.seesText('Lost my node there for a second. Got all of it 👍');

    await stage.cluster.start(followers[0]);
    await bob.sees('the node in good order again', n => document.querySelectorAll('.node')[n - 1].dataset.state === 'idle', followers[0]);
    await bob.page.getByRole('button', { name: `node ${followers[0]}` }).click();
    await bob.readyAt({ node: followers[0] });
    await bob.say('Back where I was.');
    await alice.seesText('Back where I was.');
    const carol = await stage.open({ name: 'carol', node: followers[0], rooms: ['orders'] });
    await carol.seesText('Back where I was.');
    const all = await alice.texts();
    assert.deepEqual(await bob.texts(), all, 'what bob sees, back on his node');
    assert.deepEqual(await carol.texts(), all.slice(-50), 'what somebody sees who is new on the node that was dead');
    for (const visitor of [alice, bob, carol]) {
      await visitor.fine();
      await visitor.close();
    }
  });

  it('loses nothing that its page was just saying', async () => {
    const { followers } = await roles();
    const [alice, bob] = [await stage.open({ name: 'alice', node: followers[1], rooms: ['both'] }), await stage.open({ name: 'bob', node: followers[0], rooms: ['both'] })];
    const killed = (async () => {
      await alice.seesCount(10);
      await stage.cluster.kill(followers[0]);
      await bob.readyAt({ not: followers[0] });
    })();
    const back = watch(killed);
    const spoken = await Promise.all([
      keepTalking(alice, 'alice', { until: () => back.done }),
      keepTalking(bob, 'bob', { until: () => back.done, ahead: 5 }),
    ]);
    await back.promise;
    await assertSame([alice, bob], ...spoken);
    await stage.cluster.start(followers[0]);
    for (const visitor of [alice, bob]) await visitor.close();
  });

  it('is nothing but a pause for pages on other nodes when it was the leader', async () => {
    const { followers, leader } = await roles();
    const [alice, bob] = [await stage.open({ name: 'alice', node: followers[0], rooms: ['pause'] }), await stage.open({ name: 'bob', node: followers[1], rooms: ['pause'] })];
    const next = watch(alice.seesCount(10).then(() => stage.cluster.kill(leader)).then(() => stage.cluster.leader()));
    const spoken = await Promise.all([
      keepTalking(alice, 'alice', { until: () => next.done }),
      keepTalking(bob, 'bob', { until: () => next.done, ahead: 5 }),
    ]);
    await next.promise;
    await assertSame([alice, bob], ...spoken);
    for (const [i, visitor] of [alice, bob].entries()) {
      assert.deepEqual(await visitor.journal(), [`connected to node ${followers[i]}`], `what happened to the connection of ${visitor.name}`);
      assert.equal((await visitor.tallies()).twins, 0, `messages that came twice to ${visitor.name}`);
    }
    await stage.cluster.start(leader);
    for (const visitor of [alice, bob]) await visitor.close();
  });

  it('is left by its page when it hangs', async () => {
    const { followers, leader } = await roles();
    const [alice, bob] = [await stage.open({ name: 'alice', node: leader, rooms: ['hang'] }), await stage.open({ name: 'bob', node: followers[0], rooms: ['hang'] })];
    await bob.say('One');
    await alice.seesText('One');
    await stage.cluster.pause(followers[0]);
    try {
      await bob.say('Is anybody there?');
      await alice.say('Two');
      await bob.readyAt({ not: followers[0] });
      await alice.seesText('Is anybody there?');
      await bob.seesText('Two');
      await bob.nothingPending();
    } finally {
      await stage.cluster.resume(followers[0]);
    }
    // What the node had taken before it hung may come a second time now. It may have been given up meanwhile, and send Carol on.
    const carol = await stage.open({ name: 'carol', node: followers[0], rooms: ['hang'] });
    await carol.say('Three');
    for (const visitor of [alice, bob, carol]) await visitor.seesText('Three');
    const all = await alice.texts();
    assert.deepEqual([...all].sort(), ['Is anybody there?', 'One', 'Three', 'Two'], 'what alice sees, sorted');
    for (const visitor of [bob, carol]) assert.deepEqual(await visitor.texts(), all, `what ${visitor.name} sees, and alice`);
    for (const visitor of [alice, bob, carol]) {
      await visitor.fine();
      await visitor.close();
    }
  });

  it('keeps what is said waiting, and says so, while no majority is there', async () => {
    const alice = await stage.open({ name: 'alice', node: 1, rooms: ['alone'] });
    await alice.say('All three are here');
    await alice.seesText('All three are here');
    await Promise.all([stage.cluster.kill(2), stage.cluster.kill(3)]);
    await alice.say('Is this on anybody else’s disk?');
    await alice.sees('the message waiting', () => document.querySelector('.pending[data-state=waiting] .text')?.textContent.startsWith('Is this'));
    assert.equal(await alice.badge(), 'connected', 'state of the connection without a majority');
    await picture('no-majority', alice);
    await picture('no-majority-mobile', alice, mobile);
    await stage.cluster.start(2);
    await alice.seesText('Is this on anybody else’s disk?');
    await stage.cluster.start(3);
    const bob = await stage.open({ name: 'bob', node: 3, rooms: ['alone'] });
    await assertSame([alice, bob], ['All three are here', 'Is this on anybody else’s disk?']);
    assert.deepEqual(await alice.journal(), ['connected to node 1'], "what happened to alice's connection");
    for (const visitor of [alice, bob]) await visitor.close();
  });
});
