// The look of the page: in every state, on a large screen and on a small one, all of it is in sight, in its place, and can be read.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { skip } from '../harness/needs.js';
import { desktop, mobile } from '../harness/browser.js';
import { layoutFaults } from '../harness/layout.js';
import { pair, picture } from '../harness/pictures.js';
import { setStage } from '../harness/stage.js';

describe('the look of the page', { skip }, () => {
  let stage;
  before(async () => {
    stage = await setStage({ rooms: ['lobby', 'orders', 'night-shift'] });
  });
  after(() => stage?.end());

  const both = async (name, visitor) => {
    await picture(name, visitor, desktop);
    await picture(`${name}-mobile`, visitor, mobile);
  };

  it('is in order before somebody comes in, and lets him in', async () => {
    const nobody = await stage.open({ ready: false });
    await nobody.sees('the welcome', () => document.querySelectorAll('#welcome:not([hidden]) option').length === 3);
    await both('welcome', nobody);
    await nobody.page.fill('#welcome [name=name]', 'erin');
    await nobody.page.selectOption('#welcome [name=node]', 'node 3');
    await nobody.page.click('#welcome button');
    await nobody.readyAt({ node: 3 });
    assert.equal(new URL(nobody.page.url()).searchParams.get('name'), 'erin');
    assert.deepEqual(nobody.faults, []);
    await nobody.close();
  });

  it('is in order while it connects', async () => {
    const before = page => page.routeWebSocket(/\/ws$/, () => {}); // opens, and never says a word
    const alice = await stage.open({ name: 'alice', ready: false, before });
    await alice.sees('that it connects', () => document.querySelector('#badge')?.dataset.state === 'connecting');
    await both('connecting', alice);
    await alice.close();
  });

  it('tells the story of a node that is killed', async () => {
    const leader = await stage.cluster.leader();
    const node = (leader % 3) + 1;
    const alice = await stage.open({ name: 'alice', node: leader, room: 'orders' });
    const bob = await stage.open({ name: 'bob', node, room: 'orders', before: page => page.clock.install() });
    for (const [who, text] of [
      [alice, 'Morning! I call out what is packed.'],
      [bob, 'Ready at the dock 🚚'],
      [alice, 'Order 1017: two crates'],
    ]) {
      await who.say(text);
      for (const visitor of [alice, bob]) await visitor.seesText(text);
    }
    await pair('story-1-connected', alice, bob);
    await both('connected', bob);

    await bob.page.clock.pauseAt(Date.now() + 1000); // no timer of the page goes off: it will not reconnect before the picture is taken
    await stage.cluster.kill(node);
    await bob.sees('that the node is lost', () => document.querySelector('#badge').dataset.state === 'reconnecting');
    const meanwhile = ['Order 1018: one crate, fragile', 'Order 1019: three crates'];
    for (const text of meanwhile) {
      await alice.say(text);
      await alice.seesText(text);
    }
    await bob.say('Was 1017 for the harbour?');
    await pair('story-2-node-killed', alice, bob);
    await both('reconnecting', bob);
    assert.equal((await bob.texts()).includes(meanwhile[0]), false, 'bob sees, without a connection, what is said meanwhile');

    await bob.page.clock.resume();
    await bob.readyAt({ not: node });
    await bob.nothingPending();
    await alice.seesText('Was 1017 for the harbour?');
    for (const text of meanwhile) await bob.seesText(text);
    await alice.say('It was. 1020 is next 📦');
    await bob.seesText('It was. 1020 is next 📦');
    assert.deepEqual(await bob.texts(), await alice.texts(), 'what bob sees, and alice');
    assert.equal(await bob.page.locator('.line').count(), 1, 'lines that tell of the break');
    await pair('story-3-resumed', alice, bob);
    await both('resumed', bob);
    await stage.cluster.start(node);
    for (const visitor of [alice, bob]) {
      await visitor.fine();
      await visitor.close();
    }
  });

  it('keeps long words, long lines and many lines in their places', async () => {
    const alice = await stage.open({ name: 'alice-with-quite-a-long-name-she-has-it', room: 'lobby' });
    for (const text of ['w'.repeat(300), 'many words '.repeat(60), 'line\n'.repeat(12)]) {
      await alice.say(text);
      await alice.nothingPending();
    }
    await alice.seesCount(3);
    await alice.page.locator('.message .text').last().dblclick(); // quotes all of it
    await alice.page.fill('#text', 'and\nmany\nlines\nhere\nwhich\nare\nnot\nsent\nyet');
    await both('long', alice);
    await alice.fine();
    await alice.close();
  });

  it('leaves a reader where he is when he has gone up', async () => {
    const [alice, bob] = [await stage.open({ name: 'alice', rooms: ['up'] }), await stage.open({ name: 'bob', node: 2, rooms: ['up'] })];
    for (let i = 1; i <= 40; i++) await alice.say(`line ${i}`);
    await bob.seesText('line 40');
    await bob.page.locator('#messages').hover();
    await bob.page.mouse.wheel(0, -600);
    const place = await bob.sees('older messages', () => {
      const { scrollTop, scrollHeight, clientHeight } = document.querySelector('#messages');
      return scrollHeight - clientHeight - scrollTop > 300 && scrollTop;
    });
    await alice.say('line 41');
    await bob.seesText('line 41');
    const now = await bob.page.locator('#messages').evaluate(list => list.scrollTop);
    assert.ok(now <= place, `bob was at ${place} px when something new came, and is at ${now}`);
    await bob.say('Here I am');
    await bob.sees('his own message', () => {
      const { bottom } = document.querySelector('#messages').lastElementChild.getBoundingClientRect();
      return bottom <= document.querySelector('#messages').getBoundingClientRect().bottom;
    });
    for (const visitor of [alice, bob]) await visitor.close();
  });

  it('is found wanting when something overlaps, is cut off, covered, out of sight, pale or of the wrong colour', async () => {
    const alice = await stage.open({ name: 'alice', rooms: ['broken'] });
    await alice.say('All is well');
    await alice.seesText('All is well');
    assert.deepEqual(await layoutFaults(alice.page), [], 'faults of the page as it is');
    const breakages = {
      '.composer { margin-top: -60px }': /overlap/,
      '.bubble { width: 3em; height: 1em; overflow: hidden; padding: 0 } .text { white-space: nowrap }': /cut off/,
      '.text { white-space: nowrap; width: 1em }': /sticks out/,
      '.badge { position: fixed; left: calc(100vw - 40px) }': /out of sight|off the screen/,
      '.app { width: 120vw }': /wide/,
      '.talk::after { content: ""; position: fixed; inset: 50% 0 0 0 }': /covered/,
      '.text { color: #ddd }': /contrast/,
      '.badge[data-state=connected] { background: #b91c1c }': /badge is red when connected/,
      '.message { margin-bottom: -30px }': /overlap|in sight/,
    };
    for (const [css, fault] of Object.entries(breakages)) {
      const sheet = await alice.page.evaluateHandle(css => {
        const sheet = new CSSStyleSheet();
        sheet.replaceSync(css);
        document.adoptedStyleSheets = [sheet];
        return sheet;
      }, css);
      const faults = await layoutFaults(alice.page);
      assert.ok(faults.some(one => fault.test(one)), `with ${css} the faults are ${JSON.stringify(faults)}, want one like ${fault}`);
      await alice.page.evaluate(() => (document.adoptedStyleSheets = []));
      await sheet.dispose();
    }
    assert.deepEqual(await layoutFaults(alice.page), [], 'faults of the page once it is whole again');
    await alice.close();
  });
});
