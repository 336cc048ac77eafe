// Text: whatever people write arrives as they wrote it, in bodies, in headers and in names.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { skip } from '../harness/needs.js';
import { mobile } from '../harness/browser.js';
import { pair, picture } from '../harness/pictures.js';
import { setStage } from '../harness/stage.js';

const texts = [
  'Grüße aus Köln: ½ Pfund für 3 €',
  'עברית, العربية, Ελληνικά, Български',
  'Family 👨‍👩‍👧‍👦, flags 🇪🇺🏴󠁧󠁢󠁳󠁣󠁴󠁿, skin 👍🏽',
  'a colon: here\na new line there\n\nand C:\\new\\temp\\r \\\\host\\c',
  '日本語、한국어、中文', // few machines have the fonts for a picture of it
  '<img src=x onerror="document.title=\'owned\'"> & <b>bold</b>',
  'e\u0301 is two code points, é is one',
  'a:b\\c\\n\\r\\\\%5C%zz^@MESSAGE\n\n\u0001',
];
const pictured = texts[3]; // the last that is pleasant to look at

describe('text', { skip }, () => {
  let stage;
  before(async () => {
    stage = await setStage({ rooms: ['lobby', 'languages'] });
  });
  after(() => stage?.end());

  it('arrives in bodies, and quoted in a header, as it was written', async () => {
    const rooms = ['lobby', 'languages'];
    const [alice, bob] = await stage.openAll(
      { name: 'alice', node: 1, rooms, room: 'languages' },
      { name: 'bob', node: 2, rooms, room: 'languages' },
    );
    for (const [i, text] of texts.entries()) {
      await alice.say(text);
      await bob.seesCount(2 * i + 1);
      await bob.page.locator('.message .text').last().dblclick();
      await bob.say(`that was number ${i + 1}`);
      await alice.seesCount(2 * i + 2);
      if (text === pictured) {
        await pair('text', alice, bob);
        await picture('text-mobile', bob, mobile);
      }
    }
    const expected = texts.flatMap((text, i) => [text, `that was number ${i + 1}`]);
    for (const visitor of [alice, bob]) {
      assert.deepEqual(await visitor.texts(), expected, `what ${visitor.name} sees`);
      assert.deepEqual(await visitor.page.locator('.quote').allTextContents(), texts, `the quotes that ${visitor.name} sees`);
      assert.ok(!(await visitor.page.title()).includes('owned'), 'text became code');
      await visitor.fine();
    }
    for (const visitor of [alice, bob]) await visitor.close();
  });

  it('is escaped on the wire in headers as STOMP 1.2 says', async () => {
    const alice = await stage.open({ name: 'alice', node: 3 });
    const words = { newline: 'a\nb', colon: 'a:b:', backslash: 'a\\b', return: 'a\rb', all: 'ü:\n\\ü\r:\\', 'before-n': 'C:\\new' };
    const seen = await alice.page.evaluate(async words => {
      const socket = document.querySelector('.node[data-state=connected]').textContent;
      const { ws } = (await (await fetch('/config.json')).json()).nodes.find(({ name }) => name === socket);
      return new Promise((resolve, reject) => {
        const client = new StompJs.Client({ brokerURL: ws, reconnectDelay: 0, onStompError: ({ body }) => reject(new Error(body)) });
        client.onConnect = () => {
          client.watchForReceipt('subscribed', () => client.publish({ destination: '/topic/words', headers: words, body: 'x' }));
          client.subscribe('/topic/words', ({ headers }) => client.deactivate().then(() => resolve(headers)), { receipt: 'subscribed' });
        };
        client.activate();
      });
    }, words);
    for (const [name, value] of Object.entries(words)) if (name !== 'before-n') assert.equal(seen[name], value, `header ${name}`);
    const frame = await alice.gets('its words', /^MESSAGE\n(.*\n)*destination:\/topic\/words\n/);
    const lines = frame.split('\n\n')[0].split('\n').slice(1);
    const wire = Object.fromEntries(lines.map(line => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]));
    // stompjs reads the last one as C:<newline>ew: it looks for \n before it looks for \\. What the broker sends is right.
    const escaped = {
      newline: 'a\\nb',
      colon: 'a\\cb\\c',
      backslash: 'a\\\\b',
      return: 'a\\rb',
      all: 'ü\\c\\n\\\\ü\\r\\c\\\\',
      'before-n': 'C\\c\\\\new',
    };
    for (const [name, value] of Object.entries(escaped)) assert.equal(wire[name], value, `header ${name} on the wire`);
    await alice.fine();
    await alice.close();
  });

  it('may be a name: with blanks, slashes, per cents, colons and backslashes', async () => {
    const name = 'Zoë / 100% :-\\ \\new 🦬';
    const [zoe, bob] = await stage.openAll({ name, node: 1 }, { name: 'bob', node: 2, with: name });
    await bob.say('Is this you?');
    await zoe.sees('the conversation', () => document.querySelector('[data-key="@bob"] .unread')?.textContent === '1');
    await zoe.goTo('@bob');
    await zoe.seesText('Is this you?');
    await zoe.say('It is, all of it');
    await bob.seesText('It is, all of it');
    assert.deepEqual(await bob.page.locator('.message:not(.own) .from').allTextContents(), [name]);
    for (const visitor of [zoe, bob]) {
      await visitor.seesText('It is, all of it'); // zoe may see her own words later than bob
      assert.deepEqual(await visitor.texts(), ['Is this you?', 'It is, all of it']);
      await visitor.fine();
      await visitor.close();
    }
  });
});
