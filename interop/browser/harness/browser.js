// Chromium and the chat pages in it. A Visitor is one page: what somebody does there and sees there.

import assert from 'node:assert/strict';
import { chromium as playwright } from 'playwright-core';
import { chromium as executablePath, missing } from './needs.js';

const waitMillis = 60_000; // longer than anything here takes on a busy machine; a test that waits it out has failed
const launchMillis = 90_000;

const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

export const desktop = { width: 1280, height: 800 };
export const mobile = { width: 390, height: 844 };

export async function startBrowser(site) {
  const faults = missing();
  if (faults.length > 0) throw new Error(faults.join('; '));
  const browser = await playwright.launch({ executablePath, args: flags, timeout: launchMillis });
  return {
    end: () => browser.close(),
    browser,
    /** Opens the page as somebody, in a browser context of its own or, with `beside`, in another tab of that visitor's; `before` prepares the page. */
    async open({ name, node = 1, rooms, room, with: other, origin = site.origin, beside, viewport = desktop, ready = true, before }) {
      const context = beside?.context ?? (await browser.newContext({ viewport, locale: 'en-GB', timezoneId: 'UTC' }));
      const page = await context.newPage();
      await page.setViewportSize(viewport);
      page.setDefaultTimeout(waitMillis);
      await before?.(page);
      const asked = new URLSearchParams(Object.entries({ name, node, rooms: rooms?.join(), room, with: other }).filter(([, value]) => value !== undefined));
      const visitor = new Visitor(name, context, page);
      await page.goto(`${origin}/?${asked}`);
      if (ready) await visitor.ready();
      return visitor;
    },
  };
}

class Visitor {
  faults = []; // of the page's own code
  frames = []; // what went over its WebSockets: {to: 'broker' or 'page', text}

  constructor(name, context, page) {
    Object.assign(this, { name, context, page });
    page.on('pageerror', error => this.faults.push(error.stack ?? String(error)));
    page.on('websocket', socket => {
      socket.on('framesent', ({ payload }) => this.frames.push({ to: 'broker', text: String(payload) }));
      socket.on('framereceived', ({ payload }) => this.frames.push({ to: 'page', text: String(payload) }));
    });
  }

  /** Waits for a condition on what the page shows; `check` runs in the page and gives what it saw, or nothing. */
  async sees(what, check, argument) {
    try {
      return await (await this.page.waitForFunction(check, argument, { timeout: waitMillis, polling: 50 })).jsonValue();
    } catch (error) {
      const screen = await this.page.evaluate(() => document.body.innerText).catch(String);
      throw new Error(`${this.name} does not see ${what} (${JSON.stringify(argument)}): ${error.message}\nThe page shows:\n${screen}`);
    }
  }

  /** Waits until the page is connected and all its subscriptions hold. */
  ready() {
    return this.sees('a connection', () => document.querySelector('#app')?.dataset.ready === 'true');
  }

  /** Waits until the page is connected and ready at a node (a number), or at another one than `not`. */
  readyAt({ node, not }) {
    return this.sees(
      'a connection to the right node',
      ({ node, not }) => {
        const here = document.querySelector('.node[data-state=connected]')?.textContent;
        return document.querySelector('#app').dataset.ready === 'true' && (node ? here === `node ${node}` : here && here !== `node ${not}`) && here;
      },
      { node, not },
    );
  }

  /** The number of the node that the page is connected to. */
  async node() {
    return Number((await this.page.locator('.node[data-state=connected]').textContent()).replace('node ', ''));
  }

  badge() {
    return this.page.locator('#badge').getAttribute('data-state');
  }

  /** What happened to the connection, as the page tells it. */
  journal() {
    return this.page.locator('#journal li').evaluateAll(lines => lines.map(line => line.dataset.what));
  }

  async say(text) {
    await this.page.fill('#text', text);
    await this.page.press('#text', 'Enter');
  }

  /** Goes to a room (#lobby) or to private messages with somebody (@bob). */
  async goTo(key) {
    await this.page.locator(`li[data-key=${JSON.stringify(key)}] button`).click();
  }

  /** The texts of the open conversation, in order; without those that have not come round. */
  texts() {
    return this.page.locator('.message .text').allTextContents();
  }

  ids() {
    return this.page.locator('.message').evaluateAll(items => items.map(item => item.dataset.id));
  }

  /** Waits until the conversation has this text, and none is on its way. */
  seesText(text) {
    return this.sees('a message', text => [...document.querySelectorAll('.message .text')].some(one => one.textContent === text), text);
  }

  seesCount(count) {
    return this.sees('so many messages', count => document.querySelectorAll('.message').length >= count, count);
  }

  nothingPending() {
    return this.sees('all its messages come round', () => document.querySelectorAll('.pending').length === 0);
  }

  /** How often the broker gave a message again, and how often another page's repetition was dropped. */
  async tallies() {
    const { repeated, twins } = await this.page.locator('#app').evaluate(({ dataset }) => ({ ...dataset }));
    return { repeated: Number(repeated), twins: Number(twins) };
  }

  /** The page's own code made no error, and the broker gave no message twice or out of order. */
  async fine() {
    assert.deepEqual(this.faults, [], `errors in the page of ${this.name}`);
    assert.equal((await this.tallies()).repeated, 0, `messages that the broker gave ${this.name} twice or out of order`);
  }

  async close() {
    await this.page.close();
    if (this.context.pages().length === 0) await this.context.close();
  }
}
