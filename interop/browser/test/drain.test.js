// Nodes that are taken out of service politely: the broker closes, the page moves over, nothing is lost and nothing sent twice.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { skip } from '../harness/needs.js';
import { pair } from '../harness/pictures.js';
import { setStage } from '../harness/stage.js';
import { assertSame, keepTalking, watch } from '../harness/talk.js';

describe('a node that drains', { skip }, () => {
  let stage;
  before(async () => {
    stage = await setStage();
  });
  after(() => stage?.end());

  const drain = async node => {
    const answer = await fetch(`http://${stage.cluster.nodes[node - 1].admin}/drain`, { method: 'POST' });
    assert.ok(answer.ok, `POST /drain: ${answer.status} ${await answer.text()}`);
  };
  /** Waits until the process of a node has ended: it drains, then exits. */
  const ended = async node => {
    for (const deadline = Date.now() + 60_000; Date.now() < deadline; ) {
      const { running, exitCode } = (await stage.cluster.status())[node - 1];
      if (!running) return exitCode;
    }
    throw new Error(`node ${node} still runs 60 s after its drain began`);
  };
  const ways = {
    'POST /drain': async node => {
      await drain(node);
      return ended(node);
    },
    SIGTERM: node => stage.cluster.stop(node),
  };

  for (const [way, leave] of Object.entries(ways)) {
    it(`sends its page on by ${way}, while all go on talking`, async () => {
      const node = way === 'SIGTERM' ? 3 : 2;
      const rooms = [way === 'SIGTERM' ? 'stopped' : 'drained'];
      const [alice, bob] = [await stage.open({ name: 'alice', node: 1, rooms }), await stage.open({ name: 'bob', node, rooms })];
      const moved = watch(
        (async () => {
          await alice.seesCount(10);
          const [exitCode] = await Promise.all([leave(node), bob.readyAt({ not: node })]);
          return exitCode;
        })(),
      );
      const spoken = await Promise.all([
        keepTalking(alice, 'Packed: order', { until: () => moved.done }),
        keepTalking(bob, 'Shipped: order', { until: () => moved.done, ahead: 5 }),
      ]);
      assert.equal(await moved.promise, 0, 'exit code of the node');
      await assertSame([alice, bob], ...spoken);
      assert.deepEqual((await bob.journal()).slice(0, 2), [`connected to node ${node}`, `node ${node} sent us on`], "what happened to bob's connection");
      assert.deepEqual(await alice.journal(), ['connected to node 1'], "what happened to alice's connection");
      for (const visitor of [alice, bob]) assert.equal((await visitor.tallies()).twins, 0, `messages that came twice to ${visitor.name}`);
      await bob.sees('the notice of the broker', () => document.querySelector('#banner:not([hidden])[data-kind=notice]')?.textContent.length > 0);
      assert.ok(await alice.page.locator('#banner').isHidden(), "a notice at alice, whose node does not drain");
      await pair(way === 'SIGTERM' ? 'node-stopped' : 'node-drained', alice, bob);
      await stage.cluster.start(node);
      for (const visitor of [alice, bob]) await visitor.close();
    });
  }
});
