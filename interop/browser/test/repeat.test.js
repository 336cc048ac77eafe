// Repetitions: what was said again because its receipt was lost is in the log twice and on the screen once.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { skip } from '../harness/needs.js';
import { setStage } from '../harness/stage.js';
import { assertSame } from '../harness/talk.js';

describe('a message whose receipt was lost', { skip }, () => {
  let stage;
  before(async () => {
    stage = await setStage();
  });
  after(() => stage?.end());

  const conversations = { 'in a room': [{ rooms: ['twice'] }, { rooms: ['twice'] }], privately: [{ with: 'bob' }, { with: 'alice' }] };
  for (const [kind, places] of Object.entries(conversations)) {
    it(`is said again, ${kind}, and shown once`, async () => {
      const text = `Did you get this? (${kind})`;
      let cut = false;
      // Between the page and the broker: takes the SEND to the broker, and nothing that comes back after it to the page.
      const lossy = page =>
        page.routeWebSocket(/\/ws$/, socket => {
          const broker = socket.connectToServer();
          let silent = false;
          socket.onMessage(data => {
            if (!cut && String(data).includes(text)) cut = silent = true;
            broker.send(data);
          });
          broker.onMessage(data => {
            if (!silent) socket.send(data);
          });
          lossy.hangUp = () => Promise.all([socket.close({ code: 4000 }), broker.close({ code: 4000 })]);
        });
      const bob = await stage.open({ name: 'bob', node: 2, ...places[1] });
      const alice = await stage.open({ name: 'alice', node: 1, ...places[0], before: lossy });
      await alice.say('First');
      await bob.seesText('First');
      await alice.nothingPending();
      await alice.say(text);
      await bob.seesText(text); // so it is in the log
      assert.ok(!(await alice.texts()).includes(text), 'alice sees her message, whose way back is cut');
      await lossy.hangUp();
      await alice.readyAt({ not: 1 });
      await alice.nothingPending();
      await alice.say('Last');
      await assertSame([alice, bob], ['First', text, 'Last']);
      for (const visitor of [alice, bob]) {
        assert.equal((await visitor.tallies()).twins, 1, `repetitions that ${visitor.name} was given and did not show`);
        await visitor.close();
      }
    });
  }
});
